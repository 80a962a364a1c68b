import { writeU16, writeU32, writeU64 } from '../big-endian.ts';

/** What READ CAPACITY tells. */
export interface Capacity {
  readonly blocks: number;
  readonly blockBytes: number;
  /** Logical blocks per physical block, as a power of two. */
  readonly physicalExponent: number;
}

const lastLbaMax = 0xffff_ffff;

// READ CAPACITY (10), SBC-3 §5.12: last LBA u32 (FFFFFFFFh: more than that) · block length u32
export function encodeCapacity10({ blocks, blockBytes }: Capacity): Uint8Array {
  const bytes = new Uint8Array(8);
  writeU32(bytes, 0, Math.min(blocks - 1, lastLbaMax));
  writeU32(bytes, 4, blockBytes);
  return bytes;
}

const thin = 0x80; // LBPME
const readsZeros = 0x40; // LBPRZ

// READ CAPACITY (16), SBC-3 §5.13: last LBA u64 · block length u32 · 12 protection (none) · 13 physical exponent · 14 LBPME, LBPRZ,
// lowest aligned LBA (0) · reserved to 32
export function encodeCapacity16({ blocks, blockBytes, physicalExponent }: Capacity): Uint8Array {
  const bytes = new Uint8Array(32);
  writeU64(bytes, 0, blocks - 1);
  writeU32(bytes, 8, blockBytes);
  bytes[13] = physicalExponent;
  writeU16(bytes, 14, (thin | readsZeros) << 8);
  return bytes;
}
