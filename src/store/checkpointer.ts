import { crc32c } from '../base/crc32c.ts';
import type { ArcId, VolumeId } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Flash } from '../ports/flash.ts';
import type { DeviceMark } from './batch-header.ts';
import type { Chunk } from './chunk.ts';
import type { ChunkGroup } from './chunk-group.ts';
import {
  type Anchor,
  type CheckpointArc,
  encodeArcCheckpoint,
  encodeCheckpoint,
  encodeRoot,
  type LogStart,
  type RootGroup,
} from './checkpoint.ts';
import { damagedCopies, type LoadedCheckpoint, readAnchorPages } from './checkpoint-load.ts';
import { pageBytes, pagesFor } from './layout.ts';
import type { MapSpace } from './map-space.ts';
import { pause } from './pause.ts';
import { type TableKind, type TableRecord, type TableRef, tableKinds } from './records.ts';
import type { Segments } from './segments.ts';
import type { ChunkKey, DevicePosition, StoreOwner } from './types.ts';

/** Pages written out in one turn: a few hundred microseconds. */
const pagesPerTurnMax = 32;
/** Bytes of tables written in one turn. */
const tableBytesPerTurnMax = 256 * 1024;
/** Between two turns of a pass that nobody waits for. */
const pauseMs = 2;
/** Of each anchor on the device. */
const anchorCopies = 2;
const noKey: ChunkKey = { volume: 0 as VolumeId, layer: 0, chunk: 0 };

/** What a pass needs of the store. */
export interface CheckpointDevice {
  /** Begins the batch that the log will be read from: everything small that is not an arc's goes into it. */
  begin(): LogStart | undefined;
  /** Sequence of the batch that takes the next record. */
  sequence(): number;
  /** Where the table, padded to whole pages, will be; undefined after a failure. */
  appendTable(table: Table, pages: Uint8Array): DevicePosition | undefined;
  synced(): Promise<void>;
  writeAnchor(anchor: Anchor): Promise<void>;
}

type Writable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

type Table = Omit<TableRecord, 'position'>;

interface Unmirrored {
  readonly ref: Writable<TableRef>;
  readonly table: Table;
  readonly pages: Uint8Array;
}

interface ArcPart {
  readonly mark: string;
  readonly sequence: number;
  readonly state: TableRef;
  root: TableRef | undefined;
}

/**
 * Takes checkpoints, one after the other, arc by arc, a little in each turn: what an arc is at one moment goes into the
 * log, then every page of its map that differed at that moment, then its chunk table. So what the checkpoint has of an arc
 * is its state at that moment and blocks of that moment or later; replaying the log from there comes to the same.
 */
export class Checkpointer {
  readonly #clock: Clock;
  readonly #device: CheckpointDevice;
  readonly #space: MapSpace;
  readonly #segments: Segments;
  readonly #owner: StoreOwner;
  readonly #arcs = new Map<ArcId, ArcPart>();
  /** The parts of each arc's chunk table, as its root names them. */
  readonly #groupsOf = new Map<ArcId, readonly RootGroup[]>();
  /** Where the pieces of the newest checkpoint are, both copies. */
  readonly #pieces = new Set<DevicePosition>();
  #number = 0;
  #segmentTable: TableRef | undefined;
  #table: TableRef | undefined;
  /** The newest synced one reads the log from here; nothing before it is needed for a restart. */
  #start: LogStart | undefined;
  #passesBegun = 0;
  #passesDone = 0;
  /** Written once so far. */
  readonly #unmirrored: Unmirrored[] = [];
  readonly #rootsStale = new Set<ArcId>();
  #urgent = false;
  #running: Promise<void> | undefined;

  constructor(
    clock: Clock,
    device: CheckpointDevice,
    space: MapSpace,
    segments: Segments,
    owner: StoreOwner,
    loaded: LoadedCheckpoint | undefined,
  ) {
    this.#clock = clock;
    this.#device = device;
    this.#space = space;
    this.#segments = segments;
    this.#owner = owner;
    if (loaded === undefined) return;
    const { checkpoint, anchor } = loaded;
    this.#number = anchor.number;
    this.#table = anchor.table;
    this.#segmentTable = checkpoint.segments;
    this.#start = checkpoint.start;
    for (const { arc, sequence, state, root } of checkpoint.arcs)
      this.#arcs.set(arc, { mark: '', sequence, state, root });
    for (const [arc, groups] of loaded.groups) this.#groupsOf.set(arc, groups);
    this.#notePieces(checkpoint.arcs);
  }

  /** Sequence of the first batch that a restart reads; 0 when it reads all. */
  get startSequence(): number {
    return this.#start?.sequence ?? 0;
  }
  get startPosition(): number {
    return this.#start?.position ?? 0;
  }
  get number(): number {
    return this.#number;
  }
  /** A pass that begins later has a number above this one's. */
  get passesBegun(): number {
    return this.#passesBegun;
  }
  /** Passes that have ended: the checkpoint that each took is durable. */
  get passesDone(): number {
    return this.#passesDone;
  }
  get running(): boolean {
    return this.#running !== undefined;
  }

  /** Takes one checkpoint; the one under way, if there is one. `urgent`: without pauses, somebody waits for space. */
  run(urgent: boolean): Promise<void> {
    this.#urgent ||= urgent;
    this.#running ??= this.#pass().finally(() => {
      this.#running = undefined;
      this.#urgent = false;
    });
    return this.#running;
  }

  /** The one under way is waited for: no more pauses. */
  hurry(): void {
    this.#urgent = true;
  }

  /**
   * What a table of the newest checkpoint holds is written anew by the next pass. False when it is no part of that
   * checkpoint; else its place is needed until a pass that begins later has ended.
   */
  rewrite(table: { readonly arc: ArcId; readonly position: DevicePosition }): boolean {
    const { arc, position } = table;
    if (!this.#pieces.has(position)) return false;
    const part = this.#arcs.get(arc);
    if (part !== undefined && liesAt(part.state, position)) this.#arcs.set(arc, { ...part, mark: '' });
    else if (part !== undefined && liesAt(part.root, position)) this.#rootsStale.add(arc);
    for (const group of this.#space.of(arc).groups()) if (liesAt(group.stored, position)) group.dirty = true;
    return true;
  }

  /**
   * How many copies of the newest checkpoint's pieces aren't what was written. All of it is known here as well: the next pass that begins
   * writes them anew. @throws FlashError unless it is `EIO`
   */
  async damaged(flash: Flash, mark: DeviceMark): Promise<number> {
    if (this.#number === 0) return 0;
    let damaged = 0;
    for (const { arc, ref } of this.#refs()) {
      const copies = await damagedCopies(flash, ref);
      // A pass may have replaced it meanwhile.
      if (copies > 0 && this.rewrite({ arc, position: ref.position })) damaged += copies;
    }
    const { number } = this;
    const anchors = (await readAnchorPages(flash, mark)).filter(({ anchor }) => anchor?.number === number).length;
    return number === this.#number ? damaged + anchorCopies - anchors : damaged;
  }

  /** Those of the pass under way are no part of a checkpoint yet. */
  #refs(): { readonly arc: ArcId; readonly ref: TableRef }[] {
    const refs: { arc: ArcId; ref: TableRef }[] = [];
    const note = (arc: ArcId, ref: TableRef | undefined): void => {
      if (ref !== undefined && this.#pieces.has(ref.position)) refs.push({ arc, ref });
    };
    note(0 as ArcId, this.#segmentTable);
    note(0 as ArcId, this.#table);
    for (const [arc, { state, root }] of this.#arcs) {
      note(arc, state);
      note(arc, root);
      for (const group of this.#groupsOf.get(arc) ?? []) note(arc, group.table);
    }
    return refs;
  }

  async #pass(): Promise<void> {
    this.#passesBegun++;
    const start = this.#device.begin();
    if (start === undefined) return;
    const arcs: CheckpointArc[] = [];
    const wanted = new Set(this.#owner.arcs());
    for (const arc of wanted) {
      const part = await this.#arc(arc);
      if (part !== undefined) arcs.push({ arc, sequence: part.sequence, state: part.state, root: part.root });
    }
    for (const [arc, part] of this.#arcs) {
      if (wanted.has(arc)) continue;
      this.#arcs.delete(arc);
      this.#groupsOf.delete(arc);
      this.#drop(part.state);
      this.#drop(part.root);
    }
    this.#mirrorAll();
    const segments = this.#put(tableKinds.segments, 0 as ArcId, noKey, this.#segments.encode());
    if (segments === undefined) return;
    this.#mirrorAll();
    const number = this.#number + 1;
    const bytes = encodeCheckpoint({ number, start, segments, arcs });
    const table = this.#put(tableKinds.checkpoint, 0 as ArcId, noKey, bytes);
    if (table === undefined) return;
    this.#mirrorAll();
    await this.#device.synced();
    await this.#device.writeAnchor({ number, table });
    this.#drop(this.#segmentTable);
    this.#drop(this.#table);
    this.#number = number;
    this.#segmentTable = segments;
    this.#table = table;
    this.#start = start;
    this.#notePieces(arcs);
    this.#passesDone++;
  }

  #notePieces(arcs: readonly CheckpointArc[]): void {
    this.#pieces.clear();
    const note = (ref: TableRef | undefined): void => {
      if (ref !== undefined) this.#pieces.add(ref.position).add(ref.mirror);
    };
    note(this.#segmentTable);
    note(this.#table);
    for (const { arc, state, root } of arcs) {
      note(state);
      note(root);
      for (const group of this.#groupsOf.get(arc) ?? []) note(group.table);
    }
  }

  async #arc(arc: ArcId): Promise<ArcPart | undefined> {
    const mark = this.#owner.checkpointMark(arc);
    if (mark === undefined) return undefined;
    const map = this.#space.of(arc);
    let part = this.#arcs.get(arc);
    const dirty: Chunk[] = [...map.dirtyChunks()];
    if (part === undefined || part.mark !== mark) {
      const bytes = encodeArcCheckpoint(this.#owner.checkpoint(arc));
      const state = this.#put(tableKinds.arcState, arc, noKey, bytes);
      if (state === undefined) return undefined;
      this.#drop(part?.state);
      part = { mark, sequence: this.#device.sequence(), state, root: part?.root };
      this.#arcs.set(arc, part);
    }
    for (let from = 0; from < dirty.length; from += pagesPerTurnMax) {
      await Promise.all(dirty.slice(from, from + pagesPerTurnMax).map((chunk) => this.#space.flush(chunk)));
      await this.#breathe();
    }
    await this.#tables(arc, part);
    return part;
  }

  /** The chunk table: those of its parts that changed, then the list of all. */
  async #tables(arc: ArcId, part: ArcPart): Promise<void> {
    const map = this.#space.of(arc);
    let changed = part.root === undefined || this.#rootsStale.delete(arc);
    let bytes = 0;
    for (const group of Array.from(map.groups())) {
      if (!group.dirty && group.stored !== undefined) continue;
      changed = true;
      bytes += this.#storeGroup(arc, group);
      if (bytes < tableBytesPerTurnMax) continue;
      bytes = 0;
      await this.#breathe();
    }
    this.#mirrorAll();
    const groups: RootGroup[] = [];
    for (const { volume, layer, group, stored, count } of map.groups()) {
      if (stored !== undefined && count > 0) groups.push({ volume, layer, group, table: stored });
    }
    if (!changed && groups.length === this.#groupsOf.get(arc)?.length) return;
    this.#groupsOf.set(arc, groups);
    this.#drop(part.root);
    part.root = groups.length === 0 ? undefined : this.#put(tableKinds.root, arc, noKey, encodeRoot(groups));
    await this.#breathe();
  }

  #storeGroup(arc: ArcId, group: ChunkGroup): number {
    const key = { volume: group.volume, layer: group.layer, chunk: group.group };
    const image = group.image();
    const stored = this.#put(tableKinds.group, arc, key, image);
    if (stored === undefined) return 0;
    this.#drop(group.stored);
    group.stored = stored;
    group.dirty = false;
    return image.length;
  }

  /** Appends a table; its second copy follows with `#mirrorAll`, elsewhere, before anything names it. */
  #put(kind: TableKind, arc: ArcId, key: ChunkKey, bytes: Uint8Array): TableRef | undefined {
    const pages = new Uint8Array(pagesFor(bytes.length) * pageBytes);
    pages.set(bytes);
    const table = { table: kind, arc, key, bytes: bytes.length, crc: crc32c(bytes) };
    const position = this.#device.appendTable(table, pages);
    if (position === undefined) return undefined;
    const ref: Writable<TableRef> = { position, mirror: 0, bytes: table.bytes, crc: table.crc };
    this.#segments.add(position, pagesFor(bytes.length));
    this.#unmirrored.push({ ref, table, pages });
    return ref;
  }

  #mirrorAll(): void {
    for (const { ref, table, pages } of this.#unmirrored) {
      ref.mirror = this.#device.appendTable(table, pages) ?? ref.position;
      if (ref.mirror !== ref.position) this.#segments.add(ref.mirror, pagesFor(ref.bytes));
    }
    this.#unmirrored.length = 0;
  }

  #drop(ref: TableRef | undefined): void {
    if (ref === undefined) return;
    this.#segments.remove(ref.position, pagesFor(ref.bytes));
    if (ref.mirror !== ref.position) this.#segments.remove(ref.mirror, pagesFor(ref.bytes));
  }

  /** Lets others run, and the device catch up. */
  async #breathe(): Promise<void> {
    await this.#device.synced();
    if (!this.#urgent) await pause(this.#clock, pauseMs);
  }
}

function liesAt(ref: TableRef | undefined, position: DevicePosition): boolean {
  return ref !== undefined && (ref.position === position || ref.mirror === position);
}
