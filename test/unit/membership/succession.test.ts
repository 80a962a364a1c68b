import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { difference, successor } from '../../../src/membership/succession.ts';
import { type Member, memberById, memberBySlot, type View, viewOf } from '../../../src/ring/view.ts';
import type { Removal } from '../../../src/wire/membership/types.ts';
import { blankModule, memberOf } from './network.ts';

function chassis(count: number, spares = 0): View {
  const members = Array.from({ length: count + spares }, (_, slot) =>
    memberOf(slot, slot >= count ? { role: 'spare' } : {}),
  );
  return viewOf(1, members);
}

function silent(...members: readonly Member[]): Removal[] {
  return members.map((member) => ({ id: member.id, reason: 'silent', observers: [] }));
}

test('whatever comes and goes: one member per slot, one active per place, never below three', () => {
  const slots = fc.uniqueArray(fc.nat({ max: 9 }), { maxLength: 6 });
  fc.assert(
    fc.property(
      fc.integer({ min: 3, max: 9 }),
      fc.nat({ max: 2 }),
      slots,
      fc.array(fc.record({ slot: fc.nat({ max: 11 }), same: fc.boolean(), spare: fc.boolean() }), { maxLength: 5 }),
      (count, spares, goneSlots, comers) => {
        const view = chassis(count, spares);
        const gone = view.members.filter((m) => goneSlots.includes(m.slot));
        const joiners = comers.map(({ slot, same, spare }, i): Member => {
          const change = spare ? { role: 'spare' as const } : {};
          return same ? memberOf(slot, change) : { ...blankModule(slot, i), ...change };
        });
        const next = successor(view, silent(...gone), joiners, spares);
        if (next === undefined) return;
        const { members } = next.view;
        assert.equal(next.view.number, 2);
        assert.equal(new Set(members.map((m) => m.slot)).size, members.length);
        const places = members.filter((m) => m.role === 'active').map((m) => m.place);
        assert.equal(new Set(places).size, places.length);
        assert.ok(members.length >= 3);
        // What was removed is gone; what is gone was removed.
        const difference_ = difference(view, next.view);
        assert.deepEqual(difference_.removed.map((m) => m.id).toSorted(), next.removals.map((r) => r.id).toSorted());
      },
    ),
    { numRuns: 500 },
  );
});

test('every Corelet computes the same successor, in whatever order it heard of things', () => {
  const view = chassis(8, 2);
  const cut = silent(view.members[1] as Member, view.members[5] as Member);
  const joiners = [blankModule(1, 3), blankModule(5, 4), blankModule(20, 5)];
  const next = successor(view, cut, joiners, 2);
  assert.deepEqual(successor(view, cut.toReversed(), joiners.toReversed(), 2), next);
});

test('the lowest spare takes the place of the lowest lost; the joiner becomes the spare that is missing', () => {
  const view = chassis(5, 1);
  const lost = view.members[2] as Member;
  const next = successor(view, silent(lost), [blankModule(2, 1)], 1)?.view ?? assert.fail();
  const spare = memberBySlot(next, 5);
  assert.deepEqual([spare?.role, spare?.place], ['active', lost.place]);
  assert.equal(memberBySlot(next, 2)?.role, 'spare');
});

test('a lost spare promotes nobody', () => {
  const view = chassis(5, 2);
  const next = successor(view, silent(view.members[5] as Member), [], 2)?.view ?? assert.fail();
  assert.equal(next.members.filter((m) => m.role === 'spare').length, 1);
});

test('a returning member whose place a spare holds gets another place, not the same copies', () => {
  const view = chassis(5);
  const returning = memberOf(9, { place: (view.members[0] as Member).place });
  const next = successor(view, [], [returning], 0)?.view ?? assert.fail();
  const place = memberById(next, returning.id)?.place;
  assert.notEqual(place, returning.place);
  assert.equal(successor(view, [], [returning], 0)?.view.members.find((m) => m.id === returning.id)?.place, place);
});

test('a joiner waits while another holds its slot, and nothing changes for nothing', () => {
  const view = chassis(5);
  assert.equal(successor(view, [], [blankModule(3, 1)], 0), undefined);
  assert.equal(successor(view, [], view.members, 0), undefined);
  assert.equal(successor(view, [], [], 0), undefined);
});

test('with three left, the silent one stays, unless a blank module takes its slot', () => {
  const view = chassis(3);
  const lost = view.members[1] as Member;
  assert.equal(successor(view, silent(lost), [], 0), undefined);
  const next = successor(view, silent(lost), [blankModule(1, 1)], 0)?.view ?? assert.fail();
  assert.equal(memberBySlot(next, 1)?.place, lost.place);
});
