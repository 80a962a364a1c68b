import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RemoteProtocolError } from '../../../src/base/errors.ts';
import type { CoreletId } from '../../../src/base/ids.ts';
import { decodeRegister, encodeRegister } from '../../../src/membership/register.ts';
import { decodeMembership, encodeMembership, membershipSize } from '../../../src/wire/membership/codec.ts';
import {
  type AcceptedValue,
  type Ballot,
  type Decision,
  type MembershipMessage,
  removalReasons,
  type ViewDelta,
  type WireMember,
  wireMemberStates,
} from '../../../src/wire/membership/types.ts';

/** Plain objects, as decoders make them. */
function record<T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

const id = fc
  .array(fc.integer({ min: 0, max: 15 }), { minLength: 32, maxLength: 32 })
  .map((digits) => digits.map((digit) => digit.toString(16)).join('') as CoreletId)
  .filter((text) => text !== '0'.repeat(32));
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const count = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const ids = fc.array(id, { maxLength: 5 });
const state = fc.constantFrom(...wireMemberStates);
const activeMember: fc.Arbitrary<WireMember> = record({
  id,
  address: fc.string({ maxLength: 40 }),
  slot: u32,
  zone: fc.string({ maxLength: 16 }),
  weight: fc.double({ min: 0.001, max: 1e6, noNaN: true }),
  place: u32,
  role: fc.constantFrom('active', 'spare'),
});
const member = fc
  .tuple(activeMember, state)
  .map(([one, its]): WireMember => (its === 'live' ? one : { ...one, state: its }));
const view = record({
  number: count,
  members: fc
    .uniqueArray(member, { maxLength: 5, selector: (m) => m.id })
    .map((members) => members.toSorted((a, b) => (a.id < b.id ? -1 : 1))),
});
const decision: fc.Arbitrary<Decision> = record({
  view,
  removals: fc.array(record({ id, reason: fc.constantFrom(...removalReasons), observers: ids }), { maxLength: 3 }),
  sparesWanted: u32,
});
const delta: fc.Arbitrary<ViewDelta> = record({
  removed: fc
    .uniqueArray(record({ id, reason: fc.constantFrom(...removalReasons) }), {
      maxLength: 4,
      selector: (one) => one.id,
    })
    .map((removed) => removed.toSorted((a, b) => (a.id < b.id ? -1 : 1))),
  put: view.map(({ members }) => members),
  sparesWanted: u32,
});
const ballot: fc.Arbitrary<Ballot> = record({ round: u32, proposer: id });
const accepted: fc.Arbitrary<AcceptedValue | undefined> = fc.option(record({ ballot, decision }), {
  nil: undefined,
});
const slow = record({ flashUs: u32, flashUsualUs: u32, answersUs: u32, answersUsualUs: u32 });
const type = <T extends string>(name: T): fc.Arbitrary<T> => fc.constant(name);

const message: fc.Arbitrary<MembershipMessage> = fc.oneof(
  record({ type: type('alert'), viewNumber: count, sequence: u32, hears: u32, subjects: ids }),
  record({ type: type('join'), viewNumber: count, incarnation: count, relayed: fc.boolean(), member }),
  record({ type: type('leave'), viewNumber: count }),
  record({ type: type('ask'), viewNumber: count }),
  record({ type: type('wish'), viewNumber: count, subject: id, from: state, to: state, slow }),
  record({ type: type('prepare'), number: count, ballot }),
  record({ type: type('promise'), number: count, ballot, accepted }),
  record({ type: type('refusal'), number: count, ballot, promised: ballot }),
  record({ type: type('accept'), ballot, decision }),
  record({ type: type('accepted'), number: count, ballot }),
  record({ type: type('decided'), ballot, decision }),
  record({ type: type('vote'), number: count, delta }),
);

function decodesOrFailsTyped(body: Uint8Array): void {
  try {
    decodeMembership(body);
  } catch (error) {
    assert.ok(error instanceof RemoteProtocolError, String(error));
  }
}

test('every message comes back as it was, and its size is known before', () => {
  fc.assert(
    fc.property(message, (original) => {
      const body = encodeMembership(original);
      assert.equal(body.length, membershipSize(original));
      assert.deepEqual(decodeMembership(body), original);
    }),
    { numRuns: 500 },
  );
});

test('a cut or changed message never crashes a Corelet: it fails typed', () => {
  fc.assert(
    fc.property(message, fc.nat(), fc.nat({ max: 255 }), (original, where, value) => {
      const body = encodeMembership(original);
      for (let length = 0; length < body.length; length++) {
        assert.throws(() => decodeMembership(body.subarray(0, length)), RemoteProtocolError);
      }
      const changed = body.slice();
      changed[where % body.length] = value;
      decodesOrFailsTyped(changed);
    }),
    { numRuns: 200 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), decodesOrFailsTyped));
});

test('a member list out of order is refused: lookups by id would miss', () => {
  const one: WireMember = {
    id: '1'.repeat(32) as CoreletId,
    address: 'a',
    slot: 0,
    zone: '0',
    weight: 1,
    place: 1,
    role: 'active',
  };
  const two = { ...one, id: '2'.repeat(32) as CoreletId };
  for (const members of [
    [two, one],
    [one, one],
  ]) {
    const wrong: Decision = { view: { number: 2, members }, removals: [], sparesWanted: 0 };
    const body = encodeMembership({ type: 'decided', ballot: { round: 1, proposer: one.id }, decision: wrong });
    assert.throws(() => decodeMembership(body), RemoteProtocolError);
  }
});

test('the persisted register comes back as it was, and another format is refused', () => {
  fc.assert(
    fc.property(
      accepted,
      fc.option(ballot, { nil: undefined }),
      accepted,
      fc.array(record({ id, score: fc.double({ min: 0, max: 100, noNaN: true }) }), { maxLength: 4 }),
      (newest, promised, value, flaps) => {
        const register = { newest, promised, accepted: value, flaps };
        const bytes = encodeRegister(register);
        assert.deepEqual(decodeRegister(bytes), register);
        const other = bytes.slice();
        other[0] = 99;
        assert.throws(() => decodeRegister(other), RemoteProtocolError);
      },
    ),
  );
});
