import { assert } from '../base/assert.ts';

/** Received chunks not yet consumed. Payload leaves as views of the chunks; only a header cut by a chunk's end is copied. */
export class InputQueue {
  available = 0;
  /** Where the last `peek` found its header. */
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;
  readonly #scratch: Uint8Array;
  readonly #chunks: Uint8Array[] = [];
  #consumed = 0; // of the first chunk

  /** `peekBytesMax`: of the longest header. */
  constructor(peekBytesMax: number) {
    this.#scratch = new Uint8Array(peekBytesMax);
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.available += chunk.length;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#consumed = 0;
    this.available = 0;
  }

  /** Sets `bytes` and `at` to `count` contiguous bytes without consuming them. @returns false while they aren't all there. */
  peek(count: number): boolean {
    if (this.available < count) return false;
    const first = this.#chunks[0] as Uint8Array;
    if (first.length - this.#consumed >= count) {
      this.bytes = first;
      this.at = this.#consumed;
      return true;
    }
    assert(count <= this.#scratch.length, 'headers fit the scratch buffer');
    let filled = 0;
    let from = this.#consumed;
    for (let i = 0; filled < count; i++) {
      const chunk = this.#chunks[i] as Uint8Array;
      const end = Math.min(chunk.length, from + count - filled);
      this.#scratch.set(chunk.subarray(from, end), filled);
      filled += end - from;
      from = 0;
    }
    this.bytes = this.#scratch;
    this.at = 0;
    return true;
  }

  /** Consumes up to `count` bytes unseen. @returns how many. */
  skip(count: number): number {
    let left = Math.min(count, this.available);
    const skipped = left;
    while (left > 0) left -= this.#advance(Math.min(left, this.#firstLeft()));
    return skipped;
  }

  /** Consumes up to `count` bytes of the first chunk, as a view. There must be some. */
  take(count: number): Uint8Array {
    const first = this.#chunks[0] as Uint8Array;
    const from = this.#consumed;
    const taken = Math.min(count, first.length - from);
    const view = from === 0 && taken === first.length ? first : first.subarray(from, from + taken);
    this.#advance(taken);
    return view;
  }

  /** Consumes exactly `count` bytes, all there, into `into` from `at`. */
  copy(count: number, into: Uint8Array, at: number): void {
    assert(count <= this.available, 'copied bytes have arrived');
    let left = count;
    while (left > 0) {
      const view = this.take(left);
      into.set(view, at + count - left);
      left -= view.length;
    }
  }

  #firstLeft(): number {
    return (this.#chunks[0] as Uint8Array).length - this.#consumed;
  }

  #advance(count: number): number {
    this.#consumed += count;
    this.available -= count;
    if (this.#consumed === (this.#chunks[0] as Uint8Array).length) {
      this.#chunks.shift();
      this.#consumed = 0;
    }
    return count;
  }
}
