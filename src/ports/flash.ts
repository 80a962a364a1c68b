/** Why a device refused. `EIO`: latent sector error or hung device; `ENOSPC`: the file system under it is full. */
export type FlashErrorCode = 'EIO' | 'ENOSPC' | 'CLOSED';

export class FlashError extends Error {
  override name = 'FlashError';
  readonly code: FlashErrorCode;
  constructor(code: FlashErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * One device: a file, a raw block device, or the simulator's. Offsets and lengths in bytes, multiples of `sectorBytes`.
 * Between a write and the sync after it, any subset of the written sectors may survive a power loss and one may be torn.
 */
export interface Flash {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  /**
   * Writes `parts` one after the other from `offset` and makes them, and every write that ended before, durable.
   * Rejects with `FlashError`; then nothing may be assumed of what was written (design §10.11: never retried as if nothing happened).
   */
  writeDurably(offset: number, parts: readonly Uint8Array[]): Promise<void>;
  /** Fills `into` from `offset`. Rejects with `FlashError('EIO')` where the medium can't be read. */
  read(offset: number, into: Uint8Array): Promise<void>;
  /** Readies [offset, offset + length) so that later syncs there change no metadata; contents may become zeros. */
  prepare(offset: number, lengthBytes: number): Promise<void>;
  close(): Promise<void>;
}
