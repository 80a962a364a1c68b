import { blockBytes, type VolumeId } from '../base/ids.ts';
import type { Abandonment } from './abandonment.ts';
import type { ReservationAction, ReservationRefusal } from './reservation-actions.ts';
import type { Reservations, Right } from './reservations.ts';

/**
 * Why an I/O was not done. `RETRYABLE`: surely without effect, try again. `UNKNOWN`: the outcome can't be told; the
 * target closes the host's connection unanswered (design §3, "Once"). `CONFLICT`: another host's reservation forbids it.
 */
export type IoErrorCode =
  | 'OUT_OF_RANGE'
  | 'NO_SPACE'
  | 'READ_ONLY'
  | 'RETRYABLE'
  | 'UNKNOWN'
  | 'GONE'
  | 'CORRUPT'
  | 'CONFLICT';

/** What a target knows of the command that a call belongs to. Without it the command is taken to have come this moment. */
export interface HostCommand {
  /**
   * By this Corelet's clock: a moment at which the command had surely not arrived here (its connection was seen empty then).
   * What arrived too long ago is refused (`RETRYABLE`), since its host may have gone another way (design §10.10). It may grow
   * while the call is under way, where the host has proved since that it is still there (docs/decisions/0020).
   */
  readonly arrivedAfterMs: number;
  /** For hosts that can give a command up. */
  readonly abandonment?: Abandonment | undefined;
}

/** `miscompare`: at `byteOffset` from where the comparison began; nothing was written. */
export type CompareResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: 'MISCOMPARE'; readonly byteOffset: number }
  | { readonly ok: false; readonly code: IoErrorCode };

/** Bytes that one compare-and-write may compare (design §10.15). They lie within one chunk. */
export const compareBytesMax = blockBytes;

export type IoResult = { readonly ok: true } | { readonly ok: false; readonly code: IoErrorCode };
/** `parts` concatenated are exactly the length asked for; verified end to end (INV-4). */
export type ReadResult =
  | { readonly ok: true; readonly parts: readonly Uint8Array[] }
  | { readonly ok: false; readonly code: IoErrorCode };

export interface Extent {
  readonly lengthBytes: number;
  /** `hole`: holds nothing and reads as zeros. */
  readonly kind: 'data' | 'hole';
}
export type ExtentsResult =
  | { readonly ok: true; readonly extents: readonly Extent[] }
  | { readonly ok: false; readonly code: IoErrorCode };

/** `UNKNOWN`: whether it took effect can't be told. */
export type ReservationResult =
  | { readonly ok: true; readonly before: Reservations; readonly after: Reservations }
  | { readonly ok: false; readonly code: ReservationRefusal | 'RETRYABLE' | 'GONE' | 'UNKNOWN' };

/** A volume's reservations, for one host. All of them are durable, and hold through every Corelet. */
export interface HostReservations {
  /** Linearizable. */
  state(): Promise<Reservations | 'RETRYABLE' | 'GONE'>;
  /** After `ok`, whoever lost a right by it can let no write land any more, through any Corelet. */
  change(action: ReservationAction): Promise<ReservationResult>;
  /** Whether another host's reservation forbids it, for commands that aren't I/O; undefined: it may. */
  refused(right: Right): Promise<IoErrorCode | undefined>;
  /** Calls with every state that this gateway reads: how it learns what others changed. Ends with the device. */
  learn(learner: (state: Reservations) => void): void;
}

/**
 * A volume as the host protocols see it, on any Corelet. Offsets and lengths in bytes, any alignment; an aligned 4 KiB
 * block is atomic. An acknowledged write is durable on a majority: flush and FUA have nothing left to do (design §10.15).
 * Safe for concurrent use; the caller bounds how much is in flight.
 */
export interface BlockDevice {
  readonly id: VolumeId;
  readonly name: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  /** Undefined where a volume has none (in memory). */
  readonly reservations?: HostReservations;
  read(offset: number, lengthBytes: number): Promise<ReadResult>;
  /** `data` pieces concatenated are the bytes to write; they must stay unchanged until the promise settles. */
  write(offset: number, data: readonly Uint8Array[], command?: HostCommand): Promise<IoResult>;
  /** Writes `data` if the bytes there are `expected`: as many, at most `compareBytesMax`. Atomic across all Corelets. */
  compareAndWrite(
    offset: number,
    expected: Uint8Array,
    data: Uint8Array,
    command?: HostCommand,
  ): Promise<CompareResult>;
  /** The range becomes `block` over and over: a power of two from 1 to 4,096 bytes, of which offset and length are multiples. */
  writeSame(offset: number, lengthBytes: number, block: Uint8Array, command?: HostCommand): Promise<IoResult>;
  /** Afterwards the range reads as zeros. `mayPunch`: the space may be given back. */
  zero(
    offset: number,
    lengthBytes: number,
    options: { readonly mayPunch: boolean },
    command?: HostCommand,
  ): Promise<IoResult>;
  /** Gives whole 4 KiB blocks in the range back; they read as zeros. Partial blocks at the edges are left as they are. */
  trim(offset: number, lengthBytes: number, command?: HostCommand): Promise<IoResult>;
  flush(): Promise<IoResult>;
  /** Neighbouring extents of the same kind are merged; their lengths add up to at most `lengthBytes`, at least one block. */
  extents(offset: number, lengthBytes: number): Promise<ExtentsResult>;
  /** The host that it was opened for has gone. Calls under way go on. */
  close(): void;
}

export interface VolumeSummary {
  readonly id: VolumeId;
  readonly name: string;
  readonly sizeBytes: number;
}

/** The volumes of the cluster, as a target sees them. */
export interface VolumeCatalog {
  /**
   * For one host (by the name that its protocol gives it), until `close`; `registrant`: as reservations know it. `NOT_FOUND`: no such volume for it (the answer is linearizable).
   * `RETRYABLE`: its arc has no leader now.
   */
  open(name: string, host?: string, registrant?: string): Promise<BlockDevice | 'NOT_FOUND' | 'RETRYABLE'>;
  list(): Promise<readonly VolumeSummary[]>;
}
