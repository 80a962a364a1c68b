// Murmur3's 32-bit finalizer (Appleby, public domain constants) on each half, with a different odd salt, and the halves
// crossed: 64 bits from 32-bit integer operations alone, which are exact on every machine and need no bigint.

/** A bijection of u32 in which every input bit moves every output bit with probability near one half. */
export function mix32(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Folds one more u32 into a running hash. The order matters. */
export function fold32(hash: number, word: number): number {
  return mix32((Math.imul(hash, 0x9e3779b1) + (word ^ 0x7f4a7c15)) | 0);
}

const two32 = 0x1_0000_0000;

/** Folds a safe unsigned integer (up to 2^53 − 1) as its low and its high word. */
export function foldInteger(hash: number, value: number): number {
  return fold32(fold32(hash, value | 0), Math.floor(value / two32));
}

/** Folds text by its UTF-16 code units, then its length. */
export function foldText(hash: number, text: string): number {
  let h = hash;
  for (let i = 0; i < text.length; i++) h = fold32(h, text.charCodeAt(i));
  return fold32(h, text.length);
}
