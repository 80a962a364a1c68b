import type { ArcId, LogIndex, Term, Version, VolumeId } from '../base/ids.ts';

/** Byte position on the device. Block data is 4 KiB-aligned there. */
export type DevicePosition = number;

/** Names a chunk within an arc. `layer` is 0 until snapshots exist. */
export interface ChunkKey {
  readonly volume: VolumeId;
  readonly layer: number;
  readonly chunk: number;
}

/** Where an entry's data goes on the ring; carried in the record so that a misdirected read is caught. */
export interface BlockRange extends ChunkKey {
  /** First block in the chunk, 0 … 255. */
  readonly firstBlock: number;
  readonly blockCount: number;
}

/** One Raft log entry as stored. `head` is the arc's encoding of everything but the block data; ≤ `headBytesMax`. */
export interface EntryRecord {
  readonly arc: ArcId;
  readonly term: Term;
  readonly index: LogIndex;
  /** consensus' EntryKind; opaque here. */
  readonly kind: number;
  /** The commit index known when it was appended, so that a restart knows what to apply. */
  readonly commit: LogIndex;
  readonly head: Uint8Array;
  /** Undefined for entries without block data. */
  readonly range: BlockRange | undefined;
  /** CRC32C per block of `data`; length = blockCount. */
  readonly crcs: Uint32Array;
  /** `blockCount` × 4,096 bytes in any number of pieces; not copied: unchanged until durable. */
  readonly data: readonly Uint8Array[];
}

/** What a restart or a follower's catch-up reads back of an entry: all but the data, which is at `position`. */
export interface StoredEntry {
  readonly arc: ArcId;
  readonly term: Term;
  readonly index: LogIndex;
  readonly kind: number;
  readonly commit: LogIndex;
  readonly head: Uint8Array;
  readonly range: BlockRange | undefined;
  readonly crcs: Uint32Array;
  /** Of the first data block; undefined without data. */
  readonly position: DevicePosition | undefined;
}

/** Copied blocks of one chunk (healing, catch-up): not log entries; each block brings its own version. */
export interface ChunkCopyRecord {
  readonly arc: ArcId;
  readonly key: ChunkKey;
  /** Block numbers in the chunk, ascending; `data` and `crcs` in the same order. */
  readonly blocks: Uint16Array;
  readonly versions: Float64Array;
  readonly crcs: Uint32Array;
  readonly data: readonly Uint8Array[];
  /** Blocks that hold nothing at `versions`-like version `emptyVersions[i]` (trimmed since the learner's base). */
  readonly emptyBlocks: Uint16Array;
  readonly emptyVersions: Float64Array;
}

export type StoredChunkCopy = Omit<ChunkCopyRecord, 'data'> & { readonly position: DevicePosition | undefined };

/** Everything of one arc but its blocks, as of one moment: what a restart begins from. */
export interface ArcCheckpoint {
  /** As `appendArcState` takes it. */
  readonly state: Uint8Array;
  readonly hardState: Uint8Array;
  /** Entries behind the state, in the log but not applied, ascending. */
  readonly tail: readonly StoredEntry[];
}

/** What the store asks of whoever owns the arcs. All synchronous: each answer is true of one moment. */
export interface StoreOwner {
  arcs(): Iterable<ArcId>;
  /** Changes whenever `checkpoint` would say something else. Undefined: the arc has no replica here any more. */
  checkpointMark(arc: ArcId): string | undefined;
  checkpoint(arc: ArcId): ArcCheckpoint;
  /** Up to which index the arc's map has taken everything. Only arcs of `arcs()` are asked for. */
  appliedIndex(arc: ArcId): LogIndex;
  /** Whether an entry in [from, to) isn't applied yet, or is needed as it lies there: that space isn't given back. */
  holds(from: DevicePosition, to: DevicePosition): boolean;
  /** What lies in [from, to) can't be read any more: entries that were kept to be sent again are to be forgotten. */
  freed(from: DevicePosition, to: DevicePosition): void;
}

/** Handed to `Store.open` to rebuild the owner's state; called in append order, suffix truncations included as they happened. */
export interface RecoveryVisitor {
  entry(entry: StoredEntry): void;
  truncated(arc: ArcId, fromIndex: LogIndex): void;
  hardState(arc: ArcId, state: Uint8Array): void;
  /** Whole state of an arc (snapshot, founding, retirement): opaque; replaces everything before it for that arc's log. */
  arcState(arc: ArcId, state: Uint8Array): void;
  chunkCopy(copy: StoredChunkCopy): void;
  /** Everything of the arc up to `index`, which was told before, was applied: what it replaced may be gone. */
  appliedUpTo?(arc: ArcId, index: LogIndex): void;
  /** Before all else, where there is a checkpoint: the arcs that it tells of are all that there are, whoever founded some. */
  checkpointBegins?(): void;
  /** One arc of the checkpoint; what is told of it later is what came later. Its map is loaded already. */
  arcCheckpoint?(arc: ArcId, checkpoint: ArcCheckpoint): void;
  /** Newest value of a small named register of the Corelet (membership votes, incarnation, view). */
  register(name: string, value: Uint8Array): void;
  /**
   * Batches that were there are not any more (design §10.11). Of every arc that may have had records among them nothing
   * more is told until an `arcState`. Told at each restart that reads past it: what is still to be dealt with is `Store.loss`.
   */
  lost?(batches: LostBatches): void;
}

/**
 * Batches proven to have been written, that can't be had any more: rot. Numbers inclusive; at the end of the log, where it
 * isn't known how many they were, the numbers that are used no more.
 */
export interface LostBatches {
  readonly fromSequence: number;
  readonly toSequence: number;
  /** Where the first of them was expected. */
  readonly position: DevicePosition;
  readonly reason: 'invalid' | 'unreadable';
}

/** What `Store.open` found. */
export interface RecoveryReport {
  readonly batches: number;
  readonly records: number;
  readonly lost: readonly LostBatches[];
  /** The newest batch, cut off because its data wasn't whole: torn, unless a peer saw it acknowledged. */
  readonly torn: { readonly sequence: number; readonly position: DevicePosition } | undefined;
  /** The page where the next batch would be couldn't be read: there may have been one. */
  readonly tailUnreadable: boolean;
  /** Number of the checkpoint that it began from; 0: the beginning of the log. */
  readonly checkpoint: number;
}

/** A read's answer: never a wrong byte. `corrupt` and `unreadable` are never "absent" (INV-7). */
export type BlockReadResult = { readonly ok: true } | ({ readonly ok: false } & BadBlock);

/** `block` counts within the blocks that were asked for. */
export interface BadBlock {
  readonly code: 'CORRUPT' | 'UNREADABLE';
  readonly block: number;
}

/** Positions, versions and CRCs of a chunk's 256 blocks. position 0 = the block holds nothing (reads as zeros). */
export interface ChunkMap {
  readonly key: ChunkKey;
  readonly positions: Float64Array;
  readonly versions: Float64Array;
  readonly crcs: Uint32Array;
  /** Highest version in the chunk, trims included. */
  newest: Version;
}

export const storeLimits = {
  /** One entry's head. */
  headBytesMax: 64 * 1024,
  /** One arc state or register. */
  stateBytesMax: 7 * 1024 * 1024,
  /** Block data of one record. */
  recordDataBytesMax: 1024 * 1024,
  /** One piece of a checkpoint: the chunk table of a group, the root of an arc, the segment table. */
  tableBytesMax: 7 * 1024 * 1024,
  /** Data of one group commit. */
  batchBytesMax: 8 * 1024 * 1024,
  /** Bytes accepted and not yet durable; beyond it callers get BUSY at the door. */
  pendingBytesMax: 64 * 1024 * 1024,
} as const;
