import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreletId } from '../../../src/base/ids.ts';
import { type Member, memberById, memberBySlot } from '../../../src/ring/view.ts';
import { blankModule, memberOf, Network } from './network.ts';

const limitMs = 30_000;
/** Past the grace of a start, in which nobody is accused. */
const warmMs = 3500;

function slots(count: number): Member[] {
  return Array.from({ length: count }, (_, slot) => memberOf(slot));
}

function running(seed: number, members: readonly Member[]): { network: Network; ids: CoreletId[] } {
  const network = new Network(seed);
  const ids = network.found(members);
  network.startAll();
  network.runFor(warmMs);
  assert.ok(network.agreed(ids), network.describe());
  assert.equal(network.core(ids[0] as CoreletId).viewNumber, 1, 'a healthy chassis changes nothing');
  return { network, ids };
}

function without(ids: readonly CoreletId[], ...gone: readonly (CoreletId | undefined)[]): CoreletId[] {
  return ids.filter((id) => !gone.includes(id));
}

test('a pulled module of 24 is out of the view within 2 s, everywhere', () => {
  const times = { reset: [] as number[], silence: [] as number[] };
  for (let seed = 0; seed < 4; seed++) {
    for (const kind of ['reset', 'silence'] as const) {
      const { network, ids } = running(seed, slots(24));
      const lost = ids[(seed * 7) % 24] as CoreletId;
      network.crash(lost, kind === 'reset');
      const rest = without(ids, lost);
      times[kind].push(network.runUntil(() => network.agreed(rest), limitMs));
      assert.equal(network.core(rest[0] as CoreletId).viewNumber, 2, 'one loss, one view');
    }
  }
  console.log(
    `removal agreed by all of 24 after ${times.reset.map(Math.round).join(', ')} ms (reset), ${times.silence.map(Math.round).join(', ')} ms (silence)`,
  );
  assert.ok(Math.max(...times.reset, ...times.silence) <= 2000);
});

test('the removal tells who had accused the lost one, for `corelet why`', () => {
  const { network, ids } = running(1, slots(6));
  const lost = ids[2] as CoreletId;
  network.crash(lost);
  const rest = without(ids, lost);
  network.runUntil(() => network.agreed(rest), limitMs);
  const change = network.module(rest[0] as CoreletId).changes.at(-1);
  assert.equal(change?.cause, 'loss');
  assert.deepEqual(
    change.removed.map((m) => m.id),
    [lost],
  );
  assert.ok((change.observers[0]?.observers.length ?? 0) >= 3);
  const { events } = network.module(rest[0] as CoreletId);
  assert.ok(events.some((e) => e.kind === 'membership.accused' && e.slot === 2));
  assert.ok(events.some((e) => e.kind === 'view.removed' && e.slot === 2 && /unheard by [345] members/.test(e.text)));
});

test('eight of 24 at once are gone with few views, and all survivors agree', () => {
  for (let seed = 0; seed < 3; seed++) {
    const { network, ids } = running(seed, slots(24));
    const lost = ids.filter((_, i) => i % 3 === seed % 3);
    for (const id of lost) network.crash(id, seed % 2 === 0);
    const rest = without(ids, ...lost);
    const tookMs = network.runUntil(() => network.agreed(rest), limitMs);
    assert.ok(tookMs <= 2500, `${tookMs} ms`);
    assert.ok(network.core(rest[0] as CoreletId).viewNumber <= 3);
  }
});

test('a minority never decides and says so; when the partition heals, all are members again', () => {
  for (let seed = 0; seed < 4; seed++) {
    const { network, ids } = running(seed, slots(7));
    const minority = ids.slice(0, 3);
    const rest = ids.slice(3);
    const inMinority = new Set(minority);
    network.blocked = (from, to) => inMinority.has(from) !== inMinority.has(to);
    network.runUntil(() => network.agreed(rest), limitMs);
    network.runFor(5000);
    for (const id of minority) {
      assert.equal(network.core(id).viewNumber, 1);
      assert.match(network.core(id).frozen.reason, /hears 3 of 7/);
    }
    for (const id of rest) assert.equal(network.core(id).frozen.frozen, false);
    network.blocked = () => false;
    network.runUntil(() => network.agreed(ids), limitMs);
    for (const id of ids) assert.equal(network.core(id).standing, 'member');
  }
});

test('an even split decides nothing on either side, and nothing is lost when it heals', () => {
  const { network, ids } = running(3, slots(6));
  const half = new Set(ids.slice(0, 3));
  network.blocked = (from, to) => half.has(from) !== half.has(to);
  network.runFor(10_000);
  for (const id of ids) {
    assert.equal(network.core(id).viewNumber, 1);
    assert.ok(network.core(id).frozen.frozen);
  }
  network.blocked = () => false;
  network.runFor(3000);
  assert.ok(network.agreed(ids));
  for (const id of ids) assert.equal(network.core(id).frozen.frozen, false);
});

test('one broken link between two healthy members removes nobody', () => {
  const { network, ids } = running(4, slots(6));
  const [a, b] = ids;
  network.blocked = (from, to) => (from === a && to === b) || (from === b && to === a);
  network.runFor(10_000);
  assert.ok(network.agreed(ids));
  assert.equal(network.core(ids[3] as CoreletId).viewNumber, 1);
});

test('a deaf member can not get the others removed; a mute one is removed', () => {
  const deaf = running(5, slots(6));
  const victim = deaf.ids[1];
  deaf.network.blocked = (_, to) => to === victim;
  deaf.network.runFor(8000);
  for (const id of without(deaf.ids, victim)) assert.equal(deaf.network.core(id).viewNumber, 1);

  const mute = running(6, slots(6));
  const silent = mute.ids[1];
  mute.network.blocked = (from) => from === silent;
  const rest = without(mute.ids, silent);
  mute.network.runUntil(() => mute.network.agreed(rest), limitMs);
  mute.network.blocked = () => false;
  mute.network.runUntil(() => mute.network.agreed(mute.ids), limitMs);
});

test('a module that comes back is a member again with its own place', () => {
  const { network, ids } = running(7, slots(6));
  const lost = ids[3] as CoreletId;
  network.crash(lost);
  const rest = without(ids, lost);
  network.runUntil(() => network.agreed(rest), limitMs);
  network.runFor(2000);
  network.start(lost);
  const tookMs = network.runUntil(() => network.agreed(ids), limitMs);
  console.log(`returned module is a member again after ${Math.round(tookMs)} ms`);
  assert.equal(memberById(network.core(lost).view ?? assert.fail(), lost)?.place, memberOf(3).place);
});

test('a module that comes back before anybody noticed changes nothing', () => {
  const { network, ids } = running(8, slots(6));
  network.crash(ids[3] as CoreletId);
  network.runFor(250);
  network.start(ids[3] as CoreletId);
  network.runFor(6000);
  assert.ok(network.agreed(ids));
  assert.equal(network.core(ids[0] as CoreletId).viewNumber, 1);
});

test('a blank module takes the slot of a pulled one, also in a chassis of three', () => {
  for (const count of [3, 6]) {
    const { network, ids } = running(9, slots(count));
    const lost = ids[1] as CoreletId;
    network.crash(lost);
    network.runFor(300);
    const blank = network.add(blankModule(1, 5));
    network.start(blank);
    const members = [...without(ids, lost), blank];
    network.runUntil(() => network.agreed(members), limitMs);
    const view = network.core(blank).view ?? assert.fail();
    assert.equal(memberBySlot(view, 1)?.id, blank);
    // In the step that removes the old one, the blank takes its place over: only those copies move.
    if (count === 3) assert.equal(memberBySlot(view, 1)?.place, memberOf(1).place);
  }
});

test('a chassis of three never shrinks to two: it is frozen, says so, and thaws on return', () => {
  const { network, ids } = running(10, slots(3));
  network.crash(ids[2] as CoreletId);
  network.runFor(5000);
  const rest = ids.slice(0, 2);
  for (const id of rest) {
    assert.equal(network.core(id).viewNumber, 1);
    assert.match(network.core(id).frozen.reason, /3 members: the silent one stays/);
  }
  network.start(ids[2] as CoreletId);
  network.runFor(5000);
  for (const id of ids) assert.equal(network.core(id).frozen.frozen, false);
});

test("a spare takes the lost one's place at once, and the module that comes back becomes the spare", () => {
  const members = [...slots(6), memberOf(6, { role: 'spare' })];
  const { network, ids } = running(11, members);
  const lost = ids[2] as CoreletId;
  network.crash(lost);
  const rest = without(ids, lost);
  network.runUntil(() => network.agreed(rest), limitMs);
  const promoted = memberBySlot(network.core(rest[0] as CoreletId).view ?? assert.fail(), 6);
  assert.equal(promoted?.role, 'active');
  assert.equal(promoted.place, memberOf(2).place);
  network.start(lost);
  network.runUntil(() => network.agreed(ids), limitMs);
  const view = network.core(lost).view ?? assert.fail();
  assert.equal(memberById(view, lost)?.role, 'spare');
  // And the other way round.
  network.crash(ids[6] as CoreletId);
  network.runUntil(() => network.agreed(without(ids, ids[6])), limitMs);
  const after = memberById(network.core(lost).view ?? assert.fail(), lost);
  assert.equal(after?.role, 'active');
  assert.equal(after.place, memberOf(2).place);
});

test('cold start in any order, slowly, with one slot missing: the rest agrees, and nobody else is accused', () => {
  for (let seed = 0; seed < 6; seed++) {
    const { network, ids } = running(seed, slots(6));
    for (const id of network.up()) network.crash(id, false);
    network.runFor(60_000);
    const missing = network.random.pick(ids);
    const rest = without(ids, missing);
    for (const id of rest) network.at(network.random.fraction() * 1800, () => network.start(id));
    network.runFor(1801);
    network.runUntil(() => network.agreed(rest), limitMs);
    assert.equal(network.core(rest[0] as CoreletId).viewNumber, 2);
  }
});

test('cold start from views of different age: those that are behind learn the newest', () => {
  const { network, ids } = running(12, slots(6));
  network.crash(ids[0] as CoreletId);
  network.runUntil(() => network.agreed(ids.slice(1)), limitMs);
  network.crash(ids[1] as CoreletId);
  network.runUntil(() => network.agreed(ids.slice(2)), limitMs);
  network.runFor(500);
  for (const id of network.up()) network.crash(id, false);
  network.runFor(1000);
  network.startAll();
  network.runUntil(() => network.agreed(ids), limitMs);
});

test('a member that moved to another address or slot gets its record changed, nothing else', () => {
  const { network, ids } = running(13, slots(6));
  const moved = ids[4] as CoreletId;
  network.crash(moved);
  network.runFor(100);
  network.start(moved, { address: 'tcp:127.0.0.1:9999', slot: 17, role: 'spare', place: 1 });
  const now = (): Member | undefined => memberById(network.core(ids[0] as CoreletId).view ?? assert.fail(), moved);
  network.runUntil(() => now()?.address === 'tcp:127.0.0.1:9999', limitMs);
  assert.deepEqual(now(), { ...memberOf(4), address: 'tcp:127.0.0.1:9999', slot: 17 });
  assert.equal(network.module(ids[0] as CoreletId).changes.at(-1)?.cause, 'update');
});

test('leaving on purpose needs no suspicion, and comes back only when asked', () => {
  const { network, ids } = running(14, slots(6));
  const goes = ids[5] as CoreletId;
  network.step(goes, (core) => core.leave(network.nowMs));
  const tookMs = network.runUntil(() => network.agreed(ids.slice(0, 5)), limitMs);
  assert.ok(tookMs < 500, `${tookMs} ms`);
  network.runFor(5000);
  assert.equal(network.core(goes).standing, 'left');
  assert.equal(network.module(ids[0] as CoreletId).changes.at(-1)?.cause, 'leave');
  network.step(goes, (core) => core.join([], network.nowMs));
  network.runUntil(() => network.agreed(ids), limitMs);
});

test('a process that stood still accuses nobody when it wakes', () => {
  const { network, ids } = running(15, slots(5));
  const core = network.core(ids[0] as CoreletId);
  core.tick(network.nowMs);
  core.tick(network.nowMs + 5000);
  for (const id of ids.slice(1)) assert.equal(core.accuses(id), false);
  assert.equal(core.takeEffects().messages.length, 0);
});

test('a module that flaps waits longer each time before it is taken back', () => {
  const { network, ids } = running(16, slots(6));
  const flapping = ids[2] as CoreletId;
  const waits: number[] = [];
  for (let round = 0; round < 4; round++) {
    network.crash(flapping);
    network.runUntil(() => network.agreed(without(ids, flapping)), limitMs);
    network.start(flapping);
    waits.push(network.runUntil(() => network.agreed(ids), 60_000));
    network.runFor(1500);
  }
  console.log(`re-admission after ${waits.map(Math.round).join(', ')} ms`);
  assert.ok((waits[0] as number) < 1000, 'once is no flapping');
  assert.ok((waits[3] as number) > 15_000);
  const { score } = network.core(ids[0] as CoreletId).flapping(flapping, network.nowMs);
  assert.ok(score > 3, 'cumulative, and known to those who judge');
});

test('a module that comes and goes every five seconds is removed twice, then stays out, and is taken back when it stays', () => {
  for (const way of ['restarts', 'pauses'] as const) {
    const { network, ids } = running(18, slots(8));
    const flapping = ids[3] as CoreletId;
    const rest = without(ids, flapping);
    const removals = () =>
      network.module(ids[0] as CoreletId).changes.filter((change) => change.removed.some(({ id }) => id === flapping));
    for (let round = 0; round < 6; round++) {
      if (way === 'restarts') network.crash(flapping);
      else network.blocked = (from, to) => from === flapping || to === flapping;
      network.runFor(5000);
      if (way === 'restarts') network.start(flapping);
      network.blocked = () => false;
      network.runFor(5000);
    }
    assert.equal(removals().length, 2, `${way}: its data would be moved each time`);
    assert.ok(network.agreed(rest));
    const { heldDownMs } = network.core(ids[0] as CoreletId).flapping(flapping, network.nowMs);
    assert.ok(heldDownMs > 0 && heldDownMs <= 10_000);
    network.runUntil(() => network.agreed(ids), 10_000);
  }
});

test('a lone Corelet founds a cluster, and others grow it from blank', () => {
  const network = new Network(17);
  const first = network.found([memberOf(0)]);
  network.startAll();
  const all = [...first];
  for (let slot = 1; slot < 6; slot++) all.push(network.add(memberOf(slot)));
  for (const id of all.slice(1)) network.start(id);
  network.runUntil(() => network.agreed(all), limitMs);
});
