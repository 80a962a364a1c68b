export type KeyedHash = 'sha256' | 'sha384' | 'sha512';

/** One side of a Diffie-Hellman exchange. */
export interface KeyPair {
  /** As long as the group's prime. */
  readonly publicValue: Uint8Array;
  /** The secret shared with whoever has the other value; undefined: that can't be one. */
  secretWith(publicValue: Uint8Array): Uint8Array | undefined;
}

/** What hosts prove themselves with, told from outside: the machine's library computes it. */
export interface KeyExchange {
  digest(hash: KeyedHash, parts: readonly Uint8Array[]): Uint8Array;
  hmac(hash: KeyedHash, key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array;
  /** A fresh pair of the group of RFC 7919 whose prime has `primeBits`: 2048 to 8192. */
  pair(primeBits: number): KeyPair;
  /** Takes as long whether they are equal or not. */
  isEqual(a: Uint8Array, b: Uint8Array): boolean;
}
