import { writeU32, writeU64 } from '../big-endian.ts';

export interface LbaExtent {
  readonly lba: number;
  readonly blocks: number;
  readonly isMapped: boolean;
}

const mapped = 0;
const deallocated = 1;

// GET LBA STATUS parameter data (SBC-3 §5.5): length u32 · 4 reserved · for each: LBA u64 · blocks u32 · status · 3 reserved
export function encodeLbaStatus(extents: readonly LbaExtent[]): Uint8Array {
  const bytes = new Uint8Array(8 + 16 * extents.length);
  writeU32(bytes, 0, bytes.length - 4);
  extents.forEach(({ lba, blocks, isMapped }, i) => {
    const at = 8 + 16 * i;
    writeU64(bytes, at, lba);
    writeU32(bytes, at + 8, blocks);
    bytes[at + 12] = isMapped ? mapped : deallocated;
  });
  return bytes;
}
