// Castagnoli polynomial, reflected (RFC 3385). The table serves short runs, where the call into native code costs more,
// and machines for which the addon has no build.
const table = new Uint32Array(256);
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  table[n] = c >>> 0;
}
const shortBytes = 190; // measured: below it the table is faster than the call

export function tableCrc32c(bytes: Uint8Array, seed = 0): number {
  let c = ~seed;
  for (let i = 0; i < bytes.length; i++) c = (table[(c ^ (bytes[i] as number)) & 255] as number) ^ (c >>> 8);
  return ~c >>> 0;
}

const native: ((bytes: Uint8Array, seed: number) => number) | undefined = await import('@node-rs/crc32').then(
  (addon) => addon.crc32c,
  () => undefined, // no build for this machine: the table is the documented fallback
);

/** CRC32C of `bytes`, continuing from `seed` (0 to begin): crc(a ++ b) === crc32c(b, crc32c(a)). */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  return bytes.length < shortBytes || native === undefined ? tableCrc32c(bytes, seed) : native(bytes, seed);
}

/** CRC32C of a payload in pieces. */
export function crcOf(pieces: readonly Uint8Array[]): number {
  let crc = 0;
  for (const piece of pieces) crc = crc32c(piece, crc);
  return crc;
}
