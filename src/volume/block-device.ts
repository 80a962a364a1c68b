import type { VolumeId } from '../base/ids.ts';

/**
 * Why an I/O was not done. `RETRYABLE`: surely without effect, try again. `UNKNOWN`: the outcome can't be told; the
 * target closes the host's connection unanswered (design §3, "Once").
 */
export type IoErrorCode = 'OUT_OF_RANGE' | 'NO_SPACE' | 'READ_ONLY' | 'RETRYABLE' | 'UNKNOWN' | 'GONE' | 'CORRUPT';

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
  read(offset: number, lengthBytes: number): Promise<ReadResult>;
  /** `data` pieces concatenated are the bytes to write; they must stay unchanged until the promise settles. */
  write(offset: number, data: readonly Uint8Array[]): Promise<IoResult>;
  /** Afterwards the range reads as zeros. `mayPunch`: the space may be given back. */
  zero(offset: number, lengthBytes: number, options: { readonly mayPunch: boolean }): Promise<IoResult>;
  /** Gives whole 4 KiB blocks in the range back; they read as zeros. Partial blocks at the edges are left as they are. */
  trim(offset: number, lengthBytes: number): Promise<IoResult>;
  flush(): Promise<IoResult>;
  /** Neighbouring extents of the same kind are merged; their lengths add up to at most `lengthBytes`, at least one block. */
  extents(offset: number, lengthBytes: number): Promise<ExtentsResult>;
}

export interface VolumeSummary {
  readonly id: VolumeId;
  readonly name: string;
  readonly sizeBytes: number;
}

/** The volumes of the cluster, as a target sees them. */
export interface VolumeCatalog {
  /** `NOT_FOUND`: no such volume (the answer is linearizable). `RETRYABLE`: its arc has no leader now. */
  open(name: string): Promise<BlockDevice | 'NOT_FOUND' | 'RETRYABLE'>;
  list(): Promise<readonly VolumeSummary[]>;
}
