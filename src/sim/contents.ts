import { blockBytes } from '../base/ids.ts';
import { mix32 } from '../base/prng.ts';
import { zeroValue } from './history.ts';

/** What hosts write into the part of a volume where they write sectors. */
export const sectorBytes = 512;

/** The bytes read are no value that anyone wrote as a whole: half of one, half of another, or rot. */
export const tornValue = -1;

/** Of one pattern written to many places. */
export const anyPlace = 0xffff_ffff;

const headWords = 4;

/** The fourth word of a value: tells it from other bytes. */
export function valueMark(seed: number, value: number, place: number): number {
  return mix32(value ^ mix32(place ^ seed)) >>> 0;
}

/** Fills `words` so that a reader knows its author, and sees every word that isn't of the same write or place. */
function fill(words: Uint32Array, seed: number, value: number, place: number): void {
  words[0] = value;
  words[1] = seed >>> 0;
  words[2] = place;
  words[3] = valueMark(seed, value, place);
  let word = words[3] as number;
  for (let at = headWords; at < words.length; at++) {
    word = (Math.imul(word, 0x0019_660d) + 0x3c6e_f35f) >>> 0; // Numerical Recipes' LCG: cheap, and no two writes share words
    words[at] = word;
  }
}

/** Writes `value` into `bytes` (a register: 4,096 or 512 bytes, 4-byte aligned). `place`: its number in the volume. */
export function writeValue(bytes: Uint8Array, seed: number, value: number, place: number): void {
  fill(new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4), seed, value, place);
}

const expectedWords = new Uint32Array(blockBytes / 4);
const alignedBytes = new Uint8Array(blockBytes);

/** The value that `bytes` holds, `zeroValue` for zeros, or `tornValue`: it is of no single write to this place (INV-2, INV-4). */
export function readValue(bytes: Uint8Array, seed: number, place: number): number {
  let source = bytes;
  if (bytes.byteOffset % 4 !== 0) {
    alignedBytes.set(bytes);
    source = alignedBytes.subarray(0, bytes.length);
  }
  const words = new Uint32Array(source.buffer, source.byteOffset, source.length / 4);
  const value = words[0] as number;
  const expected = expectedWords.subarray(0, words.length);
  if (value === zeroValue) expected.fill(0);
  else fill(expected, seed, value, words[2] === anyPlace ? anyPlace : place);
  for (let at = 0; at < words.length; at++) if (words[at] !== expected[at]) return tornValue;
  return value;
}
