import { type ArcId, blockBytes } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Flash } from '../ports/flash.ts';
import type { DeviceMark } from './batch-header.ts';
import type { BlockReads } from './block-reads.ts';
import type { Checkpointer } from './checkpointer.ts';
import { type Layout, pageBytes, segmentEnd, segmentOf, segmentStart } from './layout.ts';
import type { MapSpace } from './map-space.ts';
import { movedBlocksPerWriteMax, MovedLog, type Moving, type TakeSegment } from './moved-log.ts';
import { decodeBatch } from './decode-batch.ts';
import { type DecodedRecord, type MovedRecord, type TableRecord, tableKinds } from './records.ts';
import { type ScannedBatch, scanRun, searchBatch } from './scan.ts';
import { segmentStates, type Segments } from './segments.ts';
import type { ChunkKey, StoreOwner } from './types.ts';

/** Emptied segments wait for a checkpoint: one pays for so many, unless space is short. */
const emptiedPerCheckpoint = 4;
/** A segment fuller than this gives too little for what it costs. */
const liveShareMax = 0.97;
/** What a round between two checkpoints has to gain, as a share of a segment, to count as progress. */
const gainShareMin = 0.1;
const batchesPerTurn = 64;

export interface CleanerOptions {
  readonly flash: Flash;
  readonly clock: Clock;
  readonly layout: Layout;
  readonly mark: DeviceMark;
  readonly reads: BlockReads;
  readonly space: MapSpace;
  readonly segments: Segments;
  readonly checkpointer: Checkpointer;
  readonly owner: StoreOwner;
  /** Segments that stay free; below, new data waits. */
  readonly reserveSegments: number;
  freeSegments(): number;
  /** Segments that the log writes to. */
  logSegments(): readonly number[];
  sequence(): number;
  takeSegment: TakeSegment;
  /** Tells the log where blocks are now. */
  appendMoved(moved: MovedRecord): void;
  /** So much was written beside the log. */
  wrote(bytes: number): void;
  failed(error: Error): void;
}

interface Candidate {
  readonly arc: ArcId;
  readonly key: ChunkKey;
  readonly blocks: number[];
  readonly positions: number[];
}

/**
 * Gives space back: of the segment that is worth it most, what the map still points at is copied into another one, and
 * once a checkpoint that knows the copies is durable, the segment is free. Works only while space is short.
 */
export class Cleaner {
  readonly #o: CleanerOptions;
  readonly #moved: MovedLog;
  readonly #wanted: number;
  #running = false;
  #stopped = false;
  /** Pages that were alive when nothing more could be gained. */
  #stuckAtPages = Number.POSITIVE_INFINITY;

  constructor(options: CleanerOptions) {
    this.#o = options;
    this.#moved = new MovedLog(options.flash, options.layout, options.mark, options.takeSegment);
    this.#wanted = options.reserveSegments + Math.max(2, Math.ceil(options.layout.segmentCount / 32));
  }

  stop(): void {
    this.#stopped = true;
  }

  /** To be called when space was used: begins to work when it is short. */
  poke(): void {
    if (this.#running || this.#stopped || this.#o.freeSegments() >= this.#wanted || this.#isStuck) return;
    this.#running = true;
    void this.#run().then(
      () => {
        this.#running = false;
      },
      (error: unknown) => this.#o.failed(error instanceof Error ? error : new Error(String(error))),
    );
  }

  get #isStuck(): boolean {
    const { segments, layout } = this.#o;
    return segments.livePages > this.#stuckAtPages - layout.segmentBytes / pageBytes / 4;
  }

  /** Whether waiting brings space: there is garbage worth more than two segments. */
  mayFree(): boolean {
    if (this.#running) return true;
    if (this.#isStuck) return false;
    const { segments, layout } = this.#o;
    const perSegment = layout.segmentBytes / pageBytes;
    const used = layout.segmentCount - this.#o.freeSegments() - segments.count(segmentStates.bad);
    return used * perSegment - segments.livePages > 2 * perSegment;
  }

  async #run(): Promise<void> {
    const { checkpointer, segments } = this.#o;
    let fruitless = 0;
    let gained = 0;
    const perSegment = this.#o.layout.segmentBytes / pageBytes;
    while (!this.#stopped && this.#o.freeSegments() < this.#wanted && fruitless < 3) {
      const victim = this.#choose();
      const dead = victim === undefined ? 0 : perSegment - segments.live(victim);
      const cleaned = victim !== undefined && (await this.#clean(victim));
      if (cleaned) gained += dead;
      const emptied = segments.count(segmentStates.emptied);
      const short = this.#o.freeSegments() <= this.#o.reserveSegments;
      if (cleaned && emptied < emptiedPerCheckpoint && !(short && emptied > 0)) continue;
      await checkpointer.run(true);
      fruitless = gained >= perSegment * gainShareMin ? 0 : fruitless + 1;
      gained = 0;
    }
    // Worth another try when a good part of a segment has become garbage since.
    this.#stuckAtPages = this.#o.freeSegments() < this.#wanted ? segments.livePages : Number.POSITIVE_INFINITY;
  }

  /** Cost and benefit (Rosenblum and Ousterhout, "The Design and Implementation of a Log-Structured File System"). */
  #choose(): number | undefined {
    const { segments, layout, checkpointer } = this.#o;
    const startSegment = checkpointer.startPosition === 0 ? -1 : segmentOf(layout, checkpointer.startPosition);
    const busy = new Set([...this.#o.logSegments(), startSegment, this.#moved.segment]);
    const now = this.#o.sequence();
    let best: number | undefined;
    let bestScore = 0;
    for (let segment = 0; segment < layout.segmentCount; segment++) {
      const state = segments.state(segment);
      if ((state !== segmentStates.log && state !== segmentStates.moved) || busy.has(segment)) continue;
      // What a restart would read of the log stays where it is (design §10.5).
      if (state === segmentStates.log && segments.stamp(segment) >= checkpointer.startSequence) continue;
      const live = (segments.live(segment) * pageBytes) / layout.segmentBytes;
      if (live > liveShareMax) continue;
      const score = ((1 - live) * (now - segments.stamp(segment) + 1)) / (1 + live);
      if (score <= bestScore || this.#o.owner.holds(segmentStart(layout, segment), segmentEnd(layout, segment)))
        continue;
      best = segment;
      bestScore = score;
    }
    return best;
  }

  /** False when it had to be left as it is, for now. */
  async #clean(segment: number): Promise<boolean> {
    const { segments } = this.#o;
    const batches = await this.#batches(segment);
    if (batches === undefined) {
      segments.setState(segment, segmentStates.bad);
      return true;
    }
    const candidates = new Map<string, Candidate>();
    for (const [i, batch] of batches.entries()) {
      if (i % batchesPerTurn === batchesPerTurn - 1) await this.#breathe();
      for (const record of decodeBatch(batch)) await this.#look(segment, record, candidates);
    }
    let whole = true;
    let waiting: Moving[] = [];
    let blocks = 0;
    for (const candidate of candidates.values()) {
      const moving = await this.#read(candidate);
      if (moving === 'bad') whole = false;
      if (moving === undefined || moving === 'bad') continue;
      if (blocks + moving.blocks.length > movedBlocksPerWriteMax) {
        if (!(await this.#move(segment, waiting))) return false;
        waiting = [];
        blocks = 0;
      }
      waiting.push(moving);
      blocks += moving.blocks.length;
    }
    if (waiting.length > 0 && !(await this.#move(segment, waiting))) return false;
    segments.setState(segment, whole ? segmentStates.emptied : segmentStates.bad);
    if (whole) segments.setLive(segment, 0);
    return true;
  }

  /** Undefined when batches can't be read: what is live there isn't known, and the segment isn't touched any more. */
  async #batches(segment: number): Promise<readonly ScannedBatch[] | undefined> {
    const { flash, mark, layout } = this.#o;
    const from = segmentStart(layout, segment);
    const limit = segmentEnd(layout, segment);
    const moved = this.#o.segments.state(segment) === segmentStates.moved;
    for (const as of moved ? [{ ...mark, moved }, mark] : [mark, { ...mark, moved: true }]) {
      const run = await scanRun(flash, as, from, limit);
      const last = run.batches.at(-1);
      if (last === undefined) continue;
      const search = { from: run.end, limit, after: last.header.sequence, before: Number.POSITIVE_INFINITY };
      const later = await searchBatch(flash, as, { ...search, zeroBytesMax: limit });
      return later === undefined && run.stop !== 'unreadable' ? run.batches : undefined;
    }
    return this.#o.segments.live(segment) === 0 ? [] : undefined;
  }

  async #look(segment: number, record: DecodedRecord, candidates: Map<string, Candidate>): Promise<void> {
    switch (record.type) {
      case 'entry': {
        const { arc, range, position } = record.entry;
        if (range === undefined || position === undefined) return;
        const candidate = candidateOf(candidates, arc, range);
        for (let i = 0; i < range.blockCount; i++) {
          candidate.blocks.push(range.firstBlock + i);
          candidate.positions.push(position + i * blockBytes);
        }
        return;
      }
      case 'chunkCopy':
      case 'moved': {
        const { arc, key, blocks, position } = record.type === 'moved' ? record.moved : record.copy;
        if (position === undefined || segmentOf(this.#o.layout, position) !== segment) return;
        const candidate = candidateOf(candidates, arc, key);
        for (let i = 0; i < blocks.length; i++) {
          candidate.blocks.push(blocks[i] as number);
          candidate.positions.push(position + i * blockBytes);
        }
        return;
      }
      case 'mapPage': {
        const { arc, key, position } = record.page;
        const map = this.#o.space.of(arc);
        if (map.pagePosition(key) === position) await map.rewritePage(key);
        return;
      }
      case 'table':
        this.#lookTable(record.table);
        return;
      default:
    }
  }

  /** Tables aren't moved: the next checkpoint writes them anew. */
  #lookTable(table: TableRecord): void {
    if (table.table !== tableKinds.group) {
      this.#o.checkpointer.rewrite(table.position);
      return;
    }
    for (const group of this.#o.space.of(table.arc).groups()) {
      if (group.stored?.position === table.position) group.dirty = true;
    }
  }

  /** What of the candidate the map still points at, read and verified. */
  async #read(candidate: Candidate): Promise<Moving | 'bad' | undefined> {
    const { arc, key } = candidate;
    const page = await this.#o.space.of(arc).load(key);
    if (page === undefined) return undefined;
    const live: number[] = [];
    for (let i = 0; i < candidate.blocks.length; i++) {
      const block = candidate.blocks[i] as number;
      if (page.positions[block] === candidate.positions[i] && !live.includes(block)) live.push(block);
    }
    if (live.length === 0) return undefined;
    live.sort((a, b) => a - b);
    const versions = new Float64Array(live.length);
    const crcs = new Uint32Array(live.length);
    const positions = live.map((block, i) => {
      versions[i] = page.versions[block] as number;
      crcs[i] = page.crcs[block] as number;
      return page.positions[block] as number;
    });
    const data = new Uint8Array(live.length * blockBytes);
    const read = await this.#o.reads.read(positions, crcs, data);
    return read.ok ? { arc, key, blocks: Uint16Array.from(live), versions, crcs, data } : 'bad';
  }

  /** False when there is no room: nothing changed then. */
  async #move(segment: number, parts: readonly Moving[]): Promise<boolean> {
    const { space } = this.#o;
    const written = await this.#moved.write(parts);
    if (written === undefined) return false;
    this.#o.wrote(written.bytes);
    for (const [i, part] of parts.entries()) {
      const map = space.of(part.arc);
      const page = await map.load(part.key);
      if (page === undefined) continue; // dropped meanwhile
      const to = written.positions[i] as number;
      for (let at = 0; at < part.blocks.length; at++) {
        const block = part.blocks[at] as number;
        const from = page.positions[block] as number;
        // Written anew meanwhile: then the copy is garbage.
        if (page.versions[block] !== part.versions[at] || segmentOf(this.#o.layout, from) !== segment) continue;
        // The page went out of memory since: what isn't certain is left, and looked at again another time.
        if (!map.relocate(part.key, block, from, to + at * blockBytes)) return false;
      }
      this.#o.appendMoved({ ...part, position: to });
    }
    return true;
  }

  #breathe(): Promise<void> {
    return new Promise((resolve) => {
      this.#o.clock.after(0, resolve);
    });
  }
}

function candidateOf(candidates: Map<string, Candidate>, arc: ArcId, key: ChunkKey): Candidate {
  const name = `${arc}/${key.volume}/${key.layer}/${key.chunk}`;
  let candidate = candidates.get(name);
  if (candidate === undefined) {
    candidate = { arc, key: { volume: key.volume, layer: key.layer, chunk: key.chunk }, blocks: [], positions: [] };
    candidates.set(name, candidate);
  }
  return candidate;
}
