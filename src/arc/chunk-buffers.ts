import { chunkBytes } from '../base/ids.ts';

/** Buffers kept for chunks on their way out; more than these are left to the garbage collector. */
const buffersMax = 16;

/** Memory of one chunk each, used again and again: a fresh one costs page faults, and a share of a collection of all garbage. */
export class ChunkBuffers {
  readonly #free: Uint8Array[] = [];

  /** Its content is whatever was in it before. */
  take(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(chunkBytes);
  }

  /** Nobody may read it any more, on this side or the other. */
  give(buffer: Uint8Array): void {
    if (this.#free.length < buffersMax) this.#free.push(buffer);
  }
}
