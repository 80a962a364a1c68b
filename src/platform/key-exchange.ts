import {
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyPairKeyObjectResult,
  timingSafeEqual,
} from 'node:crypto';
import type { KeyExchange, KeyPair } from '../ports/key-exchange.ts';

/** RFC 7919 §A: what makes each prime one, found by its authors. */
const offsets = new Map<number, bigint>([
  [2048, 560_316n],
  [3072, 2_625_351n],
  [4096, 5_736_041n],
  [6144, 15_705_020n],
  [8192, 10_965_728n],
]);
const primes = new Map<number, Buffer>();
const generator = 2;

/** Floor of e · 2^bits, by its series, with bits to spare. */
function eulerShifted(bits: number): bigint {
  const spare = 64n;
  let term = 1n << (BigInt(bits) + spare);
  let sum = 0n;
  for (let n = 1n; term > 0n; n++) {
    sum += term;
    term /= n;
  }
  return sum >> spare;
}

/** RFC 7919 §A.1: p = 2^b − 2^(b−64) + (⌊2^(b−130) e⌋ + X) · 2^64 − 1. */
export function primeOf(primeBits: number): Buffer {
  const known = primes.get(primeBits);
  if (known !== undefined) return known;
  const offset = offsets.get(primeBits);
  if (offset === undefined) throw new RangeError(`no group of ${primeBits} bits`);
  const b = BigInt(primeBits);
  const p = (1n << b) - (1n << (b - 64n)) + ((eulerShifted(primeBits - 130) + offset) << 64n) - 1n;
  const prime = Buffer.from(p.toString(16).padStart(primeBits / 4, '0'), 'hex');
  primes.set(primeBits, prime);
  return prime;
}

/** Length and place of the contents of the DER value at `at`. */
function derAt(der: Uint8Array, at: number): { readonly from: number; readonly end: number } {
  const first = der[at + 1] as number;
  if (first < 0x80) return { from: at + 2, end: at + 2 + first };
  let length = 0;
  for (let i = 0; i < (first & 0x7f); i++) length = length * 256 + (der[at + 2 + i] as number);
  const from = at + 2 + (first & 0x7f);
  return { from, end: from + length };
}

function derOf(tag: number, contents: Uint8Array): Buffer {
  const { length } = contents;
  const head =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >>> 8, length & 0xff];
  return Buffer.concat([Uint8Array.from(head), contents]);
}

/** A public key (RFC 5280 §4.1): the algorithm with its group, then the value as an integer in a string of bits. */
function publicKeyOf(algorithm: Uint8Array, value: Uint8Array): Buffer {
  const sign = (value[0] as number) >= 0x80 ? [0] : []; // never negative, and not a byte longer
  const integer = derOf(0x02, Buffer.concat([Uint8Array.from(sign), value]));
  return derOf(0x30, Buffer.concat([algorithm, derOf(0x03, Buffer.concat([Uint8Array.of(0), integer]))]));
}

/** Without its leading zeros, of which an integer in DER has at most one. */
function trimmed(value: Uint8Array): Uint8Array {
  const first = value.findIndex((byte) => byte !== 0);
  return first < 0 ? value.subarray(value.length - 1) : value.subarray(first);
}

// The types that we have know the function, not this kind of key.
const generateDh = generateKeyPairSync as unknown as (
  type: 'dh',
  options: { readonly prime: Buffer; readonly generator: number },
) => KeyPairKeyObjectResult;

// Not by createDiffieHellman: it would prove that the prime is one, for seconds in which a Corelet answers nobody.
function pair(primeBits: number): KeyPair {
  const bytes = primeBits / 8;
  const { publicKey, privateKey } = generateDh('dh', { prime: primeOf(primeBits), generator });
  const der = publicKey.export({ type: 'spki', format: 'der' });
  const inner = derAt(der, 0);
  const algorithmEnd = derAt(der, inner.from).end;
  const algorithm = der.subarray(inner.from, algorithmEnd);
  const integer = derAt(der, derAt(der, algorithmEnd).from + 1); // behind the count of unused bits
  const value = trimmed(der.subarray(integer.from, integer.end));
  const publicValue = new Uint8Array(bytes);
  publicValue.set(value, bytes - value.length);
  return {
    publicValue,
    secretWith(theirs) {
      if (theirs.length > bytes) return undefined;
      try {
        const key = publicKeyOf(algorithm, trimmed(theirs));
        const other = createPublicKey({ key, format: 'der', type: 'spki' });
        const secret = diffieHellman({ privateKey, publicKey: other });
        const padded = new Uint8Array(bytes);
        padded.set(secret, bytes - secret.length);
        return padded;
      } catch {
        return undefined; // 0, 1, or not below the prime
      }
    },
  };
}

function plain(bytes: Buffer): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** By Node's OpenSSL. */
export const systemKeyExchange: KeyExchange = {
  digest(hash, parts) {
    const digest = createHash(hash);
    for (const part of parts) digest.update(part);
    return plain(digest.digest());
  },
  hmac(hash, key, parts) {
    const hmac = createHmac(hash, key);
    for (const part of parts) hmac.update(part);
    return plain(hmac.digest());
  },
  pair,
  isEqual: (a, b) => a.length === b.length && timingSafeEqual(a, b),
};
