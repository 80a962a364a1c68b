import { createHash } from 'node:crypto';
import type { Hashes } from '../ports/hashes.ts';

/** Digests by Node's OpenSSL. */
export const systemHashes: Hashes = {
  digest(name, parts) {
    const hash = createHash(name);
    for (const part of parts) hash.update(part);
    const digest = hash.digest();
    return new Uint8Array(digest.buffer, digest.byteOffset, digest.length);
  },
};
