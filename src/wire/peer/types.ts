import type { ArcId, CoreletId, Generation, LogIndex, Term, Version, VolumeId } from '../../base/ids.ts';
import type { CopyCheck, CopyChunk, CopyFinish, CopyOffer, CopyReply } from './copy.ts';
import type { Relay } from './relay.ts';
import type { Fetch, FetchReply } from './fetch.ts';
import type { QuarantineBlocks } from './quarantine.ts';
import type { Scrub, ScrubReply } from './scrub.ts';
import type { Answer, Question } from './question.ts';

/**
 * Every message between Corelets. One codec file each beside this one; `codes.ts` numbers them and names their lane.
 * `data` pieces are payload: they travel behind the heads of a frame, uncopied.
 */
export type PeerMessage =
  | Liveness
  | Append
  | AppendReply
  | Vote
  | VoteReply
  | ReadProbe
  | ReadProbeReply
  | TimeoutNow
  | OpRequest
  | OpReply
  | ReadRequest
  | ReadReply
  | KeyRequest
  | KeyReply
  | Complaint
  | Relay
  | Routes
  | Retire
  | CopyOffer
  | CopyChunk
  | CopyFinish
  | CopyReply
  | CopyCheck
  | Fetch
  | FetchReply
  | Scrub
  | ScrubReply
  | QuarantineBlocks
  | Question
  | Answer
  | Membership;

// ---- liveness lane ----------------------------------------------------------------------------------------------

export interface Liveness {
  readonly type: 'liveness';
  readonly sequence: number; // u32, per sender and incarnation, from 1
  /** The newest `sequence` that the sender heard from the receiver, 0 when none. */
  readonly echo: number; // u32
  /** So long before this message that one was heard, by the sender's clock: what remains of the time since it was sent is the way, and the sender's slowness. */
  readonly echoHeldUs: number; // u32
  /** The sender may be silent for so long from here on; longer is a reason to ask. */
  readonly nextMs: number; // u32
  /** Please answer at once: the sender doubts that the receiver is there, or needs something of it. */
  readonly answer: boolean;
  /** The sender is a gateway with operations open: it wants to be sent `ticketMs` often. */
  readonly wantsTickets: boolean;
  /** The sender's monotonic clock at this moment: a ticket of this incarnation (design §10.10). */
  readonly ticketMs: number; // f64, finite, not negative
  /** The sender's flash has owed an answer for so long; 0 when it owes none. */
  readonly flashWaitMs: number; // u32
  readonly viewNumber: number;
  /** Digest over the (arc, term) that the sender leads: differs from the receiver's picture → it asks for routes. */
  readonly ledDigest: number; // u32
  /** The newest batch of the sender's log that is durable: proves progress of the device, and later what it once had. */
  readonly syncedBatches: number;
  readonly usedBytes: number;
  readonly sizeBytes: number;
  /** How long the sender's flash takes to make something durable, as a median of the newest times; 0: not known. */
  readonly syncUs: number; // u32
}

/** What a Corelet's liveness messages say of its device. */
export type DeviceFill = Pick<Liveness, 'usedBytes' | 'sizeBytes'>;

// ---- consensus (host lane); `toGeneration` names the replica meant, `fromGeneration` the replica that speaks ------

export interface BetweenReplicas {
  readonly arc: ArcId;
  readonly fromGeneration: Generation;
  readonly toGeneration: Generation;
  readonly term: Term;
}

export interface BlockRangeFields {
  readonly volume: VolumeId;
  readonly layer: number;
  readonly chunk: number;
  readonly firstBlock: number;
  readonly blockCount: number;
}

export interface WireEntry {
  readonly term: Term;
  readonly index: LogIndex;
  readonly kind: number;
  readonly head: Uint8Array;
  readonly range: BlockRangeFields | undefined;
  readonly crcs: Uint32Array;
  readonly data: readonly Uint8Array[];
}

export interface Append extends BetweenReplicas {
  readonly type: 'append';
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  readonly commit: LogIndex;
  readonly entries: readonly WireEntry[];
}
export interface AppendReply extends BetweenReplicas {
  readonly type: 'appendReply';
  readonly matched: boolean;
  readonly index: LogIndex;
  readonly hintTerm: Term;
}
export interface Vote extends BetweenReplicas {
  readonly type: 'vote';
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly pre: boolean;
  readonly transfer: boolean;
}
export interface VoteReply extends BetweenReplicas {
  readonly type: 'voteReply';
  readonly pre: boolean;
  readonly granted: boolean;
}
export interface ReadProbe extends BetweenReplicas {
  readonly type: 'readProbe';
  readonly context: number; // u32
}
export interface ReadProbeReply extends BetweenReplicas {
  readonly type: 'readProbeReply';
  readonly context: number;
}
export interface TimeoutNow extends BetweenReplicas {
  readonly type: 'timeoutNow';
}

// ---- gateway and leader (host lane) --------------------------------------------------------------------------------

/** Asks an arc's leader to do something once. (session, number) is the operation's id, the same in every retry. */
export interface OpRequest {
  readonly type: 'op';
  /** Matches the reply; new for every try. */
  readonly request: number; // u32
  readonly arc: ArcId;
  readonly session: number; // u48, random per gateway incarnation and arc
  readonly number: number;
  /** Answers to operations below this are not needed any more. */
  readonly lowestOpen: number;
  /** Of the leader that is asked. Host commands carry one; control operations need none (design §10.10). */
  readonly ticket: Ticket | undefined;
  readonly body: OpBody;
}

/** Given out by a Corelet on the liveness lane; only its issuer, in that incarnation, accepts it, and not for long. */
export interface Ticket {
  readonly incarnation: number;
  /** By the issuer's clock. */
  readonly issuedMs: number; // f64, finite, not negative
}

export type OpBody =
  | OpenSession
  | WriteBlocks
  | PatchBytes
  | CompareWriteBytes
  | WriteSameBlocks
  | ZeroBlocks
  | RaiseEpoch
  | SetKey
  | CancelOp;

export interface OpenSession {
  readonly kind: 'openSession';
}
/** Whole blocks; `crcs` one CRC32C per block, computed where the bytes entered. */
export interface WriteBlocks {
  readonly kind: 'write';
  readonly epoch: number;
  readonly range: BlockRangeFields;
  readonly crcs: Uint32Array;
  readonly data: readonly Uint8Array[];
}
/** Any bytes within one chunk; the leader reads, merges and writes whole blocks. */
export interface PatchBytes {
  readonly kind: 'patch';
  readonly epoch: number;
  readonly volume: VolumeId;
  readonly layer: number;
  readonly chunk: number;
  readonly byteOffset: number;
  readonly crc: number;
  readonly data: readonly Uint8Array[];
}
/** Writes the second half of `data` if the bytes there equal the first half: at most a block, within one chunk (design §10.15). */
export interface CompareWriteBytes {
  readonly kind: 'compareWrite';
  readonly epoch: number;
  readonly volume: VolumeId;
  readonly layer: number;
  readonly chunk: number;
  readonly byteOffset: number;
  /** Over all of `data`: expected bytes, then as many new ones. */
  readonly crc: number;
  readonly data: readonly Uint8Array[];
}
/** One block's data for every block of the range. */
export interface WriteSameBlocks {
  readonly kind: 'writeSame';
  readonly epoch: number;
  readonly range: BlockRangeFields;
  readonly crc: number;
  readonly data: readonly Uint8Array[];
}
export interface ZeroBlocks {
  readonly kind: 'zero';
  readonly epoch: number;
  readonly range: BlockRangeFields;
}
/** As numbered on the wire and in entries. */
export const epochActions = ['raise', 'drop', 'create'] as const;
export type EpochAction = (typeof epochActions)[number];

/**
 * `create`: the arc knows the volume from here on. `raise`: operations of the volume with a lower epoch are refused from here on;
 * of an unknown one, it is refused itself. `drop`: its data in this arc is freed and the arc forgets it.
 */
export interface RaiseEpoch {
  readonly kind: 'epoch';
  readonly volume: VolumeId;
  readonly epoch: number;
  readonly action: EpochAction;
}
/** Compare-and-set. `expectedVersion` 0: the key must not exist. Empty `value` deletes. */
export interface SetKey {
  readonly kind: 'key';
  readonly key: string;
  readonly expectedVersion: Version;
  readonly value: Uint8Array;
}

/** Of the operation with the same session and number: its first answer if it was applied; otherwise it never will be. */
export interface CancelOp {
  readonly kind: 'cancel';
}

/**
 * `ok` applied · `notLeader` not proposed by this try, `leader` may hint · `busy`, `full` not proposed by this try ·
 * `fenced` epoch too low or volume unknown here · `noSession` session unknown · `mismatch` the key's version differs, told in `version` ·
 * `corrupt` the data didn't match its CRC, or no copy could be read · `windowFull` too many operations of the session open ·
 * `overtaken` proposed here, and this replica leads no more: what becomes of it is open · `cancelled` it never happened and never will ·
 * `miscompare` the bytes differ, at byte `version` of what was expected · `stale` not proposed by this try: its ticket was missing, too old or another's.
 */
export const replyCodes = [
  'ok',
  'notLeader',
  'busy',
  'full',
  'fenced',
  'noSession',
  'mismatch',
  'corrupt',
  'windowFull',
  'overtaken',
  'cancelled',
  'miscompare',
  'stale',
] as const;
export type ReplyCode = (typeof replyCodes)[number];

export interface OpReply {
  readonly type: 'opReply';
  readonly request: number;
  readonly code: ReplyCode;
  readonly leader: CoreletId | undefined;
  readonly version: Version;
}

export interface ReadRequest {
  readonly type: 'read';
  readonly request: number;
  readonly arc: ArcId;
  readonly epoch: number;
  readonly range: BlockRangeFields;
  /** Only which blocks hold data: the reply carries no payload. */
  readonly mapOnly: boolean;
}
export interface ReadReply {
  readonly type: 'readReply';
  readonly request: number;
  readonly code: ReplyCode;
  readonly leader: CoreletId | undefined;
  /** One bit per block of the range, lowest bit first: 1 = holds data. */
  readonly present: Uint8Array;
  /** One per present block (none with `mapOnly`), as are the 4 KiB in `data`. */
  readonly crcs: Uint32Array;
  readonly data: readonly Uint8Array[];
}

/** Linearizable read of keys of the arc's state machine: one key, or all with a prefix. */
export interface KeyRequest {
  readonly type: 'keyRead';
  readonly request: number;
  readonly arc: ArcId;
  readonly key: string;
  readonly prefix: boolean;
}
export interface KeyEntry {
  readonly key: string;
  readonly version: Version;
  readonly value: Uint8Array;
}
export interface KeyReply {
  readonly type: 'keyReply';
  readonly request: number;
  readonly code: ReplyCode;
  readonly leader: CoreletId | undefined;
  readonly entries: readonly KeyEntry[];
}

/** A gateway tells an arc's replica that `leader` doesn't answer. */
export interface Complaint {
  readonly type: 'complaint';
  readonly arc: ArcId;
  readonly leader: CoreletId;
}

// ---- the map -------------------------------------------------------------------------------------------------------

export interface Replica {
  readonly id: CoreletId;
  readonly generation: Generation;
}

/** What the leader of an arc tells everybody. Newer (configurationIndex, term) wins; stale is safe. */
export interface Route {
  readonly arc: ArcId;
  readonly term: Term;
  readonly leader: CoreletId;
  readonly configurationIndex: LogIndex;
  readonly voters: readonly Replica[];
  readonly votersOutgoing: readonly Replica[];
  readonly learners: readonly Replica[];
  /** Voters whose copy is complete: has everything committed, or is behind by no more than the named lag. */
  readonly complete: number;
  /** Bytes still to copy until every wanted copy is complete. */
  readonly healBytesLeft: number;
  /** A copy is wanted and isn't begun: the flash that it is to go to would be too full with it. */
  readonly waitsForRoom: boolean;
}
export interface Routes {
  readonly type: 'routes';
  /** True: please tell me yours. */
  readonly ask: boolean;
  readonly routes: readonly Route[];
}

/** You are in no configuration of this arc any more (committed at `configurationIndex`): wipe that replica. */
export interface Retire {
  readonly type: 'retire';
  readonly arc: ArcId;
  readonly generation: Generation;
  readonly configurationIndex: LogIndex;
}

// ---- membership (liveness lane): its own codecs in wire/membership -------------------------------------------------

export interface Membership {
  readonly type: 'membership';
  readonly body: Uint8Array;
}
