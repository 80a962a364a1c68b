/** Digests of RFC 7143 §12.1.3 and of IANA's list of CHAP algorithms. */
export type HashName = 'md5' | 'sha1' | 'sha256' | 'sha3-256';

/** Cryptographic digests, told from outside: the machine's library computes them. */
export interface Hashes {
  /** Of the parts, concatenated. */
  digest(name: HashName, parts: readonly Uint8Array[]): Uint8Array;
}
