import { assert } from '../base/assert.ts';
import { type Reader, type Writer } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import { type ArcId, blockBytes, blocksPerChunk, type Version, type VolumeId } from '../base/ids.ts';
import {
  type BlockRange,
  type ChunkCopyRecord,
  type ChunkKey,
  type DevicePosition,
  type EntryRecord,
  type StoredChunkCopy,
  type StoredEntry,
  storeLimits,
} from './types.ts';

/**
 * Kinds of records, as stored.
 * Every record: u8 kind, u8 entry kind (entries only), u16 flags, u32 arc, then the fields below.
 */
export const recordKinds = {
  entry: 1,
  truncate: 2,
  hardState: 3,
  arcState: 4,
  chunkCopy: 5,
  register: 6,
  table: 7,
  mapPage: 8,
  moved: 9,
  cut: 10,
  applied: 11,
  freed: 12,
} as const;
const prefixBytes = 8;
const flagRange = 1;
const registerNameBytesMax = 255;

/** What recovery found to be the last valid batch, named by the record that it syncs before the store speaks. */
export interface CutRecord {
  readonly sequence: number;
  readonly position: number;
}

/** What a table record holds (its entry kind); see checkpoint.ts. */
export const tableKinds = { arcState: 1, group: 2, root: 3, segments: 4, checkpoint: 5 } as const;
export type TableKind = (typeof tableKinds)[keyof typeof tableKinds];

/** A piece of a checkpoint, in data pages of its own, written twice: where it is, and what it has to be. */
export interface TableRef {
  readonly position: DevicePosition;
  readonly mirror: DevicePosition;
  readonly bytes: number;
  readonly crc: number;
}

export interface TableRecord extends Omit<TableRef, 'mirror'> {
  readonly table: TableKind;
  readonly arc: ArcId;
  /** Of a group: its volume and layer, and its number as `chunk`; zeros else. */
  readonly key: ChunkKey;
}

export interface MapPageRecord {
  readonly arc: ArcId;
  readonly key: ChunkKey;
  readonly newest: Version;
  /** Blocks of the chunk that hold data. */
  readonly mapped: number;
  readonly position: DevicePosition;
  readonly crc: number;
}

/** Live blocks of one volume layer that the cleaner copied elsewhere: `position` of the first, the others behind it. */
export interface MovedRecord {
  readonly arc: ArcId;
  /** How often what lies in that segment was moved. */
  readonly generation: number;
  readonly volume: VolumeId;
  readonly layer: number;
  /** Chunk and block in it, version and CRC of each. */
  readonly chunks: Uint32Array;
  readonly blocks: Uint8Array;
  readonly versions: Float64Array;
  readonly crcs: Uint32Array;
  readonly position: DevicePosition;
}

export type DecodedRecord =
  | { readonly type: 'table'; readonly table: TableRecord }
  | { readonly type: 'mapPage'; readonly page: MapPageRecord }
  | { readonly type: 'moved'; readonly moved: MovedRecord }
  | { readonly type: 'entry'; readonly entry: StoredEntry }
  | { readonly type: 'truncate'; readonly arc: ArcId; readonly fromIndex: number }
  | { readonly type: 'hardState'; readonly arc: ArcId; readonly state: Uint8Array }
  | { readonly type: 'arcState'; readonly arc: ArcId; readonly state: Uint8Array }
  | { readonly type: 'chunkCopy'; readonly copy: StoredChunkCopy }
  | { readonly type: 'register'; readonly name: string; readonly value: Uint8Array }
  | { readonly type: 'cut'; readonly cut: CutRecord }
  | { readonly type: 'applied'; readonly arc: ArcId; readonly index: number }
  | { readonly type: 'freed'; readonly segment: number };

function prefix(writer: Writer, kind: number, arc: number, entryKind = 0, flags = 0): void {
  writer.u8(kind);
  writer.u8(entryKind);
  writer.u16(flags);
  writer.u32(arc);
}

// ---- sizes: upper bounds, so that a batch knows before it takes a record whether there is room ----------------------

export function entryBytes(record: EntryRecord): number {
  return prefixBytes + 64 + record.head.length + 4 * record.crcs.length;
}
export function stateBytes(state: Uint8Array): number {
  return prefixBytes + 4 + state.length;
}
export function chunkCopyBytes(record: ChunkCopyRecord): number {
  return prefixBytes + 40 + 14 * record.blocks.length + 10 * record.emptyBlocks.length;
}
export function registerBytes(value: Uint8Array): number {
  return prefixBytes + 2 + 4 * registerNameBytesMax + 4 + value.length;
}
export const smallRecordBytes = prefixBytes + 32;
export const pageRecordBytes = prefixBytes + 48;
export function movedBytes(blocks: number): number {
  return prefixBytes + 22 + 15 * blocks;
}

// ---- entry: u64 term, index, commit · u32 first data page, data pages · [u64 volume, u32 layer, u64 chunk,
//      u16 first block, u16 blocks] · head blob · u32 CRC per data page ------------------------------------------------

export function encodeEntry(writer: Writer, record: EntryRecord, dataPage: number): void {
  const range = record.range;
  prefix(writer, recordKinds.entry, record.arc, record.kind, range === undefined ? 0 : flagRange);
  writer.u64(record.term);
  writer.u64(record.index);
  writer.u64(record.commit);
  writer.u32(dataPage);
  writer.u32(record.crcs.length);
  if (range !== undefined) {
    encodeKey(writer, range);
    writer.u16(range.firstBlock);
    writer.u16(range.blockCount);
  }
  writer.blob(record.head);
  const crcs = record.crcs;
  for (let i = 0; i < crcs.length; i++) writer.u32(crcs[i] as number);
}

function decodeEntry(reader: Reader, arc: ArcId, kind: number, flags: number, dataPosition: number): StoredEntry {
  const term = reader.u64();
  const index = reader.u64();
  const commit = reader.u64();
  const position = dataPosition + reader.u32() * blockBytes;
  const blocks = reader.u32();
  if (blocks * blockBytes > storeLimits.recordDataBytesMax)
    throw new RemoteProtocolError(`${blocks} blocks in a record`);
  let range: BlockRange | undefined;
  if ((flags & flagRange) !== 0) {
    const key = decodeKey(reader);
    const firstBlock = reader.u16();
    range = { volume: key.volume, layer: key.layer, chunk: key.chunk, firstBlock, blockCount: reader.u16() };
  }
  const head = reader.blob(storeLimits.headBytesMax).slice();
  const crcs = decodeCrcs(reader, blocks);
  return { arc, term, index, kind, commit, head, range, crcs, position: blocks === 0 ? undefined : position };
}

export function encodeKey(writer: Writer, key: ChunkKey): void {
  writer.u64(key.volume);
  writer.u32(key.layer);
  writer.u64(key.chunk);
}
export function decodeKey(reader: Reader): ChunkKey {
  const volume = reader.u64() as VolumeId;
  const layer = reader.u32();
  return { volume, layer, chunk: reader.u64() };
}
export function decodeCrcs(reader: Reader, count: number): Uint32Array {
  const crcs = new Uint32Array(count);
  for (let i = 0; i < count; i++) crcs[i] = reader.u32();
  return crcs;
}

// ---- chunk copy: key · u32 first data page · u16 blocks, empty blocks · per block u16 number, u64 version, u32 CRC ·
//      per empty block u16 number, u64 version ---------------------------------------------------------------------------

export function encodeChunkCopy(writer: Writer, record: ChunkCopyRecord, dataPage: number): void {
  prefix(writer, recordKinds.chunkCopy, record.arc);
  encodeKey(writer, record.key);
  writer.u32(dataPage);
  writer.u16(record.blocks.length);
  writer.u16(record.emptyBlocks.length);
  for (let i = 0; i < record.blocks.length; i++) {
    writer.u16(record.blocks[i] as number);
    writer.u64(record.versions[i] as number);
    writer.u32(record.crcs[i] as number);
  }
  for (let i = 0; i < record.emptyBlocks.length; i++) {
    writer.u16(record.emptyBlocks[i] as number);
    writer.u64(record.emptyVersions[i] as number);
  }
}

function decodeChunkCopy(reader: Reader, arc: ArcId, dataPosition: number): StoredChunkCopy {
  const key = decodeKey(reader);
  const position = dataPosition + reader.u32() * blockBytes;
  const count = reader.u16();
  const emptyCount = reader.u16();
  if (count > blocksPerChunk || emptyCount > blocksPerChunk) throw new RemoteProtocolError('a chunk has 256 blocks');
  const blocks = new Uint16Array(count);
  const versions = new Float64Array(count);
  const crcs = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    blocks[i] = reader.u16();
    versions[i] = reader.u64();
    crcs[i] = reader.u32();
  }
  const emptyBlocks = new Uint16Array(emptyCount);
  const emptyVersions = new Float64Array(emptyCount);
  for (let i = 0; i < emptyCount; i++) {
    emptyBlocks[i] = reader.u16();
    emptyVersions[i] = reader.u64();
  }
  return { arc, key, blocks, versions, crcs, emptyBlocks, emptyVersions, position: count === 0 ? undefined : position };
}

// ---- tables: key · u32 first data page, u32 bytes, u32 CRC · map pages: key · u64 newest, u16 mapped, u32 data page, u32 CRC

export function encodeTable(writer: Writer, record: Omit<TableRecord, 'position'>, dataPage: number): void {
  prefix(writer, recordKinds.table, record.arc, record.table);
  encodeKey(writer, record.key);
  writer.u32(dataPage);
  writer.u32(record.bytes);
  writer.u32(record.crc);
}

function decodeTable(reader: Reader, arc: ArcId, kind: number, dataPosition: number): TableRecord {
  if (kind < tableKinds.arcState || kind > tableKinds.checkpoint) throw new RemoteProtocolError(`table kind ${kind}`);
  const key = decodeKey(reader);
  const position = dataPosition + reader.u32() * blockBytes;
  const bytes = reader.u32();
  if (bytes > storeLimits.tableBytesMax) throw new RemoteProtocolError(`a table of ${bytes} bytes`);
  return { table: kind as TableKind, arc, key, position, bytes, crc: reader.u32() };
}

export function encodeMapPageRecord(writer: Writer, page: Omit<MapPageRecord, 'position'>, dataPage: number): void {
  prefix(writer, recordKinds.mapPage, page.arc);
  encodeKey(writer, page.key);
  writer.u64(page.newest);
  writer.u16(page.mapped);
  writer.u32(dataPage);
  writer.u32(page.crc);
}

// ---- moved blocks: u64 volume, u32 layer · u64 position of the first · u16 blocks · per block u32 chunk, u8 number in it,
//      u48 version, u32 CRC --------------------------------------------------------------------------------------------------

const movedBlocksMax = 1024;
const two32 = 0x1_0000_0000;

export function encodeMoved(writer: Writer, moved: MovedRecord): void {
  prefix(writer, recordKinds.moved, moved.arc, moved.generation);
  writer.u64(moved.volume);
  writer.u32(moved.layer);
  writer.u64(moved.position);
  writer.u16(moved.blocks.length);
  for (let i = 0; i < moved.blocks.length; i++) {
    const version = moved.versions[i] as number;
    writer.u32(moved.chunks[i] as number);
    writer.u8(moved.blocks[i] as number);
    writer.u32(version >>> 0);
    writer.u16(Math.floor(version / two32));
    writer.u32(moved.crcs[i] as number);
  }
}

function decodeMoved(reader: Reader, arc: ArcId, generation: number): MovedRecord {
  const volume = reader.u64() as VolumeId;
  const layer = reader.u32();
  const position = reader.u64();
  const count = reader.u16();
  if (count > movedBlocksMax) throw new RemoteProtocolError(`${count} moved blocks in a record`);
  const chunks = new Uint32Array(count);
  const blocks = new Uint8Array(count);
  const versions = new Float64Array(count);
  const crcs = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    chunks[i] = reader.u32();
    blocks[i] = reader.u8();
    versions[i] = reader.u32() + reader.u16() * two32;
    crcs[i] = reader.u32();
  }
  return { arc, generation, volume, layer, chunks, blocks, versions, crcs, position };
}

// ---- the small ones -------------------------------------------------------------------------------------------------

export function encodeTruncate(writer: Writer, arc: ArcId, fromIndex: number): void {
  prefix(writer, recordKinds.truncate, arc);
  writer.u64(fromIndex);
}
export function encodeState(writer: Writer, kind: 3 | 4, arc: ArcId, state: Uint8Array): void {
  prefix(writer, kind, arc);
  writer.blob(state);
}
/** Everything of the arc up to `index` was applied, so that space could be given back that older states need. */
export function encodeApplied(writer: Writer, arc: ArcId, index: number): void {
  prefix(writer, recordKinds.applied, arc);
  writer.u64(index);
}
/** Nothing in the segment counts any more: what follows may use it. */
export function encodeFreed(writer: Writer, segment: number): void {
  prefix(writer, recordKinds.freed, 0);
  writer.u32(segment);
}
export function encodeRegister(writer: Writer, name: string, value: Uint8Array): void {
  assert(name.length <= registerNameBytesMax, `register name too long: ${name}`);
  prefix(writer, recordKinds.register, 0);
  writer.text(name);
  writer.blob(value);
}
export function encodeCut(writer: Writer, cut: CutRecord): void {
  prefix(writer, recordKinds.cut, 0);
  writer.u64(cut.sequence);
  writer.u64(cut.position);
}

/** @throws RemoteProtocolError where the bytes aren't a record of this format. `dataPosition`: of the batch's first data page. */
export function decodeRecord(reader: Reader, dataPosition: number): DecodedRecord {
  const kind = reader.u8();
  const entryKind = reader.u8();
  const flags = reader.u16();
  const arc = reader.u32() as ArcId;
  switch (kind) {
    case recordKinds.entry:
      return { type: 'entry', entry: decodeEntry(reader, arc, entryKind, flags, dataPosition) };
    case recordKinds.truncate:
      return { type: 'truncate', arc, fromIndex: reader.u64() };
    case recordKinds.hardState:
      return { type: 'hardState', arc, state: reader.blob(storeLimits.stateBytesMax).slice() };
    case recordKinds.arcState:
      return { type: 'arcState', arc, state: reader.blob(storeLimits.stateBytesMax).slice() };
    case recordKinds.chunkCopy:
      return { type: 'chunkCopy', copy: decodeChunkCopy(reader, arc, dataPosition) };
    case recordKinds.register: {
      const name = reader.text(4 * registerNameBytesMax);
      return { type: 'register', name, value: reader.blob(storeLimits.stateBytesMax).slice() };
    }
    case recordKinds.table:
      return { type: 'table', table: decodeTable(reader, arc, entryKind, dataPosition) };
    case recordKinds.mapPage: {
      const key = decodeKey(reader);
      const newest = reader.u64();
      const mapped = reader.u16();
      const position = dataPosition + reader.u32() * blockBytes;
      return { type: 'mapPage', page: { arc, key, newest, mapped, position, crc: reader.u32() } };
    }
    case recordKinds.moved:
      return { type: 'moved', moved: decodeMoved(reader, arc, entryKind) };
    case recordKinds.cut: {
      const sequence = reader.u64();
      return { type: 'cut', cut: { sequence, position: reader.u64() } };
    }
    case recordKinds.applied:
      return { type: 'applied', arc, index: reader.u64() };
    case recordKinds.freed:
      return { type: 'freed', segment: reader.u32() };
    default:
      throw new RemoteProtocolError(`record kind ${kind}`);
  }
}
