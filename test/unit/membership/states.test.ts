import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreletId } from '../../../src/base/ids.ts';
import { successor } from '../../../src/membership/succession.ts';
import { type Member, memberById, stateOfMember, viewOf } from '../../../src/ring/view.ts';
import { memberOf, Network } from './network.ts';

const limitMs = 30_000;

function running(seed: number, members: readonly Member[]): { network: Network; ids: CoreletId[] } {
  const network = new Network(seed);
  const ids = network.found(members);
  network.startAll();
  network.runFor(3500);
  return { network, ids };
}

function slots(count: number): Member[] {
  return Array.from({ length: count }, (_, slot) => memberOf(slot));
}

function stateAt(network: Network, at: CoreletId, of: CoreletId): string {
  const { view } = network.core(at);
  const member = view === undefined ? undefined : memberById(view, of);
  return member === undefined ? 'outside' : stateOfMember(member);
}

function allSay(network: Network, ids: readonly CoreletId[], of: CoreletId, state: string): boolean {
  return ids.every((id) => stateAt(network, id, of) === state);
}

test('one word anywhere drains a member and lets it live again, and all agree', () => {
  const { network, ids } = running(1, slots(6));
  const [first, , , fourth] = ids as [CoreletId, CoreletId, CoreletId, CoreletId];
  network.step(first, (core) => assert.deepEqual(core.setState(fourth, 'draining', network.nowMs), { ok: true }));
  network.runUntil(() => allSay(network, ids, fourth, 'draining'), limitMs);
  network.step(fourth, (core) => core.setState(fourth, 'live', network.nowMs));
  network.runUntil(() => allSay(network, ids, fourth, 'live'), limitMs);
});

test('a draining member that is lost and comes back drains on: nothing moves to it that was moved away', () => {
  const { network, ids } = running(2, slots(5));
  const [first, second] = ids as [CoreletId, CoreletId];
  network.step(first, (core) => core.setState(second, 'draining', network.nowMs));
  network.runUntil(() => allSay(network, ids, second, 'draining'), limitMs);
  network.crash(second);
  const rest = ids.filter((id) => id !== second);
  network.runUntil(() => network.agreed(rest), limitMs);
  network.start(second);
  network.runUntil(() => network.agreed(ids), limitMs);
  assert.ok(allSay(network, ids, second, 'draining'));
});

test('nobody sits out because one member thinks so; several must, and no more than redundancy bears', () => {
  const { network, ids } = running(3, slots(7));
  const [a, b, c, d, slow, other] = ids as [CoreletId, CoreletId, CoreletId, CoreletId, CoreletId, CoreletId];
  const judge = (by: CoreletId, of: CoreletId): void =>
    network.step(by, (core) => core.setState(of, 'sitting-out', network.nowMs));
  judge(a, slow);
  network.runFor(3000);
  assert.ok(allSay(network, ids, slow, 'live'));
  for (const by of [a, b, c, d]) judge(by, slow);
  network.runUntil(() => allSay(network, ids, slow, 'sitting-out'), limitMs);
  for (const by of [a, b, c, d]) judge(by, other);
  network.runFor(3000);
  assert.ok(allSay(network, ids, other, 'live'));
});

test('an order to drain comes true for a member that sits out, and its wish is not kept for ever by a minority', () => {
  const { network, ids } = running(4, slots(5));
  const [a, b, ...rest] = ids as [CoreletId, CoreletId, ...CoreletId[]];
  network.blocked = (from, to) => [a, b].includes(from) !== [a, b].includes(to);
  network.step(a, (core) => core.setState(b, 'draining', network.nowMs));
  network.runFor(20_000);
  network.blocked = () => false;
  network.runUntil(() => network.agreed(ids), limitMs);
  assert.ok(allSay(network, rest, b, 'live'), 'given up before it could be agreed');
});

test('who drains gives its place to a spare; who drains no more gets another one', () => {
  const members = Array.from({ length: 5 }, (_, slot) => memberOf(slot, slot === 4 ? { role: 'spare' } : {}));
  const view = viewOf(1, members);
  const [first, spare] = [members[0] as Member, members[4] as Member];
  const drained = successor(view, [], [], 1, [{ id: first.id, state: 'draining' }])?.view ?? assert.fail();
  assert.equal(memberById(drained, spare.id)?.place, first.place);
  assert.equal(memberById(drained, spare.id)?.role, 'active');
  const back = successor(drained, [], [], 1, [{ id: first.id, state: 'live' }])?.view ?? assert.fail();
  const places = back.members.filter((member) => member.role === 'active').map((member) => member.place);
  assert.equal(new Set(places).size, places.length);
});
