import { getU64, setU64 } from '../base/bytes.ts';
import { crc32c } from '../base/crc32c.ts';
import { formatVersion, pageBytes } from './layout.ts';

//   0 4 magic "CLB1" ("CLV1": moved)     56 8 device tag
//   4 2 format version                  64 8 position of this batch
//   6 2 header bytes (128)              72 8 sequence of the segment's first batch
//   8 8 sequence                        80 4 segment that will be used next (0xffffffff: none)
//  16 8 position of the previous batch  84 4 first 4 bytes of the cluster id
//  24 4 its meta CRC                    88 32 zero
//  28 4 meta bytes, header included    120 4 CRC32C of bytes 0 … 119
//  32 4 data pages                     124 4 CRC32C of the meta bytes, these four left out
//  36 4 records                        128   records
//  40 16 zero
export const batchHeaderBytes = 128;
const logMagic = 0x31424c43;
const movedMagic = 0x31564c43;
const headerCrcAt = 120;
const metaCrcAt = 124;
export const noSegment = 0xffff_ffff;
/** No batch's meta is longer: one record of the largest kind, or many small ones. */
export const metaBytesMax = 16 * 1024 * 1024;
const dataPagesMax = 16 * 1024;

/** Names a batch to its successor. */
export interface BatchLink {
  readonly sequence: number;
  readonly position: number;
  readonly metaCrc: number;
}

/** What every batch of one device carries. */
export interface DeviceMark {
  readonly deviceTag: number;
  readonly clusterTag: number;
  /** Batches of blocks that the cleaner moved: in segments of their own, a chain in each, and never taken for the log's. */
  readonly moved?: boolean;
}

export interface BatchHeader extends BatchLink {
  readonly previousPosition: number;
  readonly previousMetaCrc: number;
  readonly metaBytes: number;
  readonly dataPages: number;
  readonly records: number;
  readonly segmentSequence: number;
  readonly nextSegment: number;
}

/**
 * A batch is one head page (header and records), its block data, and, where the records outgrow the head page, tail
 * pages with the rest of them: so every block's position is known when it is appended.
 */
export function batchBytes(metaBytes: number, dataPages: number): number {
  return (dataPages + Math.max(1, Math.ceil(metaBytes / pageBytes))) * pageBytes;
}

/** Writes the header into the first 128 bytes of `meta` (records behind it, up to `metaBytes`). Returns the meta CRC. */
export function sealHeader(meta: Uint8Array, mark: DeviceMark, header: Omit<BatchHeader, 'metaCrc'>): number {
  const view = new DataView(meta.buffer, meta.byteOffset, batchHeaderBytes);
  meta.fill(0, 0, batchHeaderBytes);
  view.setUint32(0, mark.moved === true ? movedMagic : logMagic, true);
  view.setUint16(4, formatVersion, true);
  view.setUint16(6, batchHeaderBytes, true);
  setU64(view, 8, header.sequence);
  setU64(view, 16, header.previousPosition);
  view.setUint32(24, header.previousMetaCrc, true);
  view.setUint32(28, header.metaBytes, true);
  view.setUint32(32, header.dataPages, true);
  view.setUint32(36, header.records, true);
  setU64(view, 56, mark.deviceTag);
  setU64(view, 64, header.position);
  setU64(view, 72, header.segmentSequence);
  view.setUint32(80, header.nextSegment, true);
  view.setUint32(84, mark.clusterTag, true);
  view.setUint32(headerCrcAt, crc32c(meta.subarray(0, headerCrcAt)), true);
  const metaCrc = metaCrcOf(meta, header.metaBytes);
  view.setUint32(metaCrcAt, metaCrc, true);
  return metaCrc;
}

export function metaCrcOf(meta: Uint8Array, metaBytes: number): number {
  return crc32c(meta.subarray(batchHeaderBytes, metaBytes), crc32c(meta.subarray(0, metaCrcAt)));
}

/**
 * The header that lies at `position`, or undefined where there is none of this device made for that place. The meta CRC
 * is still to be checked.
 */
export function readHeader(page: Uint8Array, mark: DeviceMark, position: number): BatchHeader | undefined {
  const view = new DataView(page.buffer, page.byteOffset, batchHeaderBytes);
  const magic = mark.moved === true ? movedMagic : logMagic;
  if (view.getUint32(0, true) !== magic || view.getUint16(4, true) !== formatVersion) return undefined;
  if (getU64(view, 56) !== mark.deviceTag || view.getUint32(84, true) !== mark.clusterTag) return undefined;
  if (getU64(view, 64) !== position) return undefined;
  if (view.getUint32(headerCrcAt, true) !== crc32c(page.subarray(0, headerCrcAt))) return undefined;
  const metaBytes = view.getUint32(28, true);
  const dataPages = view.getUint32(32, true);
  if (metaBytes < batchHeaderBytes || metaBytes > metaBytesMax || dataPages > dataPagesMax) return undefined;
  return {
    sequence: getU64(view, 8),
    position,
    metaCrc: view.getUint32(metaCrcAt, true),
    previousPosition: getU64(view, 16),
    previousMetaCrc: view.getUint32(24, true),
    metaBytes,
    dataPages,
    records: view.getUint32(36, true),
    segmentSequence: getU64(view, 72),
    nextSegment: view.getUint32(80, true),
  };
}
