import type { Flash } from '../../src/ports/flash.ts';

const pieceBytes = 16 * 1024 * 1024;

/**
 * A device in this process's memory: as fast as copying. Memory is taken where something is written. It counts what
 * comes, independently of the store.
 */
export class MemoryFlash implements Flash {
  readonly sizeBytes: number;
  readonly sectorBytes = 4096;
  writtenBytes = 0;
  preparedBytes = 0;
  /** Sees every write. */
  observe: ((offset: number, parts: readonly Uint8Array[]) => void) | undefined;
  readonly #pieces: (Uint8Array | undefined)[];

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
    this.#pieces = Array.from({ length: Math.ceil(sizeBytes / pieceBytes) });
  }

  writeDurably(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    this.observe?.(offset, parts);
    for (const part of parts) {
      for (let from = 0; from < part.length; ) {
        const within = offset % pieceBytes;
        const count = Math.min(part.length - from, pieceBytes - within);
        this.#piece(offset).set(count === part.length ? part : part.subarray(from, from + count), within);
        from += count;
        offset += count;
      }
      this.writtenBytes += part.length;
    }
    return Promise.resolve();
  }

  #piece(offset: number): Uint8Array {
    const index = Math.floor(offset / pieceBytes);
    return (this.#pieces[index] ??= new Uint8Array(pieceBytes));
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    for (let at = 0; at < into.length; ) {
      const within = (offset + at) % pieceBytes;
      const count = Math.min(into.length - at, pieceBytes - within);
      const piece = this.#pieces[Math.floor((offset + at) / pieceBytes)];
      if (piece === undefined) into.fill(0, at, at + count);
      else into.set(piece.subarray(within, within + count), at);
      at += count;
    }
    return Promise.resolve();
  }

  /** Nothing to ready in memory; counted, since on a file it is written. */
  prepare(_offset: number, lengthBytes: number): Promise<void> {
    this.preparedBytes += lengthBytes;
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
