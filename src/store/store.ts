import { assert } from '../base/assert.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import { type ArcId, blockBytes, type LogIndex } from '../base/ids.ts';
import { crc32c } from '../base/crc32c.ts';
import type { Clock } from '../ports/clock.ts';
import { type Flash, FlashError } from '../ports/flash.ts';
import type { Random } from '../ports/random.ts';
import { Appender } from './appender.ts';
import type { DeviceMark } from './batch-header.ts';
import { BlockReads } from './block-reads.ts';
import type { Chunk } from './chunk.ts';
import { anchorsIn, type LoadedCheckpoint, loadCheckpoint, readAnchorPages } from './checkpoint-load.ts';
import { Door, type RoomPurpose } from './door.ts';
import { format, type FormatOptions, markOf } from './format.ts';
import { healthOf, type StoreHealth } from './health.ts';
import { type Layout, layoutOf, pageBytes, segmentOf } from './layout.ts';
import { Log } from './log.ts';
import { type Loss, type LossBook, lossRegister } from './loss.ts';
import type { ArcMap } from './map.ts';
import { MapSpace } from './map-space.ts';
import { type RecoveredLog, Recovery } from './recovery.ts';
import { Segments, segmentStates } from './segments.ts';
import { Replay } from './replay.ts';
import { SyncTimes } from './sync-times.ts';
import { mendSuperblock, readSuperblock, type Superblock } from './superblock.ts';
import {
  type BadBlock,
  type BlockReadResult,
  type ChunkCopyRecord,
  type DevicePosition,
  type EntryRecord,
  type RecoveryReport,
  type RecoveryVisitor,
  type StoredEntry,
  type StoreOwner,
} from './types.ts';
import { Upkeep } from './upkeep.ts';

export type OpenResult =
  | { readonly ok: true; readonly store: Store; readonly superblock: Superblock }
  | {
      readonly ok: false;
      readonly code: 'FOREIGN' | 'VERSION' | 'UNFORMATTED' | 'CORRUPT';
      readonly message: string;
    };

const cutBytes = pageBytes;

/**
 * One device: the log of all arcs of a Corelet, and where their blocks are. What is appended in one turn, and while a
 * sync runs, becomes durable together; nothing may be told of it before `afterSync` says so.
 */
export class Store {
  readonly recovery: RecoveryReport;
  /** The newest batch that was there when it was opened. */
  readonly sequenceAtOpen: number;
  readonly #layout: Layout;
  readonly #flash: Flash;
  readonly #log: Log;
  readonly #append: Appender;
  readonly #door: Door;
  readonly #reads: BlockReads;
  readonly #clock: Clock;
  readonly #mark: DeviceMark;
  readonly #superblock: Superblock;
  readonly #space: MapSpace;
  readonly #segments: Segments;
  readonly #registers = new Map<string, Uint8Array>();
  readonly #loaded: LoadedCheckpoint | undefined;
  readonly #losses: LossBook;
  #upkeep: Upkeep | undefined;
  #deviceBytes = 0;
  #isClosed = false;
  readonly #syncTimes = new SyncTimes();
  readonly #failedCallbacks: ((error: Error) => void)[] = [];

  /** Use `Store.open`. */
  private constructor(
    flash: Flash,
    clock: Clock,
    superblock: Superblock,
    recovered: RecoveredLog,
    space: MapSpace,
    segments: Segments,
    loaded: LoadedCheckpoint | undefined,
  ) {
    this.#flash = flash;
    this.#clock = clock;
    this.#space = space;
    this.#segments = segments;
    this.#loaded = loaded;
    this.#layout = layoutOf(superblock.deviceBytes, superblock.segmentBytes);
    this.#mark = markOf(superblock);
    this.#superblock = superblock;
    this.recovery = recovered.report;
    this.sequenceAtOpen = recovered.tail.last?.sequence ?? 0;
    this.#losses = recovered.losses;
    this.#log = new Log({ flash, clock }, this.#layout, this.#mark, recovered.tail, {
      entered: (segment, sequence, leftAt) => {
        segments.reach(segmentOf(this.#layout, leftAt - pageBytes), leftAt);
        segments.take(segment, segmentStates.log, sequence);
      },
      isFresh: (segment) => segments.uses(segment) <= (segments.state(segment) === segmentStates.free ? 0 : 1),
      synced: (tookMs, bytes) => this.#synced(tookMs, bytes),
      failed: (error) => this.#failed(error),
    });
    this.#append = new Appender(this.#log);
    this.#door = new Door(this.#layout, this.#log, space, segments);
    this.#reads = new BlockReads(flash, this.#log);
    space.connect({
      read: (position, into) => this.#reads.readPage(position, into),
      append: (arc, chunk, page, mapped) => this.#appendMapPage(arc, chunk, page, mapped),
      synced: () => this.#log.synced(),
    });
  }

  #failed(error: Error): void {
    for (const run of this.#failedCallbacks) run(error);
  }

  #synced(tookMs: number, bytes: number): void {
    this.#syncTimes.add(tookMs);
    this.#deviceBytes += bytes;
    this.#upkeep?.wrote(bytes);
  }

  /**
   * Whose arcs these are: from now on checkpoints are taken and space is given back. Once, and before the owner appends
   * what a checkpoint would have to know of.
   */
  attach(owner: StoreOwner): void {
    assert(this.#upkeep === undefined, 'one owner');
    const { segment } = this.#log;
    if (this.#segments.state(segment) === segmentStates.free) this.#segments.take(segment, segmentStates.log, 1);
    this.#upkeep = new Upkeep({
      flash: this.#flash,
      clock: this.#clock,
      layout: this.#layout,
      mark: this.#mark,
      log: this.#log,
      append: this.#append,
      reads: this.#reads,
      space: this.#space,
      segments: this.#segments,
      registers: this.#registers,
      owner,
      loaded: this.#loaded,
      wrote: (bytes) => {
        this.#deviceBytes += bytes;
      },
    });
    // What was dealt with is no more found once a checkpoint has passed it.
    if (this.recovery.lost.length > 0 && this.loss === undefined) this.#clock.after(0, () => void this.checkpoint());
  }

  /** Takes a checkpoint now. Resolves when a restart would begin from it; never after a failure. */
  async checkpoint(): Promise<void> {
    await this.#upkeep?.checkpoint();
  }

  /** As `format` in format.ts. @throws FlashError, RangeError when the device is too small */
  static format(flash: Flash, options: FormatOptions, random: Random): Promise<Superblock> {
    return format(flash, options, random);
  }

  /**
   * Reads the log back, in append order, into `visitor`; cuts off a torn tail, durably, and only then resolves.
   * `CORRUPT` when nothing can be served; otherwise what was lost is in `store.loss`, durably too. `space` gets the maps of the
   * newest checkpoint before the visitor hears of anything; the visitor fills them further. @throws FlashError
   */
  static async open(
    flash: Flash,
    ports: { readonly clock: Clock },
    visitor: RecoveryVisitor,
    space: MapSpace = new MapSpace(),
  ): Promise<OpenResult> {
    const found = await readSuperblock(flash);
    if (!found.ok) return found;
    const superblock = found.superblock;
    const layout = layoutOf(superblock.deviceBytes, superblock.segmentBytes);
    const segments = new Segments(layout);
    space.segments = segments;
    const mark = markOf(superblock);
    const anchors = anchorsIn(await readAnchorPages(flash, mark));
    const loaded = await loadCheckpoint(flash, anchors, space);
    let recovered: RecoveredLog | undefined;
    const registers = new Map<string, Uint8Array>();
    try {
      const replay = new Replay(layout, visitor, registers, space, loaded, anchors[0]);
      recovered = await new Recovery(flash, layout, mark, space, loaded, replay).run();
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      return { ok: false, code: 'CORRUPT', message: `a record of the log can't be read: ${error.message}` };
    }
    if (recovered === undefined) return { ok: false, code: 'CORRUPT', message: 'no batch of the log is whole' };
    const store = new Store(flash, ports.clock, superblock, recovered, space, segments, loaded);
    for (const [name, value] of registers) store.#registers.set(name, value);
    await store.#cut(recovered);
    return { ok: true, store, superblock };
  }

  /**
   * Names the last valid batch, over whatever is left of a torn one, before anything is told (design §10.11). A device
   * without a free page has nothing torn either: what is there can be read.
   */
  async #cut(recovered: RecoveredLog): Promise<void> {
    const { torn } = recovered.report;
    if (torn === undefined && this.#log.unusedBytes < cutBytes) return;
    const { last, segment } = recovered.tail;
    // The log goes on elsewhere: what is torn must not count because something is found behind it.
    if (torn !== undefined && segmentOf(this.#layout, torn.position) !== segment)
      await this.#flash.writeDurably(torn.position, [new Uint8Array(cutBytes)]);
    await new Promise<void>((resolve, reject) => {
      this.onFailed(reject);
      this.#append.cut({ sequence: last?.sequence ?? 0, position: last?.position ?? 0 });
      if (recovered.isLossNew) this.#keepLosses();
      this.#log.afterSync(resolve);
    });
  }

  /**
   * Records that were durable and can't be had any more, as this restart or an earlier one found; undefined: nothing, or
   * all of it was dealt with. The arcs that it concerns are as they were before it, and their votes may be forgotten
   * (INV-10); of the others nothing is missing.
   */
  get loss(): Loss | undefined {
    return this.#losses.loss;
  }

  /**
   * The owner has dealt with the loss: every arc that it concerns has another state in the log by now (`appendArcState`), or
   * none. Resolves when no restart will tell of it again; never after a failure.
   */
  async acknowledgeLoss(): Promise<void> {
    this.#losses.settle();
    this.#keepLosses();
    await this.#log.synced();
    void this.checkpoint();
  }

  #keepLosses(): void {
    this.setRegister(lossRegister, this.#losses.encode());
  }

  /**
   * Returns where the entry's first block will be: readable from now on. Undefined without data, and after a failure.
   * Nothing of `record` is copied but its head and CRCs: `data` stays as it is until durable.
   */
  appendEntry(record: EntryRecord): DevicePosition | undefined {
    return this.#append.entry(record);
  }

  /** Returns where the first of the copied blocks will be, as `appendEntry` does. */
  appendChunkCopy(record: ChunkCopyRecord): DevicePosition | undefined {
    return this.#append.chunkCopy(record);
  }

  /** The arc's entries from `fromIndex` on are void; touches no map. */
  appendTruncate(arc: ArcId, fromIndex: LogIndex): void {
    this.#append.truncate(arc, fromIndex);
  }

  /** Everything of the arc up to `index` was applied: a restart applies it too, before what follows. */
  appendApplied(arc: ArcId, index: LogIndex): void {
    this.#append.applied(arc, index);
  }

  appendHardState(arc: ArcId, state: Uint8Array): void {
    this.#append.hardState(arc, state);
  }

  /** Replaces everything that was said of the arc's log before. */
  appendArcState(arc: ArcId, state: Uint8Array): void {
    this.#append.arcState(arc, state);
  }

  /** A small named value of the Corelet; a restart tells the newest. */
  setRegister(name: string, value: Uint8Array): void {
    if (this.#append.register(name, value)) this.#registers.set(name, value.slice());
  }

  /** Runs `run` when everything appended so far is durable, in the order asked; at once if it is. Never after a failure. */
  afterSync(run: () => void): void {
    this.#log.afterSync(run);
  }

  /**
   * Whether `bytes` of data may come: `busy` too much isn't durable yet, or space is being given back; `full` there is no
   * room for that purpose. To be asked at the door: what is appended nevertheless (elections, trims, deletes) is taken as
   * long as there is a free segment.
   */
  roomFor(bytes: number, purpose: RoomPurpose = 'new'): 'ok' | 'busy' | 'full' {
    return this.#door.roomFor(bytes, purpose, this.#upkeep);
  }

  /** As `readBlocks`, but tells of every bad block, in order: all others are in `into`. */
  readEach(
    positions: Float64Array | readonly number[],
    crcs: Uint32Array | readonly number[],
    into: Uint8Array,
  ): Promise<BadBlock[]> {
    return this.#reads.readEach(positions, crcs, into);
  }

  /**
   * Reads the blocks at `positions` (0: zeros) into `into`, 4 KiB each, and verifies each against its CRC. `block` of a
   * bad answer counts within `positions`; nothing in `into` may then be used. @throws FlashError when closed
   */
  readBlocks(
    positions: Float64Array | readonly number[],
    crcs: Uint32Array | readonly number[],
    into: Uint8Array,
  ): Promise<BlockReadResult> {
    return this.#reads.read(positions, crcs, into);
  }

  /** The data of an entry, verified; empty without data. */
  async readEntryData(entry: StoredEntry): Promise<Uint8Array | 'CORRUPT' | 'UNREADABLE'> {
    if (entry.position === undefined) return new Uint8Array(0);
    const position = entry.position;
    const into = new Uint8Array(entry.crcs.length * blockBytes);
    const positions = Float64Array.from(entry.crcs, (_, i) => position + i * blockBytes);
    const read = await this.#reads.read(positions, entry.crcs, into);
    return read.ok ? into : read.code;
  }

  /** Where the blocks of an arc are; empty at first. */
  map(arc: ArcId): ArcMap {
    return this.#space.of(arc);
  }

  #appendMapPage(arc: ArcId, chunk: Chunk, page: Uint8Array, mapped: number): DevicePosition | undefined {
    const { key, newest } = chunk;
    return this.#append.mapPage({ arc, key, newest, mapped, crc: crc32c(page) }, page);
  }

  /** A write failed: what wasn't told durable never will be, and the Corelet stops (design §10.11). */
  onFailed(run: (error: Error) => void): void {
    this.#failedCallbacks.push(run);
  }

  /** The newest batch of the log that is durable: peers remember it, and know a device that was put back (design §10.12). */
  get syncedSequence(): number {
    return this.#log.syncedSequence;
  }

  /** The part of `health` that every heartbeat carries. Full is who uses as much as the size. */
  fill(): { readonly usedBytes: number; readonly sizeBytes: number; readonly syncs: number } {
    const usedBytes = this.#segments.livePages * blockBytes;
    return { usedBytes, sizeBytes: Math.floor(this.#door.usableBytes), syncs: this.#syncTimes.count };
  }

  /**
   * What only a restart reads, whoever scrubs has looked at: copies of the superblock and of the newest checkpoint that aren't whole are written
   * anew. `anew`: blocks here were bad, so the log may be, too; a checkpoint leaves it behind. @returns how many copies weren't whole.
   * Never resolves after a failure.
   */
  async mendOwn(anew: boolean): Promise<{ readonly superblocks: number; readonly tables: number }> {
    try {
      const superblocks = await mendSuperblock(this.#flash, this.#superblock);
      return { superblocks, tables: (await this.#upkeep?.mend(anew)) ?? 0 };
    } catch (error) {
      if (!(error instanceof FlashError)) throw error;
      if (!this.#isClosed) this.#failed(error); // as with any other write
      return new Promise(() => {});
    }
  }

  health(): StoreHealth {
    return {
      ...this.fill(),
      ...healthOf(this.#segments, this.#syncTimes),
      badReads: this.#reads.badReads,
      damagedMapPages: this.#space.damagedPages,
      freeSegments: this.#log.freeSegments,
      hostBytes: this.#append.hostBytes,
      deviceBytes: this.#deviceBytes,
      mapBytes: this.#space.bytes,
      tableBytes: this.#space.tableBytes,
      checkpoint: this.#upkeep?.checkpointNumber ?? this.recovery.checkpoint,
      movedBlocks: this.#upkeep?.movedBlocks ?? 0,
      freedSegments: this.#upkeep?.freedSegments ?? 0,
      failed: this.#log.failure !== undefined,
    };
  }

  /** Waits for the write under way, then closes the device. What wasn't on its way is dropped. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#upkeep?.stop();
    this.#space.disconnect();
    await this.#log.close();
    await this.#flash.close();
  }
}
