import { readU32, writeU32 } from '../big-endian.ts';

/** Bytes of the LUN field in every transport. */
export const lunBytes = 8;
const flatMethod = 1;

/** A single-level LUN in peripheral or flat addressing (SAM-5 §4.7.5); `undefined`: any other kind, which exists nowhere here. */
export function decodeLun(bytes: Uint8Array): number | undefined {
  const method = (bytes[0] as number) >>> 6;
  const isSingleLevel = ((bytes[2] as number) | (bytes[3] as number)) === 0 && readU32(bytes, 4) === 0;
  if (method > flatMethod || !isSingleLevel) return undefined;
  if (method === 0 && ((bytes[0] as number) & 0x3f) !== 0) return undefined; // another bus
  return (((bytes[0] as number) & 0x3f) << 8) | (bytes[1] as number);
}

// REPORT LUNS parameter data (SPC-4 §6.33): list length u32 · 4 reserved · LUN × 8 bytes
export function encodeLunList(luns: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(8 + luns.length * lunBytes);
  writeU32(bytes, 0, luns.length * lunBytes);
  luns.forEach((lun, i) => {
    bytes[8 + i * lunBytes + 1] = lun; // peripheral addressing: below 256
  });
  return bytes;
}
