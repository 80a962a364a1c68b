import { hashText, mix32 } from '../base/prng.ts';

const timeBits = new Float64Array(1);
const timeWords = new Uint32Array(timeBits.buffer);
const labelsMax = 4096; // message types and flash operations: a fixed, small vocabulary

/** 64 bits over everything that happened, in order: two runs of a seed must agree to the last bit. */
export class TraceHash {
  #low = 0x2545_f491;
  #high = 0x9e37_79b9;
  readonly #labels = new Map<string, number>();

  event(atMs: number, owner: number): void {
    timeBits[0] = atMs;
    this.number((timeWords[0] as number) ^ owner);
    this.number(timeWords[1] as number);
  }

  /** A delivered message, a finished flash operation: what it was. */
  label(text: string): void {
    const known = this.#labels.get(text);
    const hash = known ?? hashText(text);
    if (known === undefined && this.#labels.size < labelsMax) this.#labels.set(text, hash);
    this.number(hash);
  }

  number(value: number): void {
    this.#low = Math.imul(this.#low ^ value, 0x85eb_ca6b) ^ (this.#high >>> 7);
    this.#high = (Math.imul(this.#high, 0xc2b2_ae35) + this.#low) | 0;
  }

  /** 16 hex digits. */
  text(): string {
    const words = [mix32(this.#low), mix32(this.#high)];
    return words.map((word) => word.toString(16).padStart(8, '0')).join('');
  }
}
