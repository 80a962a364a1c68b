import assert from 'node:assert/strict';
import { Reader } from '../../../src/base/bytes.ts';
import { batchBytes, batchHeaderBytes, type DeviceMark } from '../../../src/store/batch-header.ts';
import { anchorsIn, readAnchorPages, readTable } from '../../../src/store/checkpoint-load.ts';
import { markOf } from '../../../src/store/format.ts';
import {
  type Anchor,
  anchorPositions,
  type Checkpoint,
  decodeCheckpoint,
  decodeRoot,
} from '../../../src/store/checkpoint.ts';
import {
  type Layout,
  layoutOf,
  pageBytes,
  segmentEnd,
  segmentOf,
  segmentStart,
  superblockPositions,
} from '../../../src/store/layout.ts';
import { decodeRecord, type TableRef } from '../../../src/store/records.ts';
import { type ScannedBatch, scanRun } from '../../../src/store/scan.ts';
import { readSuperblock } from '../../../src/store/superblock.ts';
import { arcCount, type Moment } from './corruption-device.ts';
import type { MemoryFlash } from './corruption-flash.ts';
import { Owner } from './corruption-owner.ts';
import type { TestClock } from './test-ports.ts';

/** A place on the device and what it is, to be damaged. */
export interface Target {
  /** The class that it is counted under. */
  readonly kind: string;
  /** What it is called in earlier moments of the device: the same object, in an older version. */
  readonly name: string;
  readonly position: number;
  readonly bytes: number;
  /** Offsets of bytes that are worth a flip: each field's first, at least. */
  readonly flips: readonly number[];
}

/** Of a kind of which there are many, so many places are damaged. */
const placesPerKind = 3;
const headerFields = [0, 4, 6, 8, 16, 24, 28, 32, 36, 40, 56, 64, 72, 80, 84, 88, 120, 124];
const superblockFields = [0, 8, 10, 12, 16, 32, 48, 56, 64, 68, 72, 76, 200, 376];
const anchorFields = [0, 4, 6, 8, 16, 20, 24, 32, 40, 48, 52, 56];
const anchorBytes = 60;

function every(step: number, from: number, to: number): number[] {
  const offsets: number[] = [];
  for (let at = from; at < to; at += step) offsets.push(at);
  return offsets;
}

/** What a device says of itself, read with the store's own code. */
export interface Anatomy {
  readonly layout: Layout;
  readonly mark: DeviceMark;
  readonly anchors: readonly Anchor[];
  readonly checkpoint: Checkpoint;
  /** Batches of the log from the checkpoint on, in order. */
  readonly replayed: readonly ScannedBatch[];
  /** Batches of the log before that, and of moved blocks. */
  readonly old: readonly ScannedBatch[];
  readonly moved: readonly ScannedBatch[];
  readonly tables: readonly { readonly kind: string; readonly name: string; readonly ref: TableRef }[];
}

export async function anatomyOf(flash: MemoryFlash): Promise<Anatomy> {
  const found = await readSuperblock(flash);
  assert.ok(found.ok);
  const { deviceBytes, segmentBytes } = found.superblock;
  const mark = markOf(found.superblock);
  const layout = layoutOf(deviceBytes, segmentBytes);
  const anchors = anchorsIn(await readAnchorPages(flash, mark));
  const newest = anchors[0];
  assert.ok(newest !== undefined);
  const checkpoint = decodeCheckpoint(await readTable(flash, newest.table));
  const log: ScannedBatch[] = [];
  const moved: ScannedBatch[] = [];
  for (let segment = 0; segment < layout.segmentCount; segment++) {
    const [from, limit] = [segmentStart(layout, segment), segmentEnd(layout, segment)];
    log.push(...(await scanRun(flash, mark, from, limit)).batches);
    moved.push(...(await scanRun(flash, { ...mark, moved: true }, from, limit)).batches);
  }
  log.sort((a, b) => a.header.sequence - b.header.sequence);
  const isReplayed = (batch: ScannedBatch): boolean => batch.header.sequence >= checkpoint.start.sequence;
  const tables = [
    { kind: 'checkpoint table', name: 'checkpoint', ref: newest.table },
    { kind: 'segment table', name: 'segments', ref: checkpoint.segments },
  ];
  for (const { arc, state, root } of checkpoint.arcs) {
    tables.push({ kind: 'arc state', name: `state ${arc}`, ref: state });
    if (root === undefined) continue;
    tables.push({ kind: 'root', name: `root ${arc}`, ref: root });
    for (const { group, table } of decodeRoot(await readTable(flash, root))) {
      tables.push({ kind: 'chunk table', name: `group ${arc} ${group}`, ref: table });
    }
  }
  const old = log.filter((batch) => !isReplayed(batch));
  return { layout, mark, anchors, checkpoint, replayed: log.filter(isReplayed), old, moved, tables };
}

function batchTargets(kind: string, batch: ScannedBatch, withRecords: boolean): Target[] {
  const { position, metaBytes, records, dataPages } = batch.header;
  const targets: Target[] = [];
  targets.push({ kind: `${kind} header`, name: '', position, bytes: batchHeaderBytes, flips: headerFields });
  if (!withRecords) return targets;
  const reader = new Reader(batch.meta, batchHeaderBytes, metaBytes);
  for (let i = 0; i < records; i++) {
    const at = reader.at;
    const { type } = decodeRecord(reader, position + pageBytes);
    // Records that go on in tail pages lie behind the data.
    if (reader.at > pageBytes) continue;
    const bytes = reader.at - at;
    const flips = [0, 1, 2, 4, ...every(Math.max(4, Math.ceil(bytes / 40) * 4), 8, bytes)];
    targets.push({ kind: `${kind} record: ${type}`, name: '', position: position + at, bytes, flips });
  }
  const end = batchBytes(metaBytes, dataPages);
  if (end > (1 + dataPages) * pageBytes) {
    const from = (1 + dataPages) * pageBytes;
    targets.push({ kind: `${kind} tail page`, name: '', position: position + from, bytes: pageBytes, flips: [0, 99] });
  }
  return targets;
}

const pageFlips = [0, 4, 8, 10, 12, 16, 24, 32, 40, 256, 260, 265, 267, 300, 4095];

function dataTargets(kind: string, batches: readonly ScannedBatch[], isLive: (position: number) => boolean): Target[] {
  const targets: Target[] = [];
  for (const { header } of batches) {
    for (let page = 1; page <= header.dataPages; page++) {
      const position = header.position + page * pageBytes;
      if (isLive(position)) targets.push({ kind, name: '', position, bytes: pageBytes, flips: [0, 513, 4095] });
    }
  }
  return targets;
}

export interface LivePlaces {
  readonly blocks: ReadonlySet<number>;
  readonly mapPages: ReadonlyMap<number, string>;
}

/** Where the blocks and map pages are that a device's maps point at. */
export async function livePlaces({ flash, truth }: Moment, clock: TestClock): Promise<LivePlaces> {
  const owner = await Owner.open(flash.clone(), clock, { arcs: arcCount, life: truth.life });
  const blocks = new Set<number>();
  const mapPages = new Map<number, string>();
  for (const map of owner.space.maps()) {
    for (const key of map.keys()) {
      const page = await map.load(key);
      for (const position of page?.positions ?? []) if (position !== 0) blocks.add(position);
      const position = map.pagePosition(key);
      if (position !== 0) mapPages.set(position, `map ${map.arc} ${key.chunk}`);
    }
  }
  await owner.store.close();
  return { blocks, mapPages };
}

/** At most `most` of the list, spread over it. */
function some<Item>(items: readonly Item[], most: number): Item[] {
  const step = Math.max(1, items.length / most);
  return Array.from({ length: Math.min(most, items.length) }, (_, i) => items[Math.floor(i * step)] as Item);
}

/** Whole segments: what a lost write, or a medium that forgot more than a page, takes away. */
function segmentTargets({ layout, checkpoint, replayed, old, moved }: Anatomy): Target[] {
  const first = (batches: readonly ScannedBatch[]): Set<number> =>
    new Set(batches.map(({ header }) => segmentOf(layout, header.position)));
  const [movedIn, oldIn, replayedIn] = [first(moved), first(old), first(replayed)];
  const tail = segmentOf(layout, (replayed.at(-1) as ScannedBatch).header.position);
  const targets: Target[] = [];
  for (let segment = 0; segment < layout.segmentCount; segment++) {
    const start = segment === segmentOf(layout, checkpoint.start.position);
    let kind = movedIn.has(segment)
      ? 'segment of moved blocks'
      : oldIn.has(segment)
        ? 'segment before the checkpoint'
        : 'free segment';
    if (replayedIn.has(segment)) kind = 'segment of the log';
    if (start) kind = 'segment where the checkpoint begins';
    if (segment === tail) kind = start ? 'segment of checkpoint and tail' : 'segment of the tail';
    const position = segmentStart(layout, segment);
    targets.push({ kind, name: '', position, bytes: layout.segmentBytes, flips: [] });
  }
  return targets;
}

function someOfEach(targets: readonly Target[]): Target[] {
  const byKind = Map.groupBy(targets, ({ kind }) => kind);
  return [...byKind.values()].flatMap((alike) => some(alike, placesPerKind));
}

/** Every class of bytes that a device has, with some places of each. `live`: what its map points at. */
export function targetsOf(anatomy: Anatomy, live: LivePlaces): Target[] {
  const { replayed, old, moved, tables } = anatomy;
  const targets: Target[] = [];
  for (const [i, position] of superblockPositions.entries()) {
    targets.push({ kind: 'superblock', name: `superblock ${i}`, position, bytes: pageBytes, flips: superblockFields });
  }
  for (const anchor of anatomy.anchors) {
    const kind = anchor === anatomy.anchors[0] ? 'newest anchor' : 'older anchor';
    for (const [copy, position] of (anchorPositions[anchor.number % 2] as readonly number[]).entries()) {
      targets.push({ kind, name: `anchor ${copy}`, position, bytes: anchorBytes, flips: anchorFields });
    }
  }
  for (const { kind, name, ref } of tables) {
    const flips = every(Math.max(1, Math.floor(ref.bytes / 6)), 0, ref.bytes);
    for (const [copy, position] of [ref.position, ref.mirror].entries()) {
      targets.push({ kind, name: `${name} ${copy}`, position, bytes: ref.bytes, flips });
    }
  }
  for (const [position, name] of some([...live.mapPages], 2 * placesPerKind)) {
    targets.push({ kind: 'map page', name, position, bytes: pageBytes, flips: pageFlips });
  }
  const tail = replayed.at(-1) as ScannedBatch;
  const beforeTail = replayed.at(-2) as ScannedBatch;
  targets.push(...batchTargets('tail batch', tail, true));
  targets.push(...batchTargets('batch before the tail', beforeTail, true));
  const middle = replayed.slice(0, -2);
  targets.push(...someOfEach(middle.flatMap((batch) => batchTargets('log batch', batch, true))));
  for (const batch of some(old, placesPerKind))
    targets.push(...batchTargets('log batch before the checkpoint', batch, false));
  for (const batch of some(moved, placesPerKind)) targets.push(...batchTargets('moved batch', batch, false));
  const isLive = (position: number): boolean => live.blocks.has(position);
  targets.push(...some(dataTargets('entry data in the log', middle, isLive), 2 * placesPerKind));
  targets.push(...some(dataTargets('entry data before the checkpoint', old, isLive), 2 * placesPerKind));
  targets.push(...some(dataTargets('moved data', moved, isLive), 2 * placesPerKind));
  targets.push(...dataTargets('tail batch data', [tail], () => true));
  targets.push(...dataTargets('data before the tail', [beforeTail], isLive));
  targets.push(...segmentTargets(anatomy));
  targets.push({
    kind: 'space behind the tail',
    name: '',
    position: tail.end,
    bytes: pageBytes,
    flips: [0, 4, 513, 4095],
  });
  return targets;
}
