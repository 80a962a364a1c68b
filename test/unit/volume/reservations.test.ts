import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Reader, Writer } from '../../../src/base/bytes.ts';
import type { VolumeId } from '../../../src/base/ids.ts';
import { openToAll } from '../../../src/volume/access.ts';
import { decodeRecord, encodeRecord, type VolumeRecord } from '../../../src/volume/records.ts';
import { applyReservation, type ReservationAction } from '../../../src/volume/reservation-actions.ts';
import {
  allows,
  decodeReservations,
  encodeReservations,
  isHolder,
  isRegistered,
  noKey,
  noReservations,
  type Reservations,
  reservationsBytesMax,
  reservationTypes,
  takesRight,
} from '../../../src/volume/reservations.ts';

// The register of one volume's reservations by itself: a pure function from what is and what is asked to what will be.

const ids = ['a', 'b', 'c'] as const;
const id = fc.constantFrom(...ids);
const key = fc.constantFrom(noKey, '0000000000000001', '0000000000000002', '0000000000000003');
const type = fc.constantFrom(...reservationTypes);
const action: fc.Arbitrary<ReservationAction> = fc.oneof(
  fc.record({ kind: fc.constant('register' as const), id, key, newKey: key, ignoreKey: fc.boolean() }),
  fc.record({ kind: fc.constant('reserve' as const), id, key, type }),
  fc.record({ kind: fc.constant('release' as const), id, key, type }),
  fc.record({ kind: fc.constant('clear' as const), id, key }),
  fc.record({ kind: fc.constant('preempt' as const), id, key, victim: key, type }),
  fc.record({ kind: fc.constant('sessionReserve' as const), id }),
  fc.record({ kind: fc.constant('sessionRelease' as const), id }),
  fc.record({ kind: fc.constant('reset' as const) }),
);

function after(state: Reservations, ...actions: ReservationAction[]): Reservations {
  for (const each of actions) {
    const next = applyReservation(state, each);
    if (typeof next !== 'string') state = next;
  }
  return state;
}

function roundTripped(state: Reservations): Reservations {
  const writer = new Writer();
  encodeReservations(writer, state);
  const reader = new Reader(writer.written());
  const read = decodeReservations(reader);
  reader.done();
  return read;
}

test('whatever hosts ask, in any order, the register stays one that makes sense, and is stored as it is', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      let state = noReservations;
      for (const each of actions) {
        const before = state;
        state = after(before, each);
        const { registrants, held, sessionHolder } = state;
        assert.equal(new Set(registrants.map((registrant) => registrant.id)).size, registrants.length);
        assert.ok(registrants.every((registrant) => registrant.key !== noKey));
        if (held?.holder !== undefined) assert.ok(isRegistered(state, held.holder), 'who holds is registered');
        else if (held !== undefined) assert.ok(registrants.length > 0, 'held by all means by somebody');
        assert.ok(sessionHolder === undefined || registrants.length === 0);
        if (registrants !== before.registrants) assert.notEqual(state.generation, before.generation);
        assert.deepEqual(roundTripped(state), state);
      }
    }),
    { numRuns: 2000 },
  );
});

test('somebody can always write, and a holder always can', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const state = after(noReservations, ...actions);
      const who = [...ids, undefined];
      assert.ok(who.some((each) => allows(state, each, 'write')));
      for (const each of ids) {
        if (isHolder(state, each)) assert.ok(allows(state, each, 'write') && allows(state, each, 'read'));
        // Who may write may read.
        assert.ok(!allows(state, each, 'write') || allows(state, each, 'read'));
      }
    }),
    { numRuns: 2000 },
  );
});

test('a change that takes a right from anyone is known as one: else its epoch would stay', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 20 }), action, (actions, last) => {
      const before = after(noReservations, ...actions);
      const now = after(before, last);
      const loses = [...ids, undefined].some((each) =>
        (['read', 'write'] as const).some((right) => allows(before, each, right) && !allows(now, each, right)),
      );
      assert.equal(takesRight(before, now), loses || before.resets !== now.resets);
    }),
    { numRuns: 5000 },
  );
});

test('INV-8: registrants end where the record would grow too large', () => {
  let state = noReservations;
  let count = 0;
  for (; count < 10_000; count++) {
    const name = `${'x'.repeat(200)}${count}`;
    const next = applyReservation(state, {
      kind: 'register',
      id: name,
      key: noKey,
      newKey: '00000000000000ff',
      ignoreKey: true,
    });
    if (next === 'FULL') break;
    assert.ok(typeof next !== 'string');
    state = next;
  }
  assert.ok(count > 64 && count < 200);
  const writer = new Writer();
  encodeReservations(writer, state);
  assert.ok(writer.length <= reservationsBytesMax);
});

test('a volume’s record keeps both states of a change that is under way, and older formats have none', () => {
  const reservations = after(noReservations, {
    kind: 'register',
    id: 'a',
    key: noKey,
    newKey: '0000000000000001',
    ignoreKey: false,
  });
  const record: VolumeRecord = {
    id: 7 as VolumeId,
    name: 'v',
    sizeBytes: 1 << 20,
    copies: 3,
    epoch: 4,
    state: 'closing',
    access: openToAll,
    nextAccess: openToAll,
    reservations,
    nextReservations: after(reservations, {
      kind: 'reserve',
      id: 'a',
      key: '0000000000000001',
      type: 'exclusiveAccess',
    }),
  };
  assert.deepEqual(decodeRecord(encodeRecord(record)), record);
  // Format 2 ended after the rules of access.
  const open: VolumeRecord = {
    ...record,
    state: 'open',
    nextAccess: undefined,
    reservations: noReservations,
    nextReservations: undefined,
  };
  const old = encodeRecord(open).slice();
  old[0] = 1;
  assert.deepEqual(decodeRecord(old), open);
});
