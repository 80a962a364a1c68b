import type { Flash } from '../ports/flash.ts';

/** What an operation takes at least before it is slowed: a cached one would take nothing, however many times. */
const tookMsMin = 0.2;

/** A flash that answers some times slower than it is, for trying what others make of it. Factor 1: as it is. */
export class SlowedFlash implements Flash {
  readonly #flash: Flash;
  readonly #factor: () => number;

  constructor(flash: Flash, factor: () => number) {
    this.#flash = flash;
    this.#factor = factor;
  }

  get sizeBytes(): number {
    return this.#flash.sizeBytes;
  }
  get sectorBytes(): number {
    return this.#flash.sectorBytes;
  }

  writeDurably(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    return this.#slowed(() => this.#flash.writeDurably(offset, parts));
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    return this.#slowed(() => this.#flash.read(offset, into));
  }

  prepare(offset: number, lengthBytes: number): Promise<void> {
    return this.#slowed(() => this.#flash.prepare(offset, lengthBytes));
  }

  close(): Promise<void> {
    return this.#flash.close();
  }

  #slowed(run: () => Promise<void>): Promise<void> {
    const factor = this.#factor();
    return factor <= 1 ? run() : this.#late(run, factor);
  }

  async #late(run: () => Promise<void>, factor: number): Promise<void> {
    const startedMs = performance.now();
    await run();
    const tookMs = Math.max(tookMsMin, performance.now() - startedMs);
    await new Promise((resolve) => setTimeout(resolve, tookMs * (factor - 1)));
  }
}
