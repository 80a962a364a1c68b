import { randomFillSync } from 'node:crypto';
import type { Random } from '../ports/random.ts';

const poolBytes = 1024;
const two32 = 0x1_0000_0000;

/** The operating system's randomness, drawn by the kilobyte. */
class SystemRandom implements Random {
  readonly #pool = new Uint8Array(poolBytes);
  readonly #view = new DataView(this.#pool.buffer);
  #at = poolBytes;

  u32(): number {
    if (this.#at === poolBytes) {
      randomFillSync(this.#pool);
      this.#at = 0;
    }
    const value = this.#view.getUint32(this.#at, true);
    this.#at += 4;
    return value;
  }

  u48(): number {
    return this.u32() * 0x1_0000 + (this.u32() >>> 16);
  }

  fraction(): number {
    return this.u32() / two32;
  }

  bytes(count: number): Uint8Array {
    return randomFillSync(new Uint8Array(count));
  }
}

export function createRandom(): Random {
  return new SystemRandom();
}
