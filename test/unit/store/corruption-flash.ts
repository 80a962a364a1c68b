import assert from 'node:assert/strict';
import { type Flash, FlashError } from '../../../src/ports/flash.ts';
import { SparseMedium } from '../../../src/sim/sparse-medium.ts';

const pageBytes = 4096;

/** `latent`: can't be read until it is written anew, as a drive remaps a bad sector. `dead`: can't be written either. */
export type BadPage = 'latent' | 'dead';

/**
 * A device in memory that answers at once. The medium outlives it; a clone shares what neither writes, so that a thousand
 * damaged variants of one device cost little.
 */
export class MemoryFlash implements Flash {
  readonly medium: SparseMedium;
  readonly sectorBytes = 512;
  readonly #badPages = new Map<number, BadPage>();
  #closed = false;

  constructor(medium: SparseMedium) {
    this.medium = medium;
  }

  static blank(sizeBytes: number): MemoryFlash {
    return new MemoryFlash(new SparseMedium(sizeBytes));
  }

  get sizeBytes(): number {
    return this.medium.sizeBytes;
  }

  /** The same bytes and bad pages, for a process that starts anew or a case of its own. */
  clone(): MemoryFlash {
    const clone = new MemoryFlash(this.medium.clone());
    for (const [page, bad] of this.#badPages) clone.#badPages.set(page, bad);
    return clone;
  }

  peek(offset: number, lengthBytes: number): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    this.medium.read(offset, bytes);
    return bytes;
  }

  poke(offset: number, bytes: Uint8Array): void {
    this.medium.write(offset, bytes);
  }

  fail(offset: number, lengthBytes: number, bad: BadPage): void {
    const end = Math.ceil((offset + lengthBytes) / pageBytes);
    for (let page = Math.floor(offset / pageBytes); page < end; page++) this.#badPages.set(page, bad);
  }

  #refuse(offset: number, lengthBytes: number, bad: BadPage | undefined): void {
    assert.ok(
      offset >= 0 && offset + lengthBytes <= this.sizeBytes,
      `range ${offset}+${lengthBytes} within the device`,
    );
    if (this.#closed) throw new FlashError('CLOSED', 'the device is closed');
    if (this.#badPages.size === 0) return;
    for (let at = Math.floor(offset / pageBytes); at * pageBytes < offset + lengthBytes; at++) {
      const found = this.#badPages.get(at);
      if (found !== undefined && (bad === undefined || found === bad)) throw new FlashError('EIO', `page ${at} is bad`);
      if (bad !== undefined) this.#badPages.delete(at);
    }
  }

  async writeDurably(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    let lengthBytes = 0;
    for (const part of parts) lengthBytes += part.length;
    this.#refuse(offset, lengthBytes, 'dead');
    for (const part of parts) {
      this.medium.write(offset, part);
      offset += part.length;
    }
  }
  async read(offset: number, into: Uint8Array): Promise<void> {
    this.#refuse(offset, into.length, undefined);
    this.medium.read(offset, into);
  }
  async prepare(offset: number, lengthBytes: number): Promise<void> {
    this.#refuse(offset, lengthBytes, 'dead');
    this.medium.zero(offset, lengthBytes);
  }
  async close(): Promise<void> {
    this.#closed = true;
  }
}
