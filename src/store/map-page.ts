import { getU64, setU64 } from '../base/bytes.ts';
import { crc32c } from '../base/crc32c.ts';
import { type ArcId, blocksPerChunk, type VolumeId } from '../base/ids.ts';
import { pageBytes } from './layout.ts';
import type { ChunkKey, ChunkMap } from './types.ts';

//  0 4 magic "CLM1"        24 8 volume
//  4 4 CRC32C of bytes 8 … 4095   32 8 chunk
//  8 2 format (1)          40 8 newest: the index up to which the chunk is applied
// 10 2 mapped blocks       48    zeros up to 256
// 12 4 arc                256    256 slots of 15 bytes: u40 page number on the device (0: nothing), u48 version, u32 CRC
// 16 4 layer
export const mapPageMagic = 0x314d4c43;
const format = 1;
const slotsAt = 256;
const slotBytes = 15;
const two32 = 0x1_0000_0000;
/** Stands for a block of which nothing is known any more but that it may hold data: its map page can't be read (INV-7). */
export const damagedPosition = 1;
/** The device page of a damaged block, as stored. */
const damagedPage = 0xff_ffff_ffff;

/** A chunk with room for every block, in one piece of memory. */
export function emptyChunk(key: ChunkKey): ChunkMap {
  const bytes = new ArrayBuffer(blocksPerChunk * 20);
  return {
    key: { volume: key.volume, layer: key.layer, chunk: key.chunk },
    positions: new Float64Array(bytes, 0, blocksPerChunk),
    versions: new Float64Array(bytes, blocksPerChunk * 8, blocksPerChunk),
    crcs: new Uint32Array(bytes, blocksPerChunk * 16, blocksPerChunk),
    newest: 0,
  };
}

export function mappedBlocks(page: ChunkMap): number {
  let mapped = 0;
  for (let i = 0; i < blocksPerChunk; i++) if (page.positions[i] !== 0) mapped++;
  return mapped;
}

/** A chunk's map as one page of the device. */
export function encodeMapPage(arc: ArcId, page: ChunkMap, mapped: number): Uint8Array {
  const bytes = new Uint8Array(pageBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, mapPageMagic, true);
  view.setUint16(8, format, true);
  view.setUint16(10, mapped, true);
  view.setUint32(12, arc, true);
  view.setUint32(16, page.key.layer, true);
  setU64(view, 24, page.key.volume);
  setU64(view, 32, page.key.chunk);
  setU64(view, 40, page.newest);
  for (let i = 0, at = slotsAt; i < blocksPerChunk; i++, at += slotBytes) {
    const position = page.positions[i] as number;
    const version = page.versions[i] as number;
    if (position === 0 && version === 0) continue;
    const device = position === damagedPosition ? damagedPage : position / pageBytes;
    view.setUint32(at, device >>> 0, true);
    view.setUint8(at + 4, Math.floor(device / two32));
    view.setUint32(at + 5, version >>> 0, true);
    view.setUint16(at + 9, Math.floor(version / two32), true);
    view.setUint32(at + 11, page.crcs[i] as number, true);
  }
  view.setUint32(4, crc32c(bytes.subarray(8)), true);
  return bytes;
}

/** What a page says that it is; undefined where there is no whole map page. */
export interface MapPageHead {
  readonly arc: ArcId;
  readonly key: ChunkKey;
  readonly newest: number;
  readonly mapped: number;
}

export function readMapPageHead(bytes: Uint8Array): MapPageHead | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, pageBytes);
  if (view.getUint32(0, true) !== mapPageMagic || view.getUint16(8, true) !== format) return undefined;
  if (view.getUint32(4, true) !== crc32c(bytes.subarray(8, pageBytes))) return undefined;
  const key = { volume: getU64(view, 24) as VolumeId, layer: view.getUint32(16, true), chunk: getU64(view, 32) };
  return { arc: view.getUint32(12, true) as ArcId, key, newest: getU64(view, 40), mapped: view.getUint16(10, true) };
}

/** The blocks of a page whose head was read. */
export function decodeMapPage(bytes: Uint8Array, head: MapPageHead): ChunkMap {
  const view = new DataView(bytes.buffer, bytes.byteOffset, pageBytes);
  const page = emptyChunk(head.key);
  for (let i = 0, at = slotsAt; i < blocksPerChunk; i++, at += slotBytes) {
    const device = view.getUint8(at + 4) * two32 + view.getUint32(at, true);
    page.positions[i] = device === damagedPage ? damagedPosition : device * pageBytes;
    page.versions[i] = view.getUint16(at + 9, true) * two32 + view.getUint32(at + 5, true);
    page.crcs[i] = view.getUint32(at + 11, true);
  }
  page.newest = head.newest;
  return page;
}

/** In place of a page that can't be read: any version may be there, so any newer write counts, and no read is answered. */
export function damagedChunk(key: ChunkKey, newest: number): ChunkMap {
  const page = emptyChunk(key);
  page.positions.fill(damagedPosition);
  page.newest = newest;
  return page;
}
