import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VolumeId } from '../../../src/base/ids.ts';
import { Abandonment } from '../../../src/volume/abandonment.ts';
import { gatewayLimits } from '../../../src/volume/gateway-limits.ts';
import { ticketLifeMs } from '../../../src/wire/peer/limits.ts';
import type { OpBody } from '../../../src/wire/peer/types.ts';
import { a, arc, b, c, Leaders, self } from './leaders.ts';

const range = { volume: 1 as VolumeId, layer: 0, chunk: 0, firstBlock: 0, blockCount: 1 };
const zero: OpBody = { kind: 'zero', epoch: 1, range };

/** Resolves to false if the promise is still open after everything that waits has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => (settled = true));
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

test('a refusal of the only copy is final: the host hears at once, and nothing is cancelled', async () => {
  const net = new Leaders();
  const outcome = net.gateway.operate(arc, zero);
  await net.opened();
  const { to, op } = await net.op('zero');
  net.answer(to, op, 'full');
  assert.equal((await outcome).code, 'full');
  assert.equal(net.count('cancel'), 0);
});

for (const refusal of ['full', 'corrupt', 'fenced', 'stale'] as const) {
  test(`INV-5: ${refusal} while another copy is open: told only when that copy can do nothing any more`, async () => {
    const net = new Leaders();
    const outcome = net.gateway.operate(arc, zero);
    await net.opened();
    const first = await net.op('zero');
    net.answer(first.to, first.op, 'overtaken', b); // it is in a's log, and may still be committed
    const second = await net.op('zero');
    assert.deepEqual([second.to, second.op.number], [b, first.op.number], 'the same operation, asked elsewhere');
    if (refusal === 'stale') net.clock.advance(ticketLifeMs + 1); // before, it would be asked again
    net.answer(b, second.op, refusal);
    const cancel = await net.op('cancel');
    assert.deepEqual([cancel.op.session, cancel.op.number], [first.op.session, first.op.number]);
    assert.equal(await isSettled(outcome), false);
    net.answer(cancel.to, cancel.op, 'cancelled');
    assert.equal((await outcome).code, refusal);
  });
}

test('… and if that copy was applied first, the host hears that its write was done', async () => {
  const net = new Leaders();
  const outcome = net.gateway.operate(arc, zero);
  await net.opened();
  const first = await net.op('zero');
  net.answer(first.to, first.op, 'overtaken', b);
  const second = await net.op('zero');
  net.answer(b, second.op, 'full');
  const cancel = await net.op('cancel');
  net.answer(cancel.to, cancel.op, 'ok');
  assert.equal((await outcome).code, 'ok');
});

test('a session that was forgotten with a copy open leaves the outcome unknown: nobody can tell', async () => {
  const net = new Leaders();
  const outcome = net.gateway.operate(arc, zero);
  await net.opened();
  const first = await net.op('zero');
  net.answer(first.to, first.op, 'overtaken', b);
  const second = await net.op('zero');
  net.answer(b, second.op, 'noSession');
  assert.equal((await outcome).code, 'unknown');
});

test('a command that its host gives up ends when it is applied or can’t be any more, not before', async () => {
  for (const [answer, expected] of [
    ['cancelled', 'cancelled'],
    ['ok', 'ok'],
  ] as const) {
    const net = new Leaders();
    const abandonment = new Abandonment();
    const command = { arrivedAfterMs: net.clock.nowMs(), abandonment };
    const outcome = net.gateway.operate(arc, zero, { command });
    await net.opened();
    await net.op('zero');
    abandonment.giveUp();
    const cancel = await net.op('cancel');
    assert.equal(await isSettled(outcome), false);
    net.answer(cancel.to, cancel.op, answer);
    assert.equal((await outcome).code, expected);
  }
});

test('a command given up before anything of it left ends at once', async () => {
  const net = new Leaders();
  const abandonment = new Abandonment();
  const command = { arrivedAfterMs: net.clock.nowMs(), abandonment };
  const outcome = net.gateway.operate(arc, zero, { command });
  abandonment.giveUp();
  await net.opened();
  assert.equal((await outcome).code, 'cancelled');
  assert.equal(net.count('zero'), 0);
  assert.equal(net.count('cancel'), 0);
});

test('INV-5: a command carries the ticket that was here before it came, of the very leader that is asked', async () => {
  const net = new Leaders();
  net.gateway.ticket(a, 11, 500);
  net.gateway.ticket(b, 22, 600);
  net.clock.advance(100);
  const arrivedAfterMs = net.clock.nowMs();
  net.clock.advance(1);
  net.gateway.ticket(a, 11, 700); // later than the command may be: it would make an old command look new
  const outcome = net.gateway.operate(arc, zero, { command: { arrivedAfterMs } });
  await net.opened();
  const first = await net.op('zero');
  assert.deepEqual(first.op.ticket, { incarnation: 11, issuedMs: 500 });
  net.answer(a, first.op, 'notLeader', b);
  const second = await net.op('zero');
  assert.deepEqual([second.to, second.op.ticket], [b, { incarnation: 22, issuedMs: 600 }]);
  net.answer(b, second.op, 'notLeader', self);
  const own = await net.op('zero');
  assert.deepEqual([own.to, own.op.ticket], [self, { incarnation: 1, issuedMs: arrivedAfterMs }]);
  net.answer(self, own.op, 'ok');
  assert.equal((await outcome).code, 'ok');
});

test('a command that no leader would take any more isn’t sent: refused, surely without effect', async () => {
  const net = new Leaders();
  const command = { arrivedAfterMs: net.clock.nowMs() - ticketLifeMs - 1 };
  const outcome = net.gateway.operate(arc, zero, { command });
  await net.opened();
  assert.equal((await outcome).code, 'stale');
  assert.equal(net.count('zero'), 0);
});

test('refused for an old ticket while its host is still there: asked again with a newer one', async () => {
  const net = new Leaders();
  net.gateway.ticket(a, 11, 500);
  const command = { arrivedAfterMs: net.clock.nowMs() };
  const outcome = net.gateway.operate(arc, zero, { command });
  await net.opened();
  const first = await net.op('zero');
  net.clock.advance(100);
  net.gateway.ticket(a, 11, 1400);
  command.arrivedAfterMs = net.clock.nowMs(); // its connection brought something new
  net.answer(a, first.op, 'stale');
  for (let step = 0; step < 10; step++) net.clock.advance(gatewayLimits.tickMs);
  const second = await net.op('zero');
  assert.deepEqual(second.op.ticket, { incarnation: 11, issuedMs: 1400 });
  assert.equal(second.op.number, first.op.number);
  net.answer(a, second.op, 'ok');
  assert.equal((await outcome).code, 'ok');
});

test('control operations are nobody’s commands: no ticket, no age', async () => {
  const net = new Leaders();
  const body: OpBody = { kind: 'key', key: 'k', expectedVersion: 0, value: new Uint8Array(1) };
  const outcome = net.gateway.operate(arc, body);
  await net.opened();
  const { to, op } = await net.op('key');
  assert.equal(op.ticket, undefined);
  net.answer(to, op, 'ok');
  assert.equal((await outcome).code, 'ok');
});

test('story 17: a leader whom only others reach is asked through one of them, with its own ticket; nobody has to be elected', async () => {
  const net = new Leaders();
  net.gateway.ticket(a, 11, 500);
  net.dead.add(a); // the link from here is cut
  const outcome = net.gateway.operate(arc, zero);
  const open = await net.op('openSession');
  net.answer(open.to, open.op, 'notLeader', a);
  const relayedOpen = net.relays().at(-1);
  assert.ok(relayedOpen !== undefined && relayedOpen.to === open.to && relayedOpen.relay.leader === a);
  assert.ok(relayedOpen.relay.question.type === 'op');
  net.answer(open.to, relayedOpen.relay.question, 'ok');
  const first = await net.op('zero');
  net.answer(first.to, first.op, 'notLeader', a);
  const relayed = await net.op('zero');
  assert.equal(net.relays().length, 2);
  assert.deepEqual([relayed.to, relayed.op.ticket], [first.to, { incarnation: 11, issuedMs: 500 }]);
  net.answer(first.to, relayed.op, 'ok');
  assert.equal((await outcome).code, 'ok');
  assert.ok(!net.sent.some(({ message }) => message.type === 'complaint'));
});

test('a go-between passes on and back, once: what it can’t pass is refused and not passed further', async () => {
  const net = new Leaders();
  const question = {
    type: 'op' as const,
    request: 77,
    arc,
    session: 1,
    number: 1,
    lowestOpen: 1,
    ticket: { incarnation: 1, issuedMs: 1 },
    body: zero,
  };
  net.gateway.relay(c, { type: 'relay', leader: a, question });
  const { to, op } = await net.op('zero');
  assert.equal(to, a);
  net.answer(a, op, 'ok');
  assert.deepEqual(net.sent.at(-1), {
    to: c,
    message: { type: 'opReply', request: 77, code: 'ok', leader: undefined, version: 1 },
  });
  net.dead.add(a);
  net.gateway.relay(c, { type: 'relay', leader: a, question });
  assert.deepEqual(net.sent.at(-1), {
    to: c,
    message: { type: 'opReply', request: 77, code: 'notLeader', leader: undefined, version: 0 },
  });
});

test('what was passed on to a leader that is lost since is asked again, and never taken for refused: it may have been done', async () => {
  for (const lose of ['peerDown', 'peerSilent'] as const) {
    const net = new Leaders();
    const common = { arc, session: 1, number: 1, lowestOpen: 1, ticket: { incarnation: 1, issuedMs: 1 }, body: zero };
    net.gateway.relay(c, { type: 'relay', leader: a, question: { type: 'op', request: 77, ...common } });
    net.gateway.relay(c, { type: 'relay', leader: b, question: { type: 'op', request: 78, ...common } });
    net.gateway[lose](a);
    assert.deepEqual(net.sent.slice(2), [
      { to: c, message: { type: 'opReply', request: 77, code: 'overtaken', leader: undefined, version: 0 } },
    ]);
  }
});

test('a new leader gets at once what went, through a go-between, to one that is not there any more', async () => {
  const net = new Leaders();
  net.dead.add(a);
  const outcome = net.gateway.operate(arc, zero);
  const open = await net.op('openSession');
  net.answer(open.to, open.op, 'notLeader', a);
  assert.equal(net.relays().at(-1)?.to, b, 'b shall pass it on to a');
  net.lead(b, 2);
  const again = await net.op('openSession');
  assert.equal(again.to, b);
  assert.notEqual(again.op.request, open.op.request);
  net.answer(b, again.op, 'ok');
  net.answer(b, (await net.op('zero')).op, 'ok');
  assert.equal((await outcome).code, 'ok');
});

test('a leader that doesn’t answer is complained about once per arc, and after a while asked elsewhere too', async () => {
  const net = new Leaders();
  const outcomes = Array.from({ length: 5 }, () => net.gateway.operate(arc, zero));
  await net.opened();
  await net.op('zero');
  const step = gatewayLimits.tickMs;
  for (let ms = 0; ms <= gatewayLimits.complainMs + step; ms += step) net.clock.advance(step);
  assert.equal(net.sent.filter(({ message }) => message.type === 'complaint').length, 2, 'one to each other voter');
  assert.deepEqual(net.doubted, [a], 'and the Corelet as a whole is doubted, once');
  assert.equal(net.count('zero'), 5);
  for (let ms = 0; ms <= gatewayLimits.hedgeMs; ms += step) net.clock.advance(step);
  assert.equal(net.count('zero'), 10);
  net.gateway.stop();
  assert.equal(await isSettled(Promise.all(outcomes)), false);
});

test('INV-8: numbers don’t run ahead of what the arc remembers: operations wait for the lowest open one', async () => {
  const net = new Leaders();
  const outcomes = Array.from({ length: 600 }, () => net.gateway.operate(arc, zero));
  await net.opened();
  await net.op('zero');
  assert.equal(await isSettled(Promise.race(outcomes)), false);
  const asked = net.sent.flatMap(({ to, message }) =>
    message.type === 'op' && message.body.kind === 'zero' ? [{ to, op: message }] : [],
  );
  assert.equal(asked.length, 512);
  for (const { to, op } of asked) net.answer(to, op, 'ok');
  await isSettled(Promise.race(outcomes));
  assert.equal(net.count('zero'), 600);
});

test('hosts come and go: tickets are wanted while there are any', () => {
  const net = new Leaders();
  net.gateway.hosts.came();
  net.gateway.hosts.came();
  net.gateway.hosts.left();
  assert.deepEqual(net.wanted, [true]);
  net.gateway.hosts.left();
  assert.deepEqual(net.wanted, [true, false]);
});

test('a first host waits until its commands will find tickets, within a bound', async () => {
  const net = new Leaders();
  const ready = net.gateway.hosts.ready();
  net.clock.advance(20);
  assert.equal(await isSettled(ready), false);
  net.gateway.ticket(a, 11, 500);
  for (let step = 0; step < 10; step++) {
    net.clock.advance(10);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await ready;
  net.dead.clear();
});
