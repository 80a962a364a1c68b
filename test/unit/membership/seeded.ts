import { mix32 } from '../../../src/ring/hash.ts';

/** mulberry32: small, seeded, good enough to explore schedules. */
export class Seeded {
  #state: number;
  constructor(seed: number) {
    this.#state = mix32(seed + 0x5eed);
  }
  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  }
  fraction(): number {
    return this.u32() / 2 ** 32;
  }
  below(count: number): number {
    return Math.floor(this.fraction() * count);
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}
