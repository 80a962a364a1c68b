const two32 = 0x1_0000_0000;
const warmUpRounds = 12; // the author's advice for sfc32: the first outputs still show the seed

/**
 * A seeded generator: sfc32 (Chris Doty-Humphrey, PractRand), 128 bits of state, period above 2^32 from any seed.
 * The same seed and labels give the same numbers on every machine. Not for secrets.
 */
export class Prng {
  readonly #seed: number;
  readonly #label: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** `seed`: any safe integer ≥ 0; `label` names the stream, so that two streams of a seed share nothing. */
  constructor(seed: number, label = '') {
    this.#seed = seed;
    this.#label = label;
    this.#a = mix32(seed >>> 0);
    this.#b = mix32(Math.floor(seed / two32) ^ 0x9e37_79b9);
    this.#c = hashText(label);
    for (let round = 0; round < warmUpRounds; round++) this.u32();
  }

  /** A stream of its own: what others draw never shifts it, whatever the order of the draws. */
  fork(label: string): Prng {
    return new Prng(this.#seed, `${this.#label}/${label}`);
  }

  /** Uniform in [0, 2^32). */
  u32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** Uniform in [0, 2^48). */
  u48(): number {
    return this.u32() * 0x1_0000 + (this.u32() >>> 16);
  }

  /** Uniform in [0, 1), 32 bits fine. */
  fraction(): number {
    return this.u32() / two32;
  }

  /** Uniform integer in [0, limit); the bias is below limit / 2^32. */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }

  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + this.fraction() * (high - low);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count; at++) bytes[at] = this.u32() >>> 24;
    return bytes;
  }
}

/** Bijective avalanche of 32 bits (MurmurHash3's finaliser). */
export function mix32(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** FNV-1a over UTF-16 units, avalanched: for labels, not for data. */
export function hashText(text: string): number {
  let h = 0x811c_9dc5;
  for (let at = 0; at < text.length; at++) h = Math.imul(h ^ text.charCodeAt(at), 0x0100_0193);
  return mix32(h);
}
