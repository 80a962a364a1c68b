import { Reader, Writer } from '../base/bytes.ts';
import { crc32c } from '../base/crc32c.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import { type ArcId, blockBytes, type VolumeId } from '../base/ids.ts';
import type { BatchLink, DeviceMark } from './batch-header.ts';
import { formatVersion, pageBytes } from './layout.ts';
import { decodeCrcs, decodeKey, encodeKey, type TableRef } from './records.ts';
import { type ArcCheckpoint, type BlockRange, type StoredEntry, storeLimits } from './types.ts';

/** Where a restart begins to read the log: this batch, and what it has to name as the one before it. */
export interface LogStart {
  readonly sequence: number;
  readonly position: number;
  readonly segmentSequence: number;
  readonly previous: BatchLink;
}

export interface CheckpointArc {
  readonly arc: ArcId;
  /** The batch that brought its state: what the log says of the arc before that is part of it. */
  readonly sequence: number;
  readonly state: TableRef;
  /** Its chunk table's parts; undefined: it has no chunks. */
  readonly root: TableRef | undefined;
}

export interface Checkpoint {
  readonly number: number;
  readonly start: LogStart;
  readonly segments: TableRef;
  readonly arcs: readonly CheckpointArc[];
}

/** One part of an arc's chunk table. */
export interface RootGroup {
  readonly volume: VolumeId;
  readonly layer: number;
  readonly group: number;
  readonly table: TableRef;
}

const arcsMax = 65_536;
const groupsMax = 200_000;
const tailEntriesMax = 1_000_000;
const refBytes = 24;

function encodeRef(writer: Writer, ref: TableRef): void {
  writer.u64(ref.position);
  writer.u64(ref.mirror);
  writer.u32(ref.bytes);
  writer.u32(ref.crc);
}
function decodeRef(reader: Reader): TableRef {
  const position = reader.u64();
  const mirror = reader.u64();
  const bytes = reader.u32();
  if (bytes > storeLimits.tableBytesMax || position % pageBytes !== 0 || mirror % pageBytes !== 0) {
    throw new RemoteProtocolError('a table reference');
  }
  return { position, mirror, bytes, crc: reader.u32() };
}

// u64 number · u64 sequence, position, segment sequence of the first batch to read · u64 sequence, position, u32 CRC of the
// one before · ref segment table · u32 arcs · per arc: u32 arc, u64 sequence, ref state, ref root (position 0: none)
export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const writer = new Writer(1024);
  const { start, arcs } = checkpoint;
  writer.u64(checkpoint.number);
  writer.u64(start.sequence);
  writer.u64(start.position);
  writer.u64(start.segmentSequence);
  writer.u64(start.previous.sequence);
  writer.u64(start.previous.position);
  writer.u32(start.previous.metaCrc);
  encodeRef(writer, checkpoint.segments);
  writer.u32(arcs.length);
  for (const arc of arcs) {
    writer.u32(arc.arc);
    writer.u64(arc.sequence);
    encodeRef(writer, arc.state);
    encodeRef(writer, arc.root ?? { position: 0, mirror: 0, bytes: 0, crc: 0 });
  }
  return writer.copy();
}

/** @throws RemoteProtocolError */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const reader = new Reader(bytes);
  const number = reader.u64();
  const sequence = reader.u64();
  const position = reader.u64();
  const segmentSequence = reader.u64();
  const previous = { sequence: reader.u64(), position: reader.u64(), metaCrc: reader.u32() };
  const segments = decodeRef(reader);
  const arcs: CheckpointArc[] = [];
  const count = reader.count(arcsMax, 12 + 2 * refBytes);
  for (let i = 0; i < count; i++) {
    const arc = reader.u32() as ArcId;
    const arcSequence = reader.u64();
    const state = decodeRef(reader);
    const root = decodeRef(reader);
    arcs.push({ arc, sequence: arcSequence, state, root: root.position === 0 ? undefined : root });
  }
  reader.done();
  return { number, start: { sequence, position, segmentSequence, previous }, segments, arcs };
}

// u32 groups · per group: u64 volume, u32 layer, u32 number, ref
export function encodeRoot(groups: readonly RootGroup[]): Uint8Array {
  const writer = new Writer(8 + 32 * groups.length);
  writer.u32(groups.length);
  for (const group of groups) {
    writer.u64(group.volume);
    writer.u32(group.layer);
    writer.u32(group.group);
    encodeRef(writer, group.table);
  }
  return writer.copy();
}

/** @throws RemoteProtocolError */
export function decodeRoot(bytes: Uint8Array): RootGroup[] {
  const reader = new Reader(bytes);
  const groups: RootGroup[] = [];
  const count = reader.count(groupsMax, 16 + refBytes);
  for (let i = 0; i < count; i++) {
    const volume = reader.u64() as VolumeId;
    const layer = reader.u32();
    const group = reader.u32();
    groups.push({ volume, layer, group, table: decodeRef(reader) });
  }
  reader.done();
  return groups;
}

// state blob · hard state blob · u32 entries · per entry: u64 term, index, commit, u8 kind, u8 flags (1: range), u64 position
// (0: no data), [key, u16 first block, u16 blocks], head blob, u32 CRCs, u32 each
export function encodeArcCheckpoint(checkpoint: ArcCheckpoint): Uint8Array {
  const writer = new Writer(1024);
  writer.blob(checkpoint.state);
  writer.blob(checkpoint.hardState);
  writer.u32(checkpoint.tail.length);
  for (const entry of checkpoint.tail) encodeTailEntry(writer, entry);
  return writer.copy();
}

function encodeTailEntry(writer: Writer, entry: StoredEntry): void {
  writer.u64(entry.term);
  writer.u64(entry.index);
  writer.u64(entry.commit);
  writer.u8(entry.kind);
  writer.u8(entry.range === undefined ? 0 : 1);
  writer.u64(entry.position ?? 0);
  if (entry.range !== undefined) {
    encodeKey(writer, entry.range);
    writer.u16(entry.range.firstBlock);
    writer.u16(entry.range.blockCount);
  }
  writer.blob(entry.head);
  writer.u32(entry.crcs.length);
  for (const crc of entry.crcs) writer.u32(crc);
}

/** @throws RemoteProtocolError */
export function decodeArcCheckpoint(arc: ArcId, bytes: Uint8Array): ArcCheckpoint {
  const reader = new Reader(bytes);
  const state = reader.blob(storeLimits.stateBytesMax).slice();
  const hardState = reader.blob(storeLimits.stateBytesMax).slice();
  const tail: StoredEntry[] = [];
  const count = reader.count(tailEntriesMax, 42);
  for (let i = 0; i < count; i++) tail.push(decodeTailEntry(reader, arc));
  reader.done();
  return { state, hardState, tail };
}

function decodeTailEntry(reader: Reader, arc: ArcId): StoredEntry {
  const term = reader.u64();
  const index = reader.u64();
  const commit = reader.u64();
  const kind = reader.u8();
  const hasRange = reader.u8() !== 0;
  const position = reader.u64();
  let range: BlockRange | undefined;
  if (hasRange) {
    const key = decodeKey(reader);
    const firstBlock = reader.u16();
    range = { ...key, firstBlock, blockCount: reader.u16() };
  }
  const head = reader.blob(storeLimits.headBytesMax).slice();
  const blocks = reader.count(storeLimits.recordDataBytesMax / blockBytes, 4);
  const crcs = decodeCrcs(reader, blocks);
  return { arc, term, index, commit, kind, range, head, crcs, position: position === 0 ? undefined : position };
}

// ---- anchors --------------------------------------------------------------------------------------------------------

/** Two places in turn, each with two copies of one page, in the space before the first segment. */
export const anchorPositions = [
  [256 * 1024, 384 * 1024],
  [512 * 1024, 640 * 1024],
] as const;
const anchorMagic = 0x31414c43;
const anchorBytes = 60;

/** Names the newest checkpoint. */
export interface Anchor {
  readonly number: number;
  readonly table: TableRef;
}

// u32 magic "CLA1" · u16 format version · u16 zero · u64 device tag · u32 cluster tag · u32 zero · u64 number · ref · u32 CRC
export function encodeAnchor(mark: DeviceMark, anchor: Anchor): Uint8Array {
  const writer = new Writer(pageBytes);
  writer.u32(anchorMagic);
  writer.u16(formatVersion);
  writer.u16(0);
  writer.u64(mark.deviceTag);
  writer.u32(mark.clusterTag);
  writer.u32(0);
  writer.u64(anchor.number);
  encodeRef(writer, anchor.table);
  writer.u32(crc32c(writer.written()));
  const page = new Uint8Array(pageBytes);
  page.set(writer.written());
  return page;
}

export function decodeAnchor(mark: DeviceMark, page: Uint8Array): Anchor | undefined {
  const reader = new Reader(page, 0, anchorBytes);
  if (reader.u32() !== anchorMagic || reader.u16() !== formatVersion) return undefined;
  reader.u16();
  try {
    if (reader.u64() !== mark.deviceTag || reader.u32() !== mark.clusterTag) return undefined;
    reader.u32();
    const anchor = { number: reader.u64(), table: decodeRef(reader) };
    return reader.u32() === crc32c(page.subarray(0, anchorBytes - 4)) ? anchor : undefined;
  } catch (error) {
    if (error instanceof RemoteProtocolError) return undefined;
    throw error;
  }
}
