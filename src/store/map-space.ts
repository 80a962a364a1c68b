import { type ArcId, blockBytes } from '../base/ids.ts';
import { type Chunk, pageMemoryBytes } from './chunk.ts';
import type { ChunkGroup } from './chunk-group.ts';
import { FlashError } from '../ports/flash.ts';
import { pageBytes } from './layout.ts';
import {
  damagedChunk,
  damagedPosition,
  decodeMapPage,
  encodeMapPage,
  mappedBlocks,
  readMapPageHead,
} from './map-page.ts';
import { ArcMap } from './map.ts';
import type { MovedRecord } from './records.ts';
import type { Segments } from './segments.ts';
import type { ChunkKey, ChunkMap, DevicePosition } from './types.ts';

/** What the maps need of the device. */
export interface MapPages {
  /** False where the medium can't be read. */
  read(position: DevicePosition, into: Uint8Array): Promise<boolean>;
  /** Where the page will be, readable from now on; undefined after a failure. */
  append(arc: ArcId, chunk: Chunk, page: Uint8Array, mapped: number): DevicePosition | undefined;
  /** Resolves when everything appended so far is durable; never after a failure. */
  synced(): Promise<void>;
}

export const mapBytesDefault = 64 * 1024 * 1024;
/** Pages written out before the next sync is waited for. */
const flushesAtOnceMax = 64;
/** Chunks looked at for eviction in one go. */
const looksMax = 256;
/** Pages are let go of from this share of the limit on, so that there is room for what comes while others are written. */
const evictShare = 0.8;
/** What is being looked up may go beyond the limit by so much before new data has to wait. */
export const slackBytes = 512 * 1024;
/** Dropped pages read in one go, to count what they held. */
const reapsAtOnceMax = 16;

/**
 * The memory that all maps of a Corelet share: what isn't used is written to the log and forgotten. Changes never wait
 * for that; when they come faster than pages can be written, `overloaded` tells the door.
 */
export class MapSpace {
  readonly bytesMax: number;
  readonly #evictAtBytes: number;
  /** Where what the maps point at is counted; set when the store opens. */
  segments: Segments | undefined;
  readonly #maps = new Map<ArcId, ArcMap>();
  /** Oldest first; one that was used goes to the end once. */
  readonly #chunks = new Set<Chunk>();
  /** Those of them that have a whole page, in the same order: most of the memory is theirs. */
  readonly #paged = new Set<Chunk>();
  /** Groups that were dropped: what their pages held is still to be counted. */
  readonly #dropped: { readonly arc: ArcId; readonly group: ChunkGroup; next: number }[] = [];
  #pages: MapPages | undefined;
  #bytes = 0;
  #evicting = false;
  #reaping = false;
  #reapingEnds: Promise<void> = Promise.resolve();
  /** Map pages that could not be read, since the start. */
  damagedPages = 0;

  constructor(bytesMax: number = mapBytesDefault) {
    this.bytesMax = bytesMax;
    this.#evictAtBytes = bytesMax * evictShare;
  }

  /** From now on pages can be read and written. */
  connect(pages: MapPages): void {
    this.#pages = pages;
    this.#evictIfFull();
    this.#reap();
  }

  /** The device is closed: what isn't in memory can't be had any more. */
  disconnect(): void {
    this.#pages = undefined;
  }

  of(arc: ArcId): ArcMap {
    let map = this.#maps.get(arc);
    if (map === undefined) {
      map = new ArcMap(arc, this);
      this.#maps.set(arc, map);
    }
    return map;
  }

  /** Forgets all, before anything was connected. */
  clear(): void {
    for (const map of this.#maps.values()) map.dropAll();
    this.#dropped.length = 0;
    this.segments?.clear();
  }

  maps(): IterableIterator<ArcMap> {
    return this.#maps.values();
  }

  /** Bytes of memory in use for pages and changes, about; the chunk tables come on top. */
  get bytes(): number {
    return this.#bytes;
  }
  get tableBytes(): number {
    let bytes = 0;
    for (const map of this.#maps.values()) for (const group of map.groups()) bytes += group.tableBytes;
    return bytes;
  }
  get overloaded(): boolean {
    return this.#bytes > this.bytesMax + slackBytes;
  }

  // ---- called by maps -------------------------------------------------------------------------------------------------

  added(chunk: Chunk): void {
    this.#chunks.add(chunk);
    this.#bytes += chunk.memoryBytes;
    this.#evictIfFull();
  }
  /** It has its whole page now. */
  paged(chunk: Chunk): void {
    this.#paged.add(chunk);
  }
  grown(bytes: number): void {
    this.#bytes += bytes;
    if (bytes > 0) this.#evictIfFull();
  }
  removed(chunk: Chunk): void {
    if (!this.#chunks.delete(chunk)) return;
    this.#paged.delete(chunk);
    chunk.dropped = true;
    this.#bytes -= chunk.memoryBytes;
  }

  /** The page of a chunk, from the device. Never fails: what can't be read is told as damaged. */
  async readPage(chunk: Chunk, position: DevicePosition, mapped: number, newest: number): Promise<ChunkMap> {
    const bytes = new Uint8Array(pageBytes);
    const whole = await this.#read(position, bytes);
    const head = whole === true ? readMapPageHead(bytes) : undefined;
    const { key } = chunk;
    const right =
      head !== undefined &&
      head.arc === chunk.map.arc &&
      head.newest === newest &&
      head.mapped === mapped &&
      head.key.volume === key.volume &&
      head.key.layer === key.layer &&
      head.key.chunk === key.chunk;
    if (right) {
      const page = decodeMapPage(bytes, head);
      if (page.positions.includes(damagedPosition)) chunk.map.onDamaged?.(key);
      return page;
    }
    if (this.#pages !== undefined) {
      this.damagedPages++;
      chunk.map.onDamaged?.(key);
    }
    return damagedChunk(key, newest);
  }

  /** False where it can't be read: damaged, or closed meanwhile. */
  async #read(position: DevicePosition, bytes: Uint8Array): Promise<boolean> {
    try {
      return (await this.#pages?.read(position, bytes)) === true;
    } catch (error) {
      if (this.#pages === undefined && error instanceof FlashError && error.code === 'CLOSED') return false;
      throw error;
    }
  }

  /** Writes a chunk's page to the log, if it differs from the one there. Not durable yet when this resolves. */
  async flush(chunk: Chunk): Promise<void> {
    if (!chunk.dirty || chunk.dropped) return;
    const hadPage = chunk.page !== undefined;
    await chunk.map.complete(chunk);
    const page = chunk.page;
    if (!chunk.dirty || chunk.dropped || page === undefined || this.#pages === undefined) return;
    const mapped = mappedBlocks(page);
    const position = this.#pages.append(chunk.map.arc, chunk, encodeMapPage(chunk.map.arc, page, mapped), mapped);
    if (position === undefined) {
      this.#pages = undefined; // the log has failed: nothing will be written any more
      return;
    }
    const { group } = chunk;
    const entry = group.find(chunk.low);
    this.segments?.remove(group.position(entry));
    this.segments?.add(position);
    group.set(entry, position, mapped, page.newest);
    chunk.dirty = false;
    // Nobody looked at it: with its page in memory it would only take the place of others.
    if (!hadPage && chunk.waiting === 0) chunk.map.forget(chunk);
  }

  /** Blocks were copied elsewhere, as they were at those versions. */
  moved({ arc, volume, layer, chunks, blocks, versions, crcs, position }: MovedRecord): void {
    const map = this.of(arc);
    for (let i = 0; i < blocks.length; i++) {
      const key = { volume, layer, chunk: chunks[i] as number };
      map.moved(key, blocks[i] as number, versions[i] as number, crcs[i] as number, position + i * blockBytes);
    }
  }

  /** The page of a chunk goes to another place, as far as there still is one. In the log when this resolves, not durable. */
  async rewrite(arc: ArcId, key: ChunkKey): Promise<void> {
    const chunk = await this.of(arc).touchPage(key);
    if (chunk !== undefined) await this.flush(chunk);
  }

  /** Changes that aren't laid over their pages yet, in blocks. */
  get pendingDeltas(): number {
    let pending = 0;
    for (const chunk of this.#chunks) pending += chunk.pendingDeltas;
    return pending;
  }

  synced(): Promise<void> {
    return this.#pages?.synced() ?? Promise.resolve();
  }

  /** What the pages of a dropped group held is counted as garbage, when there is time. */
  reap(arc: ArcId, group: ChunkGroup): void {
    if (this.segments === undefined) return;
    this.#dropped.push({ arc, group, next: 0 });
    this.#reap();
  }

  // ---- eviction -------------------------------------------------------------------------------------------------------

  #evictIfFull(): void {
    if (this.#bytes > this.#evictAtBytes && !this.#evicting && this.#pages !== undefined) void this.#evict();
  }

  async #evict(): Promise<void> {
    this.#evicting = true;
    // Not in the midst of a change: whoever made the map grow has the chunk still in hand.
    await Promise.resolve();
    let fruitless = 0;
    // Every chunk is looked at twice before it is given up: the first look may only find that it was used.
    const fruitlessMax = (): number => 2 * Math.ceil(this.#chunks.size / looksMax) + 1;
    while (this.#bytes > this.#evictAtBytes && fruitless < fruitlessMax() && this.#pages !== undefined) {
      const dirty = this.#sweep();
      if (this.#bytes <= this.#evictAtBytes) break;
      fruitless = dirty.length === 0 ? fruitless + 1 : 0;
      await Promise.all(dirty.map((chunk) => this.flush(chunk)));
      for (const chunk of dirty) if (!chunk.dirty && !chunk.dropped && chunk.waiting === 0) chunk.map.forget(chunk);
      if (dirty.length > 0) await this.synced();
    }
    this.#evicting = false;
  }

  /** Forgets what is clean and wasn't used lately; returns some that must be written first. */
  #sweep(): Chunk[] {
    const dirty: Chunk[] = [];
    let looks = 0;
    // A page gives back ten times what a few changes do, and costs the same write, or none.
    const chunks = this.#paged.size * pageMemoryBytes > this.#evictAtBytes / 2 ? this.#paged : this.#chunks;
    for (const chunk of chunks) {
      if (looks++ >= looksMax || dirty.length >= flushesAtOnceMax || this.#bytes <= this.#evictAtBytes) break;
      chunks.delete(chunk);
      chunks.add(chunk);
      if (chunk.loading !== undefined || chunk.waiting > 0) continue;
      if (chunk.referenced) chunk.referenced = false;
      else if (chunk.dirty) dirty.push(chunk);
      else chunk.map.forget(chunk);
    }
    return dirty;
  }

  /** Resolves when what was dropped is counted. */
  async reaped(): Promise<void> {
    while (this.#reaping) await this.#reapingEnds;
  }

  #reap(): void {
    if (this.#reaping || this.#pages === undefined || this.#dropped.length === 0) return;
    this.#reaping = true;
    this.#reapingEnds = this.#reapAll();
  }

  async #reapAll(): Promise<void> {
    for (let dropped = this.#dropped[0]; dropped !== undefined; dropped = this.#dropped[0]) {
      const { group } = dropped;
      const reads: Promise<void>[] = [];
      for (; dropped.next < group.count && reads.length < reapsAtOnceMax; dropped.next++) {
        const position = group.position(dropped.next);
        if (position !== 0) reads.push(this.#reapPage(dropped.arc, group, dropped.next, position));
      }
      await Promise.all(reads);
      if (dropped.next >= group.count) this.#dropped.shift();
    }
    this.#reaping = false;
  }

  async #reapPage(arc: ArcId, group: ChunkGroup, entry: number, position: DevicePosition): Promise<void> {
    const bytes = new Uint8Array(pageBytes);
    if (!(await this.#read(position, bytes))) return;
    const head = readMapPageHead(bytes);
    const right = head?.arc === arc && head.key.volume === group.volume && head.key.chunk === group.chunk(entry);
    if (head === undefined || !right || head.newest !== group.newest(entry)) return;
    this.segments?.remove(position);
    for (const block of decodeMapPage(bytes, head).positions) if (block !== 0) this.segments?.remove(block);
  }
}
