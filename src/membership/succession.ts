import type { CoreletId } from '../base/ids.ts';
import { foldText } from '../ring/hash.ts';
import {
  type Member,
  type MemberState,
  memberById,
  membersMax,
  sameMember,
  sameView,
  stateOfMember,
  type View,
  viewOf,
  withState,
} from '../ring/view.ts';
import type { Decision, Removal } from '../wire/membership/types.ts';
import { membersFloor } from './types.ts';
import type { StateChange } from './wishes.ts';

/**
 * The view that follows: without the cut, with the joiners, with spares in the places of the lost. Pure and
 * deterministic. Undefined when nothing would change.
 *
 * - A spare (lowest id first) becomes active in the `place` of a lost active member: exactly its copies move there.
 * - A joiner whose slot a remaining member holds waits; in the slot of one that goes now it takes over its place.
 * - A joiner becomes a spare when it wishes to or when spares are missing.
 * - A joiner that is a member gets its new address, slot, zone and weight; role and place stay as agreed.
 * - A member that is to drain gives its place to a spare, as one that is lost does; one that drains no more holds copies
 *   again, in another place if its own is taken.
 * - No removal takes the view below `membersFloor` (or below its size, if it is smaller): those that went on purpose
 *   are kept first, as they may still be there.
 */
export function successor(
  view: View,
  cut: readonly Removal[],
  joiners: readonly Member[],
  sparesWanted: number,
  changes: readonly StateChange[] = [],
): Decision | undefined {
  const floor = Math.min(membersFloor, view.members.length);
  const removals = cut
    .filter((removal) => memberById(view, removal.id) !== undefined)
    .toSorted((a, b) => (a.reason === b.reason ? compare(a.id, b.id) : a.reason === 'silent' ? -1 : 1));
  for (;;) {
    const members = step(view, removals, joiners, sparesWanted, changes);
    if (members.length < floor && removals.length > 0) {
      removals.pop();
      continue;
    }
    const next = viewOf(view.number + 1, members);
    if (sameView({ ...next, number: view.number }, view)) return undefined;
    return { view: next, removals, sparesWanted: Math.max(sparesWanted, spareCount(members)) };
  }
}

export function spareCount(members: readonly Member[]): number {
  return members.filter((member) => member.role === 'spare').length;
}

function step(
  view: View,
  removals: readonly Removal[],
  joiners: readonly Member[],
  sparesWanted: number,
  changes: readonly StateChange[],
): readonly Member[] {
  const gone = new Set<CoreletId>(removals.map((removal) => removal.id));
  const members = new Map<CoreletId, Member>();
  for (const member of view.members) if (!gone.has(member.id)) members.set(member.id, member);
  for (const { id, state } of changes) changeState(members, id, state);
  const drains = new Set(changes.filter(({ state }) => state === 'draining').map(({ id }) => id));
  const vacant = view.members.filter(
    (member) => (gone.has(member.id) || drains.has(member.id)) && member.role === 'active',
  );
  const open: Member[] = [];
  for (const lost of vacant) {
    const spare = [...members.values()].find((member) => member.role === 'spare' && stateOfMember(member) === 'live');
    if (spare === undefined) open.push(lost);
    else members.set(spare.id, { ...spare, role: 'active', place: lost.place });
  }
  for (const joiner of joiners.toSorted((a, b) => compare(a.id, b.id))) {
    if (gone.has(joiner.id)) continue; // the next view may take it back
    if ([...members.values()].some((member) => member.slot === joiner.slot && member.id !== joiner.id)) continue;
    const known = members.get(joiner.id);
    if (known !== undefined) {
      members.set(joiner.id, withState({ ...joiner, role: known.role, place: known.place }, stateOfMember(known)));
    } else if (members.size < membersMax) {
      members.set(joiner.id, admitted(joiner, [...members.values()], open, sparesWanted));
    }
  }
  return [...members.values()];
}

function changeState(members: Map<CoreletId, Member>, id: CoreletId, state: MemberState): void {
  const member = members.get(id);
  if (member === undefined) return;
  const back = member.role === 'active' && stateOfMember(member) === 'draining';
  const others = [...members.values()].filter((other) => other.id !== id);
  members.set(id, withState(back ? { ...member, place: freePlace(member, others) } : member, state));
}

/** The member's own place, or another where an active one has that: two in one place would hold the same copies. */
function freePlace(member: Member, others: readonly Member[], wanted: number = member.place): number {
  const taken = new Set(others.filter((other) => other.role === 'active').map((other) => other.place));
  let place = wanted;
  for (let salt = 1; taken.has(place); salt++) place = foldText(salt, member.id);
  return place;
}

function admitted(joiner: Member, members: readonly Member[], open: readonly Member[], sparesWanted: number): Member {
  if (joiner.role === 'spare' || spareCount(members) < sparesWanted) return { ...joiner, role: 'spare' };
  const before = open.find((lost) => lost.slot === joiner.slot);
  // A spare that stood in may hold the place that this one had.
  return { ...joiner, role: 'active', place: freePlace(joiner, members, before?.place ?? joiner.place) };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export interface ViewDifference {
  readonly removed: readonly Member[];
  readonly joined: readonly Member[];
  readonly changed: readonly Member[];
}

export function difference(previous: View | undefined, view: View): ViewDifference {
  const removed = (previous?.members ?? []).filter((member) => memberById(view, member.id) === undefined);
  const joined: Member[] = [];
  const changed: Member[] = [];
  for (const member of view.members) {
    const before = previous === undefined ? undefined : memberById(previous, member.id);
    if (before === undefined) joined.push(member);
    else if (!sameMember(before, member)) changed.push(member);
  }
  return { removed, joined, changed };
}
