import { readU16, readU24, readU32, readU64 } from '../big-endian.ts';

/** CDBs by the group that their operation code's top three bits name (SPC-4 §4.2.5.1). Undefined: vendor's or variable. */
export function cdbBytesOf(opcode: number): number | undefined {
  return [6, 10, 10, undefined, 16, 12][opcode >>> 5];
}

/** What a command on blocks names. */
export interface BlockFields {
  /** As `readU64`: exact below 2^53, above only comparable. */
  readonly lba: number;
  readonly blocks: number;
}

/** READ (6), WRITE (6): SBC-3 §5.6; 0 blocks means 256. */
export function decodeBlocks6(cdb: Uint8Array): BlockFields {
  return { lba: readU24(cdb, 1) & 0x1f_ffff, blocks: cdb[4] === 0 ? 256 : (cdb[4] as number) };
}
/** LBA u32 at 2, blocks u16 at 7. */
export function decodeBlocks10(cdb: Uint8Array): BlockFields {
  return { lba: readU32(cdb, 2), blocks: readU16(cdb, 7) };
}
/** LBA u32 at 2, blocks u32 at 6. */
export function decodeBlocks12(cdb: Uint8Array): BlockFields {
  return { lba: readU32(cdb, 2), blocks: readU32(cdb, 6) };
}
/** LBA u64 at 2, blocks u32 at 10. */
export function decodeBlocks16(cdb: Uint8Array): BlockFields {
  return { lba: readU64(cdb, 2), blocks: readU32(cdb, 10) };
}
/** COMPARE AND WRITE, SBC-3 §5.2: LBA u64 at 2, blocks u8 at 13. */
export function decodeCompareBlocks(cdb: Uint8Array): BlockFields {
  return { lba: readU64(cdb, 2), blocks: cdb[13] as number };
}
/** WRITE ATOMIC (16), SBC-4: LBA u64 at 2, atomic boundary u16 at 10, blocks u16 at 12. */
export function decodeAtomicBlocks(cdb: Uint8Array): BlockFields & { readonly boundaryBlocks: number } {
  return { lba: readU64(cdb, 2), blocks: readU16(cdb, 12), boundaryBlocks: readU16(cdb, 10) };
}
