import { blockBytes } from '../base/ids.ts';
import { sectorBytes, valueMark } from './contents.ts';

const spanOfValue = 0x100_0000; // operations of one run, at most

/**
 * Which values of hosts ever became durable on one medium. Block data lies in whole pages of the device, and every
 * value names itself at its front: a look at each page's first words tells.
 */
export class LandedValues {
  readonly #values: Set<number>;
  readonly #seed: number;

  constructor(seed: number, values = new Set<number>()) {
    this.#seed = seed;
    this.#values = values;
  }

  clone(): LandedValues {
    return new LandedValues(this.#seed, new Set(this.#values));
  }

  holds(key: number, value: number): boolean {
    return this.#values.has(key * spanOfValue + value);
  }

  /** `page`: a block of the device as it is now. */
  note(page: Uint8Array): void {
    const words = new DataView(page.buffer, page.byteOffset, blockBytes);
    for (let at = 0; at < blockBytes; at += sectorBytes) {
      const value = words.getUint32(at, true);
      if (value === 0 || words.getUint32(at + 4, true) !== this.#seed >>> 0) continue;
      const key = words.getUint32(at + 8, true);
      if (words.getUint32(at + 12, true) === valueMark(this.#seed, value, key))
        this.#values.add(key * spanOfValue + value);
    }
  }
}
