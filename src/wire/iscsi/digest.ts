import { crc32c } from '../../base/crc32c.ts';
import { digestBytes } from './header.ts';

// CRC32C (RFC 7143 §13.1): the bytes of the digest are those of the reflected CRC, the least significant first.
const padding = new Uint8Array(4);

export function writeDigest(bytes: Uint8Array, at: number, crc: number): void {
  for (let i = 0; i < digestBytes; i++) bytes[at + i] = crc >>> (8 * i);
}

export function readDigest(bytes: Uint8Array, at: number): number {
  let crc = 0;
  for (let i = digestBytes - 1; i >= 0; i--) crc = (crc << 8) | (bytes[at + i] as number);
  return crc >>> 0;
}

/** The CRC of data behind which `padBytes` (0 to 3) zeros follow. */
export function paddedCrc(crc: number, padBytes: number): number {
  return padBytes === 0 ? crc : crc32c(padding.subarray(0, padBytes), crc);
}
