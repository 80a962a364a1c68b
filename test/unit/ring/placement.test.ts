import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ArcId, CoreletId } from '../../../src/base/ids.ts';
import { mix32 } from '../../../src/ring/hash.ts';
import { negativeLogarithm } from '../../../src/ring/logarithm.ts';
import { PlacementTable, place, placementOf } from '../../../src/ring/placement.ts';
import { type Member, majority, memberById, sameView, type View, viewOf, withState } from '../../../src/ring/view.ts';

const arcs = 256;
const copies = 3;

function member(n: number, seed: number, change: Partial<Member> = {}): Member {
  return {
    id: (mix32(n + seed * 7919) + n * 2 ** 32).toString(16).padStart(32, '0') as CoreletId,
    address: `tcp:127.0.0.1:${9000 + n}`,
    slot: n,
    zone: String(n),
    weight: 1,
    place: mix32(seed * 100_003 + n * 7919 + 1),
    role: 'active',
    ...change,
  };
}

function chassis(count: number, seed: number): View {
  return viewOf(
    1,
    Array.from({ length: count }, (_, n) => member(n, seed)),
  );
}

function lists(view: View): readonly (readonly CoreletId[])[] {
  return Array.from({ length: arcs }, (_, arc) => place(view, arc as ArcId, copies));
}

const sizes = fc.integer({ min: 4, max: 40 });
const seeds = fc.integer({ min: 0, max: 1_000_000 });

test('a loss moves only the copies of the lost member: rebuild traffic stays at what was lost', () => {
  fc.assert(
    fc.property(sizes, seeds, seeds, (count, seed, pick) => {
      const view = chassis(count, seed);
      const lost = view.members[pick % count] as Member;
      const after = lists(
        viewOf(
          2,
          view.members.filter((m) => m !== lost),
        ),
      );
      for (const [arc, before] of lists(view).entries()) {
        const now = after[arc] as readonly CoreletId[];
        const kept = before.filter((id) => id !== lost.id);
        assert.deepEqual(now.slice(0, kept.length), kept); // the survivors stay, in their order
        assert.equal(now.length, Math.min(copies, count - 1));
      }
    }),
    { numRuns: 40 },
  );
});

test('a join moves only the copies that the new member gains, about copies ÷ members of them', () => {
  for (const count of [6, 24, 200]) {
    let movedTotal = 0;
    const rounds = 10;
    for (let seed = 0; seed < rounds; seed++) {
      const view = chassis(count, seed);
      const joiner = member(count, seed);
      const after = lists(viewOf(2, [...view.members, joiner]));
      for (const [arc, before] of lists(view).entries()) {
        const now = after[arc] as readonly CoreletId[];
        if (!now.includes(joiner.id)) {
          assert.deepEqual(now, before);
          continue;
        }
        movedTotal++;
        const others = now.filter((id) => id !== joiner.id);
        assert.deepEqual(others, before.slice(0, copies - 1));
      }
    }
    const moved = movedTotal / rounds;
    const expected = (arcs * copies) / (count + 1);
    console.log(
      `join of member ${count + 1}: ${moved.toFixed(1)} of ${arcs * copies} copies move, ideal ${expected.toFixed(1)}`,
    );
    assert.ok(Math.abs(moved - expected) < 0.25 * expected + 1, `${moved} copies moved, ${expected} expected`);
  }
});

test('copies and leaderships are balanced, so no Corelet is the bottleneck', () => {
  for (const [count, lowest, highest] of [
    [6, 0.85, 1.15],
    [24, 0.4, 1.6],
    [200, 0, 3.2],
  ] as const) {
    const view = chassis(count, 1);
    const table = new PlacementTable(view, arcs, copies);
    const held = view.members.map((m) => table.arcsOf(m.id).length);
    const leaders = lists(view).map((_, arc) => table.leaderOf(arc as ArcId));
    const led = view.members.map((m) => leaders.filter((id) => id === m.id).length);
    const mean = (arcs * copies) / count;
    console.log(
      `${count} members × ${arcs} arcs: copies ${Math.min(...held)}–${Math.max(...held)}, mean ${mean.toFixed(1)}; ` +
        `leads ${Math.min(...led)}–${Math.max(...led)}, mean ${(arcs / count).toFixed(1)}`,
    );
    assert.ok(Math.min(...held) >= mean * lowest);
    assert.ok(Math.max(...held) <= mean * highest);
    assert.ok(Math.max(...led) <= Math.ceil(arcs / count) + 1);
  }
});

test('the table names the same copies as `place`, and is made once per view', () => {
  const view = chassis(24, 5);
  const table = placementOf(view, arcs, copies);
  assert.equal(placementOf(view, arcs, copies), table);
  for (const [arc, list] of lists(view).entries())
    assert.deepEqual(table.of(arc as ArcId).toSorted(), list.toSorted(), `arc ${arc}`);
});

test('a loss changes few preferred leaders of arcs that it does not concern', () => {
  const view = chassis(24, 9);
  const lost = view.members[3] as Member;
  const before = new PlacementTable(view, arcs, copies);
  const after = new PlacementTable(
    viewOf(
      2,
      view.members.filter((m) => m !== lost),
    ),
    arcs,
    copies,
  );
  let disturbed = 0;
  for (let arc = 0; arc < arcs; arc++) {
    const leader = before.leaderOf(arc as ArcId);
    if (leader !== lost.id && leader !== after.leaderOf(arc as ArcId)) disturbed++;
  }
  console.log(`leaderships moved beside the lost ones: ${disturbed} of ${arcs}`);
  assert.ok(disturbed <= arcs / 8);
});

test('a member of twice the weight holds about twice the copies, so a larger module is used', () => {
  let heavy = 0;
  const rounds = 20;
  for (let seed = 0; seed < rounds; seed++) {
    const members = Array.from({ length: 24 }, (_, n) => member(n, seed, { weight: n === 0 ? 2 : 1 }));
    heavy += lists(viewOf(1, members)).filter((list) => list.includes((members[0] as Member).id)).length;
  }
  const mean = heavy / rounds;
  const fair = (arcs * copies * 2) / 25;
  console.log(`weight 2 of 25: ${mean.toFixed(1)} copies, proportional ${fair.toFixed(1)}`);
  assert.ok(mean > 0.85 * fair && mean < 1.1 * fair);
});

test('no two copies share a zone while there are zones enough; else as many zones as there are', () => {
  fc.assert(
    fc.property(sizes, seeds, fc.integer({ min: 1, max: 8 }), (count, seed, zones) => {
      const members = Array.from({ length: count }, (_, n) => member(n, seed, { zone: `rack${n % zones}` }));
      const view = viewOf(1, members);
      for (const list of lists(view)) {
        assert.equal(new Set(list).size, Math.min(copies, count));
        const used = new Set(list.map((id) => memberById(view, id)?.zone));
        assert.equal(used.size, Math.min(copies, zones, count));
      }
    }),
    { numRuns: 40 },
  );
});

test('with shared zones a loss still replaces one copy only', () => {
  fc.assert(
    fc.property(sizes, seeds, seeds, fc.integer({ min: 1, max: 8 }), (count, seed, pick, zones) => {
      const view = viewOf(
        1,
        Array.from({ length: count }, (_, n) => member(n, seed, { zone: `rack${n % zones}` })),
      );
      const lost = view.members[pick % count] as Member;
      const after = lists(
        viewOf(
          2,
          view.members.filter((m) => m !== lost),
        ),
      );
      for (const [arc, before] of lists(view).entries()) {
        const now = new Set(after[arc]);
        for (const id of before) assert.ok(id === lost.id || now.has(id), `arc ${arc} moved ${id} without need`);
      }
    }),
    { numRuns: 40 },
  );
});

test('a spare that takes over a place gets exactly the copies of the lost one: one stream in, nothing else moves', () => {
  const spare = member(24, 3, { role: 'spare' });
  const view = viewOf(1, [...chassis(24, 3).members, spare]);
  const before = lists(view);
  assert.ok(before.every((list) => !list.includes(spare.id)));
  for (const lost of view.members.filter((m) => m.role === 'active')) {
    const promoted: Member = { ...spare, role: 'active', place: lost.place };
    const rest = view.members.filter((m) => m.id !== lost.id && m.id !== spare.id);
    const after = lists(viewOf(2, [...rest, promoted]));
    for (const [arc, list] of before.entries())
      assert.deepEqual(
        after[arc],
        list.map((id) => (id === lost.id ? spare.id : id)),
      );
  }
});

test('a draining member holds nothing while the others are enough, and what it held is all that moves', () => {
  const view = chassis(8, 0);
  const before = lists(view);
  const going = view.members[3] as Member;
  const drained = view.members.map((m) => (m.id === going.id ? withState(m, 'draining') : m));
  for (const [arc, list] of lists(viewOf(2, drained)).entries()) {
    assert.ok(!list.includes(going.id));
    const stay = (before[arc] as readonly CoreletId[]).filter((id) => id !== going.id);
    assert.ok(stay.every((id) => list.includes(id)));
  }
});

test('a drain lowers no redundancy: with too few others the draining ones keep their copies', () => {
  const drained = chassis(4, 0).members.map((m, i) => (i < 2 ? withState(m, 'draining') : m));
  for (const list of lists(viewOf(2, drained))) {
    assert.equal(list.length, 3);
    assert.equal(list.filter((id) => drained.slice(2).some((m) => m.id === id)).length, 2);
  }
});

test('who sits out keeps its copies and leads nothing; the others share what it led', () => {
  const view = chassis(8, 0);
  const slow = view.members[2] as Member;
  const after = viewOf(
    2,
    view.members.map((m) => (m.id === slow.id ? withState(m, 'sitting-out') : m)),
  );
  const table = new PlacementTable(after, 256, 3);
  const was = new PlacementTable(view, 256, 3);
  assert.deepEqual(table.arcsOf(slow.id), was.arcsOf(slow.id));
  const leads = new Map<CoreletId, number>();
  for (let arc = 0; arc < 256; arc++) {
    const leader = table.leaderOf(arc as ArcId) as CoreletId;
    leads.set(leader, (leads.get(leader) ?? 0) + 1);
  }
  assert.equal(leads.get(slow.id), undefined);
  assert.ok(Math.max(...leads.values()) - Math.min(...leads.values()) <= 4);
});

test('the answer is the same on every machine: pinned values', () => {
  const view = chassis(6, 0);
  const slots = [0, 1, 2, 255].map((arc) => place(view, arc as ArcId, 3).map((id) => memberById(view, id)?.slot));
  assert.deepEqual(slots, [
    [4, 5, 3],
    [3, 1, 2],
    [4, 3, 1],
    [3, 4, 1],
  ]);
});

test('fewer members than copies: fewer ids, none twice', () => {
  assert.equal(place(chassis(2, 1), 0 as ArcId, 3).length, 2);
  assert.equal(place(viewOf(1, []), 0 as ArcId, 3).length, 0);
});

test('the logarithm is right, so weights mean what they say', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-12, max: 1, noNaN: true }), (u) => {
      const expected = -Math.log(u);
      assert.ok(Math.abs(negativeLogarithm(u) - expected) <= 1e-14 * Math.max(1, expected));
    }),
  );
});

test('views: order of members does not matter, any change of a member does', () => {
  const view = chassis(6, 2);
  assert.ok(sameView(view, viewOf(1, view.members.toReversed())));
  for (const change of [
    { slot: 99 },
    { weight: 2 },
    { place: 1 },
    { role: 'spare' },
    { zone: 'x' },
    { address: 'y' },
  ] as const)
    assert.ok(!sameView(view, viewOf(1, [{ ...(view.members[0] as Member), ...change }, ...view.members.slice(1)])));
  for (const m of view.members) assert.equal(memberById(view, m.id), m);
  assert.equal(memberById(view, 'f'.repeat(32) as CoreletId), undefined);
  assert.throws(() => viewOf(1, [...view.members, view.members[0] as Member]));
  assert.deepEqual([1, 2, 3, 4, 5, 6].map(majority), [1, 2, 2, 3, 3, 4]);
});
