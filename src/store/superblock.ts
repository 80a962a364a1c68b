import { assert } from '../base/assert.ts';
import { Reader, utf8Bytes, Writer } from '../base/bytes.ts';
import { crc32c } from '../base/crc32c.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { ClusterId, CoreletId } from '../base/ids.ts';
import { type Flash, FlashError } from '../ports/flash.ts';
import {
  formatVersion,
  layoutOf,
  pageBytes,
  pagesFor,
  segmentBytesMin,
  segmentCountMin,
  segmentsPosition,
  superblockBytesMax,
  superblockPositions,
} from './layout.ts';
import { readPiece } from './medium.ts';

//  0  8  magic "CORELET\n"       56 8  device bytes
//  8  2  format version          64 4  segment bytes
// 10  2  zero                    68 4  arcs of the first pool
// 12  4  length in bytes, CRC included  72 4  founding bytes, then the founding record
// 16 16  cluster id              …  4  CRC32C of everything before
// 32 16  Corelet id
// 48  8  device tag: random, new at every format; every batch carries it
const magic = utf8Bytes('CORELET\n');
const fixedBytes = 76;
const crcBytes = 4;

export const foundingBytesMax = superblockBytesMax - fixedBytes - crcBytes;

/** Who a device belongs to, and how it is cut. Written once, by `Store.format`. */
export interface Superblock {
  readonly cluster: ClusterId;
  readonly corelet: CoreletId;
  readonly deviceTag: number;
  readonly deviceBytes: number;
  readonly segmentBytes: number;
  /** Arcs of the first pool; 0 when whoever formatted it didn't say. */
  readonly arcs: number;
  /** The cluster's founding record; opaque here, empty on a blank module. */
  readonly founding: Uint8Array;
}

/**
 * `UNFORMATTED` nothing but zeros · `FOREIGN` something else's data · `VERSION` written by another format version ·
 * `CORRUPT` ours, but no copy of the superblock is whole, or the device is not the size that was formatted.
 */
export type SuperblockResult =
  | { readonly ok: true; readonly superblock: Superblock }
  | {
      readonly ok: false;
      readonly code: 'FOREIGN' | 'VERSION' | 'UNFORMATTED' | 'CORRUPT';
      readonly message: string;
    };

/** Whole pages, ready to write. */
export function encodeSuperblock(superblock: Superblock): Uint8Array {
  assert(superblock.founding.length <= foundingBytesMax, 'founding record too large');
  const length = fixedBytes + superblock.founding.length + crcBytes;
  const writer = new Writer(pagesFor(length) * pageBytes);
  writer.raw(magic);
  writer.u16(formatVersion);
  writer.u16(0);
  writer.u32(length);
  writer.id(superblock.cluster);
  writer.id(superblock.corelet);
  writer.u64(superblock.deviceTag);
  writer.u64(superblock.deviceBytes);
  writer.u32(superblock.segmentBytes);
  writer.u32(superblock.arcs);
  writer.blob(superblock.founding);
  writer.u32(crc32c(writer.written()));
  return writer.bytes;
}

type CopyState = Superblock | 'zeros' | 'foreign' | 'version' | 'corrupt';

function decodeSuperblock(bytes: Uint8Array, length: number): Superblock | 'corrupt' {
  const reader = new Reader(bytes, 16, length);
  try {
    const cluster = reader.id() as ClusterId;
    const corelet = reader.id() as CoreletId;
    const deviceTag = reader.u64();
    const deviceBytes = reader.u64();
    const segmentBytes = reader.u32();
    const arcs = reader.u32();
    const founding = reader.blob(foundingBytesMax).slice();
    if (reader.u32() !== crc32c(bytes.subarray(0, length - crcBytes))) return 'corrupt';
    if (segmentBytes < segmentBytesMin || layoutOf(deviceBytes, segmentBytes).segmentCount < segmentCountMin) {
      return 'corrupt';
    }
    return { cluster, corelet, deviceTag, deviceBytes, segmentBytes, arcs, founding };
  } catch (error) {
    if (error instanceof RemoteProtocolError) return 'corrupt';
    throw error;
  }
}

async function readCopy(flash: Flash, position: number): Promise<CopyState> {
  const first = new Uint8Array(pageBytes);
  try {
    await flash.read(position, first);
    if (magic.some((byte, i) => first[i] !== byte)) return first.every((byte) => byte === 0) ? 'zeros' : 'foreign';
    const reader = new Reader(first, magic.length);
    if (reader.u16() !== formatVersion) return 'version';
    reader.u16();
    const length = reader.u32();
    if (length < fixedBytes + crcBytes || length > superblockBytesMax) return 'corrupt';
    const bytes = new Uint8Array(pagesFor(length) * pageBytes);
    await flash.read(position, bytes);
    return decodeSuperblock(bytes, length);
  } catch (error) {
    if (error instanceof FlashError && error.code === 'EIO') return 'corrupt';
    throw error;
  }
}

/** Says what a device is, from either copy of its superblock. Changes nothing. @throws FlashError unless it is `EIO`. */
export async function readSuperblock(flash: Flash): Promise<SuperblockResult> {
  if (flash.sizeBytes < segmentsPosition) {
    return { ok: false, code: 'FOREIGN', message: "no Corelet's device: it is smaller than 1 MiB" };
  }
  const states: CopyState[] = [];
  let superblock: Superblock | undefined;
  for (const position of superblockPositions) {
    const state = await readCopy(flash, position);
    states.push(state);
    if (typeof state !== 'object') continue;
    // A copy that outlived a later format would bring that device's past back as if it were now.
    if (superblock !== undefined && superblock.deviceTag !== state.deviceTag) {
      return { ok: false, code: 'CORRUPT', message: 'the two copies of the superblock are of different formats' };
    }
    superblock = state;
  }
  if (superblock !== undefined) {
    if (flash.sizeBytes >= superblock.deviceBytes) return { ok: true, superblock };
    const message = `the device has ${flash.sizeBytes} bytes, it was formatted with ${superblock.deviceBytes}`;
    return { ok: false, code: 'CORRUPT', message };
  }
  if (states.includes('version')) {
    return { ok: false, code: 'VERSION', message: `not written in store format ${formatVersion}` };
  }
  if (states.includes('corrupt')) return { ok: false, code: 'CORRUPT', message: 'no copy of the superblock is whole' };
  if (states[0] === 'foreign') return { ok: false, code: 'FOREIGN', message: "the device holds something else's data" };
  return states[1] === 'foreign'
    ? { ok: false, code: 'FOREIGN', message: "the device holds something else's data" }
    : { ok: false, code: 'UNFORMATTED', message: 'the device is blank' };
}

/** Makes the superblock durable, the second copy first: the first one is what says that a format ended. */
export async function writeSuperblock(flash: Flash, superblock: Superblock): Promise<void> {
  const pages = encodeSuperblock(superblock);
  for (const position of superblockPositions.toReversed()) await flash.writeDurably(position, [pages]);
}

/**
 * Writes anew, one after the other, each copy that isn't what was formatted: the other one is whole meanwhile, or was none either.
 * @returns how many. @throws FlashError
 */
export async function mendSuperblock(flash: Flash, superblock: Superblock): Promise<number> {
  const pages = encodeSuperblock(superblock);
  const found = new Uint8Array(pages.length);
  let mended = 0;
  for (const position of superblockPositions) {
    if ((await readPiece(flash, position, found)) && found.every((byte, i) => byte === pages[i])) continue;
    await flash.writeDurably(position, [pages]);
    mended += 1;
  }
  return mended;
}

/** Makes both copies unreadable as superblocks. */
export async function eraseSuperblock(flash: Flash): Promise<void> {
  const zeros = new Uint8Array(pageBytes);
  for (const position of superblockPositions) await flash.writeDurably(position, [zeros]);
}
