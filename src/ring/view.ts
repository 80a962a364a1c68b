import { assert } from '../base/assert.ts';
import type { CoreletId } from '../base/ids.ts';

/**
 * `sitting-out`: slow, so it leads nothing but stores on. `draining`: to be drawn, so it shall hold no copies. Both are
 * agreed, and kept when the member starts anew.
 */
export const memberStates = ['live', 'sitting-out', 'draining'] as const;
export type MemberState = (typeof memberStates)[number];

/** A member of the view. */
export interface Member {
  readonly id: CoreletId;
  /** `unix:PATH` or `tcp:HOST:PORT` of its fabric. */
  readonly address: string;
  readonly slot: number;
  /** Failure domain: two copies never share one while enough others exist. The slot itself by default. */
  readonly zone: string;
  /** Capacity relative to the others, > 0. */
  readonly weight: number;
  /** Seed of its place in rendezvous hashing (u32); a spare that stands in for a lost member takes over the lost one's. */
  readonly place: number;
  /** `spare` holds no copies until it takes the place of a lost member. */
  readonly role: 'active' | 'spare';
  /** Left out: live. Read it by `stateOfMember`. */
  readonly state?: MemberState;
}

export function stateOfMember(member: Member): MemberState {
  return member.state ?? 'live';
}

/** The same member in another state; live is left out, so that equal members look equal. */
export function withState(member: Member, state: MemberState): Member {
  const { state: _, ...rest } = member;
  return state === 'live' ? rest : { ...rest, state };
}

/** The agreed list of members, numbered from 1; every Corelet sees the same sequence. Members sorted by id. */
export interface View {
  readonly number: number;
  readonly members: readonly Member[];
}

/** More members than this are refused: every Corelet watches every other, and placement scores each of them per arc. */
export const membersMax = 1024;

/** A view from members in any order. Ids must differ. */
export function viewOf(number: number, members: readonly Member[]): View {
  assert(Number.isSafeInteger(number) && number >= 1, `not a view number: ${number}`);
  assert(members.length <= membersMax, `more than ${membersMax} members`);
  const sorted = members.toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  for (let i = 1; i < sorted.length; i++)
    assert(sorted[i - 1]?.id !== sorted[i]?.id, `twice in a view: ${sorted[i]?.id}`);
  return { number, members: sorted };
}

/** By binary search: members are sorted by id. */
export function memberById(view: View, id: CoreletId): Member | undefined {
  let low = 0;
  let high = view.members.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const member = view.members[middle] as Member;
    if (member.id === id) return member;
    if (member.id < id) low = middle + 1;
    else high = middle - 1;
  }
  return undefined;
}

export function hasMember(view: View, id: CoreletId): boolean {
  return memberById(view, id) !== undefined;
}

export function memberBySlot(view: View, slot: number): Member | undefined {
  return view.members.find((member) => member.slot === slot);
}

/** How many of `count` any two majorities share one of. */
export function majority(count: number): number {
  return Math.floor(count / 2) + 1;
}

export function sameMember(a: Member, b: Member): boolean {
  return (
    a.id === b.id &&
    a.address === b.address &&
    a.slot === b.slot &&
    a.zone === b.zone &&
    a.weight === b.weight &&
    a.place === b.place &&
    a.role === b.role &&
    stateOfMember(a) === stateOfMember(b)
  );
}

export function sameView(a: View, b: View): boolean {
  if (a.number !== b.number || a.members.length !== b.members.length) return false;
  return a.members.every((member, i) => sameMember(member, b.members[i] as Member));
}
