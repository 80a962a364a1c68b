import type { LogIndex, Term } from '../base/ids.ts';

/** A replica as a voter sees it: Corelet id and generation in one opaque string. The core only compares them (design §10.12). */
export type MemberId = string;

/** `votersOutgoing` is empty unless joint; then a decision needs a majority of both sets (Ongaro §4.3). */
export interface Configuration {
  readonly voters: readonly MemberId[];
  readonly votersOutgoing: readonly MemberId[];
  readonly learners: readonly MemberId[];
}

export const entryKinds = { noop: 0, configuration: 1, command: 2 } as const;
export type EntryKind = (typeof entryKinds)[keyof typeof entryKinds];

/** `body` belongs to the arc: opaque here. It may be dropped from memory once durable; the log then holds only the shape. */
export interface Entry<Body> {
  readonly term: Term;
  readonly index: LogIndex;
  readonly kind: EntryKind;
  /** Bytes this entry takes in a message, for flow control. */
  readonly bytes: number;
  /** Present exactly when kind is `configuration`. */
  readonly configuration?: Configuration;
  body: Body | undefined;
}

export interface HardState {
  readonly term: Term;
  readonly vote: MemberId | undefined;
}

export type RaftMessage<Body> =
  | AppendRequest<Body>
  | AppendReply
  | VoteRequest
  | VoteReply
  | ReadProbe
  | ReadProbeReply
  | TimeoutNow;

export interface AppendRequest<Body> {
  readonly type: 'append';
  readonly term: Term;
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  readonly commit: LogIndex;
  readonly entries: readonly Entry<Body>[];
}
/** `matched` true: durable here up to `index`. False: refused; `index` is the highest that could match, `hintTerm` its term here. */
export interface AppendReply {
  readonly type: 'appendReply';
  readonly term: Term;
  readonly matched: boolean;
  readonly index: LogIndex;
  readonly hintTerm: Term;
}
export interface VoteRequest {
  readonly type: 'vote';
  /** With `pre`, the term it would campaign in. */
  readonly term: Term;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly pre: boolean;
  /** Asked by the leader itself (leadership transfer): a live leader is then no reason to refuse. */
  readonly transfer: boolean;
}
export interface VoteReply {
  readonly type: 'voteReply';
  readonly term: Term;
  readonly pre: boolean;
  readonly granted: boolean;
}
export interface ReadProbe {
  readonly type: 'readProbe';
  readonly term: Term;
  readonly context: number;
}
export interface ReadProbeReply {
  readonly type: 'readProbeReply';
  readonly term: Term;
  readonly context: number;
}
export interface TimeoutNow {
  readonly type: 'timeoutNow';
  readonly term: Term;
}

export interface Outgoing<Body> {
  readonly to: MemberId;
  readonly message: RaftMessage<Body>;
  /**
   * True: only after everything in this and all earlier effects is durable (votes, append acknowledgements, a campaign's
   * requests after its own vote). False: at once (a leader's appends travel beside its own sync).
   */
  readonly afterSync: boolean;
}

/**
 * What the owner must do, in this order:
 * 1. persist `truncateFrom` (drop the suffix from that index on), then `append`, then `hardState`, in one group commit;
 * 2. send the messages without `afterSync` now, the others when that commit is durable;
 * 3. apply entries up to `commitIndex` in order, and tell `applied(index)`;
 * 4. answer `readsReady` once `index` is applied; fail `readsRefused` (leadership lost: outcome unknown is harmless for reads).
 * When the commit is durable: `persisted(index, term)` with the last index appended.
 */
export interface Effects<Body> {
  truncateFrom: LogIndex | undefined;
  append: readonly Entry<Body>[];
  hardState: HardState | undefined;
  messages: readonly Outgoing<Body>[];
  commitIndex: LogIndex;
  readsReady: readonly { readonly token: number; readonly index: LogIndex }[];
  readsRefused: readonly number[];
  /** A follower needs entries that the log no longer holds: copy the state to it, then `copied(member, index)`. */
  copyNeeded: readonly MemberId[];
  /** Role, term, leader or active configuration changed. */
  changed: boolean;
}

/** Why a campaign may start (design §10.13). */
export type ElectionCause = 'reset' | 'lapse' | 'complaint' | 'view' | 'no-leader';

/** All limits of the core, named. Times in milliseconds. */
export interface RaftLimits {
  /** Entry bytes in one append message; one entry may exceed it alone. */
  readonly appendBytesMax: number;
  /** Entry bytes sent and not yet acknowledged, per follower. */
  readonly inflightBytesMax: number;
  readonly inflightMessagesMax: number;
  /** Entries proposed and not yet committed; more are refused with BUSY. */
  readonly uncommittedEntriesMax: number;
  readonly uncommittedBytesMax: number;
  readonly pendingReadsMax: number;
  /** Order of candidates: position in the configuration times this, plus up to as much again of jitter. */
  readonly candidateStepMs: number;
  /** A campaign without result starts again after this, growing to the maximum. */
  readonly campaignRetryMs: number;
  readonly campaignRetryMaxMs: number;
  /** An unanswered append to a live follower is sent again after this. */
  readonly resendMs: number;
  /** A leader that somebody complains about, asked whether it leads, has so long to show itself. */
  readonly leaderProofMs: number;
  /** Reads are confirmed by the quickest followers; the others are asked too when they don't answer within this. */
  readonly readHedgeMs: number;
  /** Leaders read alone while a majority promises to elect nobody else (design §10.7). */
  readonly leases: boolean;
  /** How long a follower's promise binds it. With an election on top it bounds how soon a killed leader is replaced. */
  readonly leaseMs: number;
  /** The most that any clock gains or loses, in parts per million. */
  readonly clockDriftPpmMax: number;
}

export type ProposeResult =
  | { readonly ok: true; readonly index: LogIndex }
  | { readonly ok: false; readonly code: 'NOT_LEADER' | 'BUSY' | 'TRANSFERRING' | 'CONFIGURATION_PENDING' };
