import { crc32c } from '../base/crc32c.ts';
import { type ArcId, blockBytes } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Flash } from '../ports/flash.ts';
import type { DeviceMark } from './batch-header.ts';
import type { Checkpointer } from './checkpointer.ts';
import { segmentEnd, segmentOf, segmentStart } from './layout.ts';
import type { MapSpace } from './map-space.ts';
import { MovedLog, type Moving, type TakeSegment } from './moved-log.ts';
import type { MovedRecord } from './records.ts';
import { readWhatCan } from './medium.ts';
import { type Candidate, readSegment } from './segment-content.ts';
import { segmentStates, type Segments } from './segments.ts';
import { pause } from './pause.ts';
import type { ChunkKey, DevicePosition, StoreOwner } from './types.ts';

/** A segment fuller than this gives too little for what it costs. */
const liveShareMax = 0.97;
/** Fuller than this, and a checkpoint that opens newer segments to the cleaner is the better bargain. */
const liveSharePoor = 0.9;
/** So much garbage, as a share of a segment, is worth another try: a full device lives from little. */
const gainShareMin = 1 / 16;
const candidatesAtOnce = 256;
/** Live blocks so near to one another are read in one go. */
const gapBytesMax = 64 * 1024;
const readBytesMax = 1024 * 1024;
/** Between two writes of moved blocks while there is plenty of space; none when it is short. */
const pauseMsMax = 4;

export interface CleanerOptions {
  readonly flash: Flash;
  readonly clock: Clock;
  readonly mark: DeviceMark;
  readonly space: MapSpace;
  readonly segments: Segments;
  readonly checkpointer: Checkpointer;
  readonly owner: StoreOwner;
  /** Below so many free segments new data waits. */
  readonly reserveSegments: number;
  /** Below so many free segments there is work. */
  readonly wantedSegments: number;
  freeSegments(): number;
  /** Segments that the log writes to. */
  logSegments(): readonly number[];
  /** Sequence of the batch that takes the log's next record. */
  sequence(): number;
  takeSegment: TakeSegment;
  /** Tells the log where blocks are now. */
  appendMoved(moved: MovedRecord): unknown;
  /** Tells the log that the segments are free, and what was applied; resolves when that is durable. */
  appendFreed(segments: readonly number[]): Promise<void>;
  /** Nobody looks there any more. */
  giveFree(segments: readonly number[]): Promise<void>;
  /** So much was written beside the log. */
  wrote(bytes: number): void;
  failed(error: unknown): void;
}

interface LiveBlock {
  readonly arc: ArcId;
  /** Of the arc's map, when the block was found there. */
  readonly life: number;
  readonly key: ChunkKey;
  readonly block: number;
  readonly position: DevicePosition;
  readonly version: number;
  readonly crc: number;
  data: Uint8Array;
}

/**
 * Gives space back: of the segment that is worth it most, what the map still points at is copied into another one. Once
 * the log tells durably where it is now, and up to where each arc was applied, the segment is free: a restart that begins
 * from an older checkpoint never looks there. Works only while space is short.
 */
export class Cleaner {
  readonly #o: CleanerOptions;
  readonly #moved: MovedLog;
  /** Emptied and not free yet: with the last checkpoint pass that had begun when a piece of a checkpoint was seen there. */
  readonly #emptied = new Map<number, number>();
  /** Something in them couldn't be copied: with their live pages then; they are left until there are fewer. */
  readonly #left = new Map<number, number>();
  #running = false;
  #stopped = false;
  /** Garbage pages when nothing could be gained any more. */
  #stuckAtPages = -1;
  /** Blocks copied, since the start. */
  movedBlocks = 0;

  constructor(options: CleanerOptions) {
    this.#o = options;
    this.#moved = new MovedLog(options.flash, options.segments, options.mark, options.takeSegment);
  }

  stop(): void {
    this.#stopped = true;
  }

  /** To be called when space was used: begins to work when it is short. */
  poke(): void {
    if (this.#running || this.#stopped || this.#o.freeSegments() >= this.#o.wantedSegments || this.#isStuck) return;
    this.#running = true;
    void this.#run().then(
      () => {
        this.#running = false;
      },
      (error: unknown) => this.#o.failed(error),
    );
  }

  get #garbagePages(): number {
    const { segments } = this.#o;
    const used = segments.layout.segmentCount - this.#o.freeSegments() - segments.count(segmentStates.bad);
    return used * segments.pagesPerSegment - segments.livePages;
  }

  /** What wasn't applied yet looked like garbage: once it is live, less than that is worth another try. */
  get #isStuck(): boolean {
    if (this.#stuckAtPages < 0) return false;
    const garbagePages = this.#garbagePages;
    this.#stuckAtPages = Math.min(this.#stuckAtPages, garbagePages);
    return garbagePages < this.#stuckAtPages + this.#gainPagesMin;
  }

  /** Whether waiting brings space. */
  mayFree(): boolean {
    return this.#running || (!this.#isStuck && this.#garbagePages > this.#gainPagesMin);
  }

  get #gainPagesMin(): number {
    return this.#o.segments.pagesPerSegment * gainShareMin;
  }

  async #run(): Promise<void> {
    this.#stuckAtPages = -1;
    while (!this.#stopped && this.#o.freeSegments() < this.#o.wantedSegments) {
      const victim = this.#choose();
      const poor = victim === undefined || victim.live > liveSharePoor;
      if (poor && this.#checkpointHelps()) {
        await this.#o.checkpointer.run(true);
        await this.#settle();
        continue;
      }
      const cleaned = victim !== undefined && (await this.#clean(victim.segment));
      const freed = await this.#settle();
      // What waits for a checkpoint is no use while space runs out.
      if (freed === 0 && this.#emptied.size > 0 && this.#o.freeSegments() < this.#o.reserveSegments) {
        await this.#o.checkpointer.run(true);
        await this.#settle();
      }
      if (cleaned || freed > 0) continue;
      this.#stuckAtPages = this.#garbagePages;
      return;
    }
  }

  /** Whether the log from the newest checkpoint on, or what waits for the next one, holds garbage worth a checkpoint. */
  #checkpointHelps(): boolean {
    const { segments, checkpointer } = this.#o;
    const perSegment = segments.pagesPerSegment;
    const busy = this.#o.logSegments();
    let garbage = 0;
    for (const segment of segments.inState(segmentStates.log)) {
      if (segments.stamp(segment) < checkpointer.startSequence || busy.includes(segment)) continue;
      garbage += perSegment - segments.live(segment);
    }
    for (const pass of this.#emptied.values()) if (pass >= checkpointer.passesDone) garbage += perSegment;
    // One that just ended opens nothing new.
    return garbage >= this.#gainPagesMin && this.#o.sequence() > checkpointer.startSequence + 1;
  }

  /**
   * By what is gained, what it costs, and how fast it would become cheaper by waiting ("minimum declining cost": Lomet
   * and Luo, "Efficiently Reclaiming Space in a Log Structured Store").
   */
  #choose(): { readonly segment: number; readonly live: number } | undefined {
    const { segments, checkpointer, owner } = this.#o;
    const { layout, pagesPerSegment } = segments;
    const start = checkpointer.startPosition === 0 ? -1 : segmentOf(layout, checkpointer.startPosition);
    const busy = this.#o.logSegments();
    const now = this.#o.sequence();
    let best: { readonly segment: number; readonly live: number } | undefined;
    let bestScore = 0;
    for (let segment = 0; segment < layout.segmentCount; segment++) {
      const state = segments.state(segment);
      if ((state !== segmentStates.log && state !== segmentStates.moved) || segment === start) continue;
      // What a restart would read of the log stays where it is (design §10.5).
      if (state === segmentStates.log && segments.stamp(segment) >= checkpointer.startSequence) continue;
      if (busy.includes(segment) || this.#moved.isOpen(segment)) continue;
      const live = segments.live(segment) / pagesPerSegment;
      if (live > liveShareMax || segments.live(segment) >= (this.#left.get(segment) ?? Number.POSITIVE_INFINITY))
        continue;
      const age = Math.max(1, now - segments.stamp(segment));
      // How fast it has been losing what is live: by waiting it would become cheaper at that rate.
      const decay = -Math.log(Math.min(1 - 1 / pagesPerSegment, Math.max(live, 1 / pagesPerSegment))) / age;
      const score = (1 - live) ** 2 / ((live + 1 / pagesPerSegment) * decay);
      if (score <= bestScore || owner.holds(segmentStart(layout, segment), segmentEnd(layout, segment))) continue;
      best = { segment, live };
      bestScore = score;
    }
    return best;
  }

  /** Frees what nobody needs any more. Returns how many segments. */
  async #settle(): Promise<number> {
    const { owner, segments, checkpointer } = this.#o;
    const { layout } = segments;
    const free: number[] = [];
    for (const [segment, pass] of this.#emptied) {
      if (pass >= checkpointer.passesDone) continue;
      if (!owner.holds(segmentStart(layout, segment), segmentEnd(layout, segment))) free.push(segment);
    }
    if (free.length === 0) return 0;
    await this.#o.space.reaped(); // pages of dropped chunks are still to be counted from there
    for (const segment of free) this.#emptied.delete(segment);
    await this.#o.appendFreed(free);
    await this.#o.giveFree(free);
    return free.length;
  }

  /** False when there was no room to copy to. */
  async #clean(segment: number): Promise<boolean> {
    const { flash, segments, mark, space, checkpointer } = this.#o;
    const moved = segments.state(segment) === segmentStates.moved;
    const content = await readSegment(flash, segments.layout, { ...mark, moved }, segment, () => this.#breathe());
    let { unreadable } = content;
    // What lies behind the last batch found was written before it, or is a batch whose header rotted.
    const end = segments.end(segment);
    let whole = content.whole && (content.end ?? 0) >= (end ?? 0);
    if (content.end === undefined && segments.live(segment) > 0) whole = false;
    const live = await this.#alive(content.candidates);
    let waiting: LiveBlock[] = [];
    for (let from = 0; from < live.length && !this.#stopped; ) {
      const to = spanEnd(live, from);
      const read = await this.#read(live.slice(from, to));
      whole &&= read.blocks.length === to - from;
      unreadable ||= read.unreadable;
      waiting.push(...read.blocks);
      from = to;
      const left = await this.#move(segment, waiting, from === live.length);
      if (left === undefined) return false;
      waiting = left;
      await this.#pause();
    }
    if (this.#stopped) return false;
    let pass = -1;
    for (const page of content.mapPages) {
      const map = space.of(page.arc);
      if (map.pagePosition(page.key) !== page.position) continue;
      await space.rewrite(page.arc, page.key);
      if (this.#stopped || map.pagePosition(page.key) === page.position) return false; // the log has failed
    }
    for (const table of content.tables) if (checkpointer.rewrite(table)) pass = checkpointer.passesBegun;
    if (whole) {
      segments.setState(segment, segmentStates.emptied);
      segments.setLive(segment, 0);
      this.#emptied.set(segment, pass);
      this.#left.delete(segment);
    } else if (unreadable) {
      segments.setState(segment, segmentStates.bad);
    } else {
      this.#left.set(segment, segments.live(segment));
    }
    return true;
  }

  /** What the map points at, in the order in which it lies there. */
  async #alive(candidates: readonly Candidate[]): Promise<LiveBlock[]> {
    const alive: LiveBlock[] = [];
    const look = async (candidate: Candidate): Promise<void> => {
      const { arc, key, blocks, positions } = candidate;
      const map = this.#o.space.of(arc);
      const loaded = map.load(key);
      const page = loaded instanceof Promise ? await loaded : loaded;
      if (page === undefined) return;
      for (const [i, position] of positions.entries()) {
        const block = blocks[i] as number;
        if (page.positions[block] !== position) continue;
        const version = page.versions[block] as number;
        alive.push({
          arc,
          life: map.life,
          key,
          block,
          position,
          version,
          crc: page.crcs[block] as number,
          data: nothing,
        });
      }
    };
    for (let from = 0; from < candidates.length; from += candidatesAtOnce) {
      await Promise.all(candidates.slice(from, from + candidatesAtOnce).map(look));
      await this.#breathe();
    }
    alive.sort((a, b) => a.position - b.position);
    return alive.filter((one, i) => one.position !== alive[i - 1]?.position);
  }

  /** Reads blocks that lie near one another. Those that aren't what the map says stay where they are. */
  async #read(blocks: readonly LiveBlock[]): Promise<{ blocks: LiveBlock[]; unreadable: boolean }> {
    const from = (blocks[0] as LiveBlock).position;
    const bytes = new Uint8Array((blocks.at(-1) as LiveBlock).position + blockBytes - from);
    const unreadable = await readWhatCan(this.#o.flash, from, bytes);
    const right = blocks.filter((block) => {
      const at = block.position - from;
      block.data = bytes.subarray(at, at + blockBytes);
      return !unreadable.has(block.position) && crc32c(block.data) === block.crc;
    });
    return { blocks: right, unreadable: blocks.some(({ position }) => unreadable.has(position)) };
  }

  /** Copies as many as make full writes, or all. Returns what is left; undefined when there is no room. */
  async #move(segment: number, blocks: LiveBlock[], all: boolean): Promise<LiveBlock[] | undefined> {
    let from = 0;
    while (from < blocks.length) {
      const room = await this.#moved.room(segment);
      if (room === 0) return undefined;
      if (!all && blocks.length - from < room) break;
      await this.#write(blocks.slice(from, from + room));
      from += room;
    }
    return blocks.slice(from);
  }

  async #write(blocks: readonly LiveBlock[]): Promise<void> {
    const parts = partsOf(blocks);
    const written = await this.#moved.write(parts);
    this.movedBlocks += blocks.length;
    this.#o.wrote(written.bytes);
    for (const [i, { life, ...part }] of parts.entries()) {
      // The arc was dropped and began anew: blocks of its old life must not come back.
      if (this.#o.space.of(part.arc).life !== life) continue;
      const moved = { ...part, generation: written.generation, position: written.positions[i] as number };
      this.#o.space.moved(moved);
      this.#o.appendMoved(moved);
    }
  }

  /** Lets others run. */
  #breathe(): Promise<void> {
    return pause(this.#o.clock, 0);
  }

  /** The shorter space is, the shorter the pause. */
  #pause(): Promise<void> {
    const { reserveSegments, wantedSegments } = this.#o;
    const plenty = (this.#o.freeSegments() - reserveSegments) / (wantedSegments - reserveSegments);
    return pause(this.#o.clock, Math.max(0, Math.min(1, plenty)) * pauseMsMax);
  }
}

const nothing = new Uint8Array(0);

/** Where the blocks that are read together with `from` end. */
function spanEnd(blocks: readonly LiveBlock[], from: number): number {
  const start = (blocks[from] as LiveBlock).position;
  let to = from + 1;
  for (let last = start; to < blocks.length; to++) {
    const { position } = blocks[to] as LiveBlock;
    if (position - last > gapBytesMax || position + blockBytes - start > readBytesMax) break;
    last = position;
  }
  return to;
}

/** Blocks of one volume layer together, in order, each part's data in one run. */
function partsOf(blocks: readonly LiveBlock[]): (Moving & { readonly life: number })[] {
  const layers = new Map<string, LiveBlock[]>();
  for (const block of blocks) {
    const { volume, layer } = block.key;
    const name = `${block.arc}/${block.life}/${volume}/${layer}`;
    const together = layers.get(name);
    if (together === undefined) layers.set(name, [block]);
    else together.push(block);
  }
  return Array.from(layers.values(), (together) => {
    together.sort((a, b) => a.key.chunk - b.key.chunk || a.block - b.block);
    const { arc, life, key } = together[0] as LiveBlock;
    return {
      arc,
      life,
      volume: key.volume,
      layer: key.layer,
      chunks: Uint32Array.from(together, (block) => block.key.chunk),
      blocks: Uint8Array.from(together, ({ block }) => block),
      versions: Float64Array.from(together, ({ version }) => version),
      crcs: Uint32Array.from(together, ({ crc }) => crc),
      data: together.map(({ data }) => data),
    };
  });
}
