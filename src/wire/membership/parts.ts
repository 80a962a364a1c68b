import { assert } from '../../base/assert.ts';
import { type Reader, utf8Bytes, type Writer } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import type { CoreletId } from '../../base/ids.ts';
import {
  addressBytesMax,
  type Ballot,
  type Decision,
  type Removal,
  type RemovalReason,
  removalReasons,
  type ViewDelta,
  type WireMember,
  type WireMemberState,
  type WireView,
  wireMemberStates,
  wireMembersMax,
  zoneBytesMax,
} from './types.ts';

// ballot: round u32, proposer 16 bytes
export const ballotBytes = 20;

export function encodeBallot(to: Writer, ballot: Ballot): void {
  to.u32(ballot.round);
  to.id(ballot.proposer);
}

export function decodeBallot(from: Reader): Ballot {
  return { round: from.u32(), proposer: from.id() as CoreletId };
}

// ids: count u32, 16 bytes each
export function idsSize(ids: readonly CoreletId[]): number {
  return 4 + 16 * ids.length;
}

export function encodeIds(to: Writer, ids: readonly CoreletId[]): void {
  assert(ids.length <= wireMembersMax, 'more ids than members');
  to.u32(ids.length);
  for (const id of ids) to.id(id);
}

export function decodeIds(from: Reader): CoreletId[] {
  const count = from.count(wireMembersMax, 16);
  const ids: CoreletId[] = [];
  for (let i = 0; i < count; i++) ids.push(from.id() as CoreletId);
  return ids;
}

// member: id 16, slot u32, place u32, weight f64, role and state u8 (role 0 active, 1 spare, plus twice the state), address text, zone text
const memberBytesMin = 16 + 4 + 4 + 8 + 1 + 2 + 2;

export function memberSize(member: WireMember): number {
  return memberBytesMin + utf8Bytes(member.address).length + utf8Bytes(member.zone).length;
}

export function encodeMember(to: Writer, member: WireMember): void {
  to.id(member.id);
  to.u32(member.slot);
  to.u32(member.place);
  to.f64(member.weight);
  to.u8((member.role === 'active' ? 0 : 1) + 2 * wireMemberStates.indexOf(member.state ?? 'live'));
  to.text(member.address);
  to.text(member.zone);
}

export function decodeMember(from: Reader): WireMember {
  const id = from.id() as CoreletId;
  const slot = from.u32();
  const place = from.u32();
  const weight = from.f64();
  if (!(weight > 0 && Number.isFinite(weight))) throw new RemoteProtocolError(`member's weight ${weight}`);
  const code = from.u8();
  const role = (code & 1) === 1 ? 'spare' : 'active';
  const state = stateOfCode(code >>> 1);
  const address = from.text(addressBytesMax);
  const zone = from.text(zoneBytesMax);
  const member = { id, address, slot, zone, weight, place, role } as const;
  return state === 'live' ? member : { ...member, state };
}

export function stateOfCode(code: number): WireMemberState {
  const state = wireMemberStates[code];
  if (state === undefined) throw new RemoteProtocolError(`member's state ${code}`);
  return state;
}

// view: number u64, count u32, members ascending by id
export function viewSize(view: WireView): number {
  return view.members.reduce((sum, member) => sum + memberSize(member), 12);
}

export function encodeView(to: Writer, view: WireView): void {
  assert(view.members.length <= wireMembersMax, 'view too large');
  to.u64(view.number);
  to.u32(view.members.length);
  for (const member of view.members) encodeMember(to, member);
}

export function decodeView(from: Reader): WireView {
  const number = from.u64();
  if (number < 1) throw new RemoteProtocolError('view number 0');
  const count = from.count(wireMembersMax, memberBytesMin);
  const members: WireMember[] = [];
  let before = '';
  for (let i = 0; i < count; i++) {
    const member = decodeMember(from);
    if (member.id <= before) throw new RemoteProtocolError('members not ascending by id');
    before = member.id;
    members.push(member);
  }
  return { number, members };
}

// delta: sparesWanted u32, removed: count u32, each id 16, reason u8; put: count u32, members ascending by id
export function deltaSize(delta: ViewDelta): number {
  return delta.put.reduce((sum, member) => sum + memberSize(member), 12 + 17 * delta.removed.length);
}

export function encodeDelta(to: Writer, delta: ViewDelta): void {
  assert(delta.removed.length <= wireMembersMax && delta.put.length <= wireMembersMax, 'a change of too many members');
  to.u32(delta.sparesWanted);
  to.u32(delta.removed.length);
  for (const { id, reason } of delta.removed) {
    to.id(id);
    to.u8(removalReasons.indexOf(reason));
  }
  to.u32(delta.put.length);
  for (const member of delta.put) encodeMember(to, member);
}

export function decodeDelta(from: Reader): ViewDelta {
  const sparesWanted = from.u32();
  const removed: ViewDelta['removed'][number][] = [];
  for (let left = from.count(wireMembersMax, 17); left > 0; left--) {
    const id = from.id() as CoreletId;
    ascending(removed.at(-1)?.id, id);
    removed.push({ id, reason: reasonOfCode(from.u8()) });
  }
  const put: WireMember[] = [];
  for (let left = from.count(wireMembersMax, memberBytesMin); left > 0; left--) {
    const member = decodeMember(from);
    ascending(put.at(-1)?.id, member.id);
    put.push(member);
  }
  return { removed, put, sparesWanted };
}

function ascending(before: CoreletId | undefined, id: CoreletId): void {
  if (before !== undefined && id <= before) throw new RemoteProtocolError('members not ascending by id');
}

function reasonOfCode(code: number): RemovalReason {
  const reason = removalReasons[code];
  if (reason === undefined) throw new RemoteProtocolError(`removal reason ${code}`);
  return reason;
}

// decision: view, sparesWanted u32, removals: count u32, each id 16, reason u8, observers ids
const removalBytesMin = 16 + 1 + 4;

export function decisionSize(decision: Decision): number {
  const removals = decision.removals.reduce((sum, removal) => sum + 17 + idsSize(removal.observers), 4);
  return viewSize(decision.view) + 4 + removals;
}

export function encodeDecision(to: Writer, decision: Decision): void {
  encodeView(to, decision.view);
  to.u32(decision.sparesWanted);
  assert(decision.removals.length <= wireMembersMax, 'more removals than members');
  to.u32(decision.removals.length);
  for (const removal of decision.removals) {
    to.id(removal.id);
    to.u8(removalReasons.indexOf(removal.reason));
    encodeIds(to, removal.observers);
  }
}

export function decodeDecision(from: Reader): Decision {
  const view = decodeView(from);
  const sparesWanted = from.u32();
  const count = from.count(wireMembersMax, removalBytesMin);
  const removals: Removal[] = [];
  for (let i = 0; i < count; i++) {
    const id = from.id() as CoreletId;
    const reason = reasonOfCode(from.u8());
    removals.push({ id, reason, observers: decodeIds(from) });
  }
  return { view, sparesWanted, removals };
}
