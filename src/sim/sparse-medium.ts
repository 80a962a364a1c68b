import { assert } from '../base/assert.ts';

const pageBytes = 64 * 1024;

/** Bytes of a simulated device: only pages that were written take memory, and clones share them until one writes. */
export class SparseMedium {
  readonly sizeBytes: number;
  readonly #pages: Map<number, Uint8Array>;
  /** Pages that no clone shares. */
  #owned = new Set<number>();

  constructor(sizeBytes: number, pages = new Map<number, Uint8Array>()) {
    this.sizeBytes = sizeBytes;
    this.#pages = pages;
  }

  clone(): SparseMedium {
    this.#owned = new Set();
    return new SparseMedium(this.sizeBytes, new Map(this.#pages));
  }

  read(offset: number, into: Uint8Array): void {
    assert(offset >= 0 && offset + into.length <= this.sizeBytes, 'read within the device');
    for (let at = 0; at < into.length; ) {
      const number = Math.floor((offset + at) / pageBytes);
      const from = offset + at - number * pageBytes;
      const count = Math.min(pageBytes - from, into.length - at);
      const page = this.#pages.get(number);
      if (page === undefined) into.fill(0, at, at + count);
      else into.set(page.subarray(from, from + count), at);
      at += count;
    }
  }

  write(offset: number, bytes: Uint8Array): void {
    assert(offset >= 0 && offset + bytes.length <= this.sizeBytes, 'write within the device');
    for (let at = 0; at < bytes.length; ) {
      const number = Math.floor((offset + at) / pageBytes);
      const from = offset + at - number * pageBytes;
      const count = Math.min(pageBytes - from, bytes.length - at);
      this.#page(number).set(bytes.subarray(at, at + count), from);
      at += count;
    }
  }

  /** Whole pages of zeros give their memory back. */
  zero(offset: number, length: number): void {
    for (let at = 0; at < length; ) {
      const number = Math.floor((offset + at) / pageBytes);
      const from = offset + at - number * pageBytes;
      const count = Math.min(pageBytes - from, length - at);
      if (count === pageBytes) this.#pages.delete(number);
      else if (this.#pages.has(number)) this.#page(number).fill(0, from, from + count);
      at += count;
    }
  }

  #page(number: number): Uint8Array {
    const page = this.#pages.get(number);
    if (page !== undefined && this.#owned.has(number)) return page;
    const own = page === undefined ? new Uint8Array(pageBytes) : page.slice();
    this.#pages.set(number, own);
    this.#owned.add(number);
    return own;
  }
}
