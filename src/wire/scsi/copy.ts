import { readU16, readU24, readU32, readU64, writeU16, writeU32 } from '../big-endian.ts';

/** What one EXTENDED COPY may ask for. */
export const copyLimits = {
  targetsMax: 2,
  segmentsMax: 16,
  /** Of one segment; the field has 16 bits. */
  segmentBlocksMax: 0xffff,
  listBytesMax: 16 + 2 * 32 + 16 * 28,
} as const;

const headBytes = 16;
const targetBytes = 32;
export const blockToBlockBytes = 28;
const identificationTarget = 0xe4;
const designatorBytesMax = 20;
const blockToBlock = 0x02;

/** A logical unit named by its identification descriptor (SPC-4 §6.4.5.2). */
export interface CopyTarget {
  readonly codeSet: number;
  readonly type: number;
  readonly designator: Uint8Array;
  readonly blockBytes: number;
}

/** Block device to block device (SPC-4 §6.4.6.3). */
export interface CopySegment {
  readonly sourceIndex: number;
  readonly destinationIndex: number;
  readonly blocks: number;
  readonly sourceLba: number;
  readonly destinationLba: number;
}

export interface CopyList {
  readonly listId: number;
  readonly targets: readonly CopyTarget[];
  readonly segments: readonly CopySegment[];
}

export type CopyRefusal =
  | 'LENGTH'
  | 'TOO_MANY_TARGETS'
  | 'TOO_MANY_SEGMENTS'
  | 'TARGET_TYPE'
  | 'SEGMENT_TYPE'
  | 'INLINE_DATA';

// EXTENDED COPY (LID1), SPC-4 §6.4: 0 list id · 1 flags · 2 targets' length u16 · 8 segments' length u32 · 12 inline data's length u32 · then those.
// A target: 0 type · 1 LU ID TYPE and NUL, both obsolete · 4 code set · 5 designator type · 7 its length · 8 designator · 29 block length u24
export function decodeCopyList(list: Uint8Array): CopyList | CopyRefusal {
  if (list.length < headBytes) return 'LENGTH';
  const targetsBytes = readU16(list, 2);
  const segmentsBytes = readU32(list, 8);
  if (targetsBytes + segmentsBytes > copyLimits.listBytesMax - headBytes) return 'LENGTH';
  if (targetsBytes > copyLimits.targetsMax * targetBytes) return 'TOO_MANY_TARGETS';
  if (segmentsBytes > copyLimits.segmentsMax * blockToBlockBytes) return 'TOO_MANY_SEGMENTS';
  if (targetsBytes % targetBytes !== 0) return 'LENGTH';
  if (readU32(list, 12) !== 0) return 'INLINE_DATA';
  if (headBytes + targetsBytes + segmentsBytes > list.length) return 'LENGTH';
  const targets: CopyTarget[] = [];
  for (let at = headBytes; at < headBytes + targetsBytes; at += targetBytes) {
    if (list[at] !== identificationTarget) return 'TARGET_TYPE';
    const length = list[at + 7] as number;
    if (length > designatorBytesMax) return 'LENGTH';
    targets.push({
      codeSet: (list[at + 4] as number) & 0x0f,
      type: (list[at + 5] as number) & 0x0f,
      designator: list.subarray(at + 8, at + 8 + length),
      blockBytes: readU24(list, at + 29),
    });
  }
  const segments = decodeSegments(list.subarray(headBytes + targetsBytes, headBytes + targetsBytes + segmentsBytes));
  return typeof segments === 'string' ? segments : { listId: list[0] as number, targets, segments };
}

// 0 type · 2 length u16 (18h) · 4 source u16 · 6 destination u16 · 10 blocks u16 · 12 source LBA u64 · 20 destination LBA u64
function decodeSegments(bytes: Uint8Array): readonly CopySegment[] | CopyRefusal {
  const segments: CopySegment[] = [];
  for (let at = 0; at < bytes.length; at += blockToBlockBytes) {
    if (bytes[at] !== blockToBlock) return 'SEGMENT_TYPE';
    if (at + blockToBlockBytes > bytes.length || readU16(bytes, at + 2) !== blockToBlockBytes - 4) return 'LENGTH';
    segments.push({
      sourceIndex: readU16(bytes, at + 4),
      destinationIndex: readU16(bytes, at + 6),
      blocks: readU16(bytes, at + 10),
      sourceLba: readU64(bytes, at + 12),
      destinationLba: readU64(bytes, at + 20),
    });
  }
  return segments;
}

// RECEIVE COPY RESULTS, operating parameters (SPC-4 §6.26.4): 0 length u32 · 4 SNLID · 8 targets u16 · 10 segments u16 · 12 descriptors' length u32 ·
// 16 segment length u32, bytes · 20 inline data u32 · 24 held data u32 · 34 copies at once u16 · 36 copies at once u8 · 37 granularity, log2 ·
// 43 number of types · 44 types, ascending
export function encodeCopyParameters(blockBytes: number): Uint8Array {
  const types = [blockToBlock, identificationTarget];
  const bytes = new Uint8Array(44 + types.length);
  writeU32(bytes, 0, bytes.length - 4);
  bytes[4] = 1;
  writeU16(bytes, 8, copyLimits.targetsMax);
  writeU16(bytes, 10, copyLimits.segmentsMax);
  writeU32(bytes, 12, copyLimits.listBytesMax - headBytes);
  writeU32(bytes, 16, copyLimits.segmentBlocksMax * blockBytes);
  writeU16(bytes, 34, 1);
  bytes[36] = 1;
  bytes[37] = Math.log2(blockBytes);
  bytes[43] = types.length;
  bytes.set(types, 44);
  return bytes;
}

const completed = 1;
const failed = 2;

/** How the last EXTENDED COPY of a list id ended. */
export interface CopyStatus {
  readonly isDone: boolean;
  readonly segments: number;
  readonly blocks: number;
}

const countsBlocks = 0xf1; // TRANSFER COUNT UNITS: blocks

// 0 length u32 (8) · 4 status · 5 segments u16 · 7 units · 8 transferred u32
export function encodeCopyStatus({ isDone, segments, blocks }: CopyStatus): Uint8Array {
  const bytes = new Uint8Array(12);
  writeU32(bytes, 0, 8);
  bytes[4] = isDone ? completed : failed;
  writeU16(bytes, 5, segments);
  bytes[7] = countsBlocks;
  writeU32(bytes, 8, Math.min(blocks, 0xffff_ffff));
  return bytes;
}
