import type { CoreletId } from '../../base/ids.ts';

/**
 * What Corelets say to each other to agree on the list of members. Each travels as the body of a peer message
 * `membership`: format version (u8), kind (u8), then the fields as their codec file tells. Little-endian.
 */
export type MembershipMessage =
  | Alert
  | Join
  | Leave
  | Ask
  | Wish
  | Prepare
  | Promised
  | Refusal
  | Accept
  | Accepted
  | Decided
  | Vote;

export const membershipFormat = 1;
export const wireMembersMax = 1024;
export const addressBytesMax = 256;
export const zoneBytesMax = 64;

/** As in ring/view.ts; a state's number on the wire is its position. */
export const wireMemberStates = ['live', 'sitting-out', 'draining'] as const;
export type WireMemberState = (typeof wireMemberStates)[number];

/** The shape of a member (ring/view.ts) as it travels. */
export interface WireMember {
  readonly id: CoreletId;
  readonly address: string;
  readonly slot: number;
  readonly zone: string;
  readonly weight: number;
  readonly place: number;
  readonly role: 'active' | 'spare';
  /** Left out: live. */
  readonly state?: WireMemberState;
}
export interface WireView {
  readonly number: number;
  /** Ascending by id, none twice: checked at decode. */
  readonly members: readonly WireMember[];
}

/** Orders proposals for one view number: by round, then by proposer. */
export interface Ballot {
  readonly round: number; // u32, from 1
  readonly proposer: CoreletId;
}

export const removalReasons = ['silent', 'left'] as const;
export type RemovalReason = (typeof removalReasons)[number];

/** Who goes, why, and who had accused it: kept so that `corelet why` can tell it. */
export interface Removal {
  readonly id: CoreletId;
  readonly reason: RemovalReason;
  readonly observers: readonly CoreletId[];
}

/** What is agreed under one view number. */
export interface Decision {
  readonly view: WireView;
  readonly removals: readonly Removal[];
  /** The number of spares that the chassis should have: a member that comes while there are fewer becomes one. */
  readonly sparesWanted: number;
}

/** All that the sender accuses under this view, and how many members it hears itself. A later one replaces it. */
export interface Alert {
  readonly type: 'alert';
  readonly viewNumber: number;
  readonly sequence: number; // u32, rising per sender and incarnation
  readonly hears: number;
  readonly subjects: readonly CoreletId[];
}
/** Asks for admission, or for a change of the sender's record when it is a member. `relayed`: passed on by a member. */
export interface Join {
  readonly type: 'join';
  readonly viewNumber: number; // the newest that the joiner knows, 0 for none
  readonly incarnation: number;
  readonly relayed: boolean;
  readonly member: WireMember;
}
/** The sender goes on purpose. */
export interface Leave {
  readonly type: 'leave';
  readonly viewNumber: number;
}
/** A member's state shall change, if it is `from` when the change is agreed. Told to all members, and repeated. */
export interface Wish {
  readonly type: 'wish';
  readonly viewNumber: number;
  readonly subject: CoreletId;
  readonly from: WireMemberState;
  readonly to: WireMemberState;
  readonly slow: WireSlow;
}
/** Why a member shall sit out: what takes it so long, as the sender knows it, and what is usual. u32 each; 0 and 0: not that. */
export interface WireSlow {
  readonly flashUs: number;
  readonly flashUsualUs: number;
  readonly answersUs: number;
  readonly answersUsualUs: number;
}
/** Please tell me the newest view, if it is newer than mine. */
export interface Ask {
  readonly type: 'ask';
  readonly viewNumber: number;
}

// ---- agreement on one view number, among the members of the view before (single-decree Paxos; Lamport, 2001) ------

export interface Prepare {
  readonly type: 'prepare';
  readonly number: number;
  readonly ballot: Ballot;
}
export interface Promised {
  readonly type: 'promise';
  readonly number: number;
  readonly ballot: Ballot;
  readonly accepted: AcceptedValue | undefined;
}
export interface AcceptedValue {
  readonly ballot: Ballot;
  readonly decision: Decision;
}
/** Not under this ballot: `promised` is higher. */
export interface Refusal {
  readonly type: 'refusal';
  readonly number: number;
  readonly ballot: Ballot;
  readonly promised: Ballot;
}
export interface Accept {
  readonly type: 'accept';
  readonly ballot: Ballot;
  readonly decision: Decision; // the number is the view's
}
export interface Accepted {
  readonly type: 'accepted';
  readonly number: number;
  readonly ballot: Ballot;
}
/** What one view has that the one before has not, in full: so that votes are the same exactly when they are for the same view. */
export interface ViewDelta {
  /** Ascending by id. */
  readonly removed: readonly Pick<Removal, 'id' | 'reason'>[];
  /** Members that came, or whose record changed; ascending by id. */
  readonly put: readonly WireMember[];
  readonly sparesWanted: number;
}
/** The sender has accepted this under the fast ballot, round 0 (Rapid §4.3; Lamport, "Fast Paxos", 2006). */
export interface Vote {
  readonly type: 'vote';
  readonly number: number; // of the view that is voted for
  readonly delta: ViewDelta;
}
/** A majority of the view before has accepted `decision` under `ballot` (round 0: the founding view). */
export interface Decided {
  readonly type: 'decided';
  readonly ballot: Ballot;
  readonly decision: Decision;
}
