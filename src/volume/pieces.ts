import { crc32c } from '../base/crc32c.ts';
import { blockBytes, chunkBytes } from '../base/ids.ts';

/** Walks over the pieces of a payload without joining them. */
export class PieceCursor {
  readonly #pieces: readonly Uint8Array[];
  #piece = 0;
  #at = 0;

  constructor(pieces: readonly Uint8Array[]) {
    this.#pieces = pieces;
  }

  /** The next `lengthBytes`, as views. */
  take(lengthBytes: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    let left = lengthBytes;
    while (left > 0) {
      const piece = this.#pieces[this.#piece] as Uint8Array;
      const count = Math.min(left, piece.length - this.#at);
      if (count > 0) taken.push(count === piece.length ? piece : piece.subarray(this.#at, this.#at + count));
      this.#at += count;
      left -= count;
      if (this.#at === piece.length) {
        this.#piece += 1;
        this.#at = 0;
      }
    }
    return taken;
  }
}

/** CRC32C of each 4 KiB block of a payload of whole blocks. */
export function blockCrcs(pieces: readonly Uint8Array[], blockCount: number): Uint32Array {
  const crcs = new Uint32Array(blockCount);
  let block = 0;
  let filled = 0;
  let crc = 0;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const count = Math.min(blockBytes - filled, piece.length - at);
      crc = crc32c(count === piece.length ? piece : piece.subarray(at, at + count), crc);
      at += count;
      filled += count;
      if (filled < blockBytes) continue;
      crcs[block++] = crc;
      filled = 0;
      crc = 0;
    }
  }
  return crcs;
}

const zeros = new Uint8Array(256 * 1024);

/** Appends `lengthBytes` of zeros to `parts`: views of one shared buffer that nobody writes to. */
export function pushZeros(parts: Uint8Array[], lengthBytes: number): void {
  for (let left = lengthBytes; left > 0; left -= zeros.length)
    parts.push(zeros.subarray(0, Math.min(left, zeros.length)));
}

export function zeroPieces(lengthBytes: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  pushZeros(parts, lengthBytes);
  return parts;
}

/** A block made of a pattern that repeats evenly in it. */
export function repeated(pattern: Uint8Array): Uint8Array {
  const block = new Uint8Array(blockBytes);
  for (let at = 0; at < blockBytes; at += pattern.length) block.set(pattern, at);
  return block;
}

/** A range of a volume in pieces that each lie within one chunk. */
export function cutByChunk(offset: number, lengthBytes: number): { offset: number; length: number }[] {
  const pieces: { offset: number; length: number }[] = [];
  const end = offset + lengthBytes;
  for (let at = offset; at < end; ) {
    const next = Math.min(end, (Math.floor(at / chunkBytes) + 1) * chunkBytes);
    pieces.push({ offset: at, length: next - at });
    at = next;
  }
  return pieces;
}
