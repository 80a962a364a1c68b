import type { Flash } from '../ports/flash.ts';
import {
  batchBytes,
  type BatchHeader,
  type BatchLink,
  type DeviceMark,
  metaBytesMax,
  noSegment,
} from './batch-header.ts';
import { type Layout, pageBytes, segmentEnd, segmentOf, segmentStart } from './layout.ts';
import type { LoadedCheckpoint } from './checkpoint-load.ts';
import type { LogTail } from './log.ts';
import type { LossBook } from './loss.ts';
import type { MapSpace } from './map-space.ts';
import { readPiece } from './medium.ts';
import { dataIsWhole } from './decode-batch.ts';
import type { Replay } from './replay.ts';
import { segmentStates } from './segments.ts';
import { follows, isBegunAt, type ScannedBatch, type ScannedRun, scanRun, searchBatch, segmentHead } from './scan.ts';
import { type DevicePosition, type LostBatches, type RecoveryReport, storeLimits } from './types.ts';

const headsAtOnceMax = 16;
const segmentsAheadMax = 3;
/** The most that one batch can take: a tail nearer to its segment's end than this may have gone on in the next one. */
const batchBytesLargest = batchBytes(metaBytesMax, storeLimits.batchBytesMax / pageBytes);
/**
 * Behind the tail, so much of nothing ends the search for later batches: every restart pays for it, and a sparse file
 * fills the system's cache with it. More than the data of one batch, which may be all zeros. Where later batches are known
 * the search goes to the end.
 */
const zeroBytesAtTailMax = storeLimits.batchBytesMax + 64 * 1024;
/**
 * Where the end of the log is gone, what is written next gets numbers so far behind: more batches than a log has behind its
 * checkpoint. Should some of them be readable again one day, they come before it, and don't take its place.
 */
const sequencesSkipped = 1024 * 1024;
/** Where a run of batches begins. */
type BatchStart = Pick<BatchHeader, 'sequence' | 'position'>;
const noLink: BatchLink = { sequence: 0, position: 0, metaCrc: 0 };

export interface RecoveredLog {
  readonly tail: LogTail;
  readonly report: RecoveryReport;
  readonly losses: LossBook;
  /** Something is lost that no earlier restart knew of: to be made durable before anything is told. */
  readonly isLossNew: boolean;
}

/**
 * Reads the log in the order of its sequence numbers, wherever the segments lie, and hands its batches to `replay`.
 * A batch is only handed on when its successor is seen or its data was verified: the newest one may be torn.
 */
export class Recovery {
  readonly #flash: Flash;
  readonly #layout: Layout;
  readonly #mark: DeviceMark;
  readonly #used = new Set<number>();
  readonly #lost: LostBatches[] = [];
  #held: ScannedBatch | undefined;
  #last: BatchLink = noLink;
  /** Whether position and CRC of `#last` are known: not behind lost batches. */
  #linked = false;
  #beforeHeld: BatchLink = noLink;
  #nextSegment = noSegment;
  #segmentSequence = 0;
  /** Where the newest known batch ends. */
  #segment: number | undefined;
  #end = 0;
  #stop: ScannedRun['stop'] = 'invalid';
  #batches = 0;
  #torn: RecoveryReport['torn'];
  readonly #space: MapSpace;
  readonly #loaded: LoadedCheckpoint | undefined;
  readonly #replay: Replay;
  #nextUnreadable = false;
  /** What was written last may be gone. */
  #isEndLost = false;

  /** `replay` takes what is found; `loaded`: where to begin, else at the beginning. */
  constructor(
    flash: Flash,
    layout: Layout,
    mark: DeviceMark,
    space: MapSpace,
    loaded: LoadedCheckpoint | undefined,
    replay: Replay,
  ) {
    this.#flash = flash;
    this.#layout = layout;
    this.#mark = mark;
    this.#space = space;
    this.#loaded = loaded;
    this.#replay = replay;
  }

  /** Segments that aren't free, as far as the checkpoint and the log tell. */
  #isUsed(segment: number): boolean {
    return this.#used.has(segment) || (this.#space.segments?.state(segment) ?? 0) !== segmentStates.free;
  }

  /** Undefined when not one batch is whole, and there is no checkpoint to go on from. */
  async run(): Promise<RecoveredLog | undefined> {
    const start = this.#replay.begin();
    if (start !== undefined) {
      this.#last = start.previous;
      this.#linked = true;
    }
    const heads = await this.#heads();
    const runs: Promise<ScannedRun>[] = [];
    const scan = (head: BatchStart): Promise<ScannedRun> => this.#scan(head.position);
    for (const [i, head] of heads.entries()) {
      for (let ahead = runs.length; ahead < Math.min(heads.length, i + 1 + segmentsAheadMax); ahead++) {
        runs.push(scan(heads[ahead] as BatchStart));
      }
      const run = await (runs[i] as Promise<ScannedRun>);
      runs[i] = Promise.resolve({ batches: [], end: 0, stop: 'invalid' }); // lets go of what was read
      if (head.sequence <= this.#last.sequence) continue; // from an earlier use of that segment
      if (head.sequence > this.#last.sequence + 1) await this.#bridge(head.sequence, head.position);
      // Where a checkpoint begins there may be something else by now.
      const isOther = run.batches[0] !== undefined && run.batches[0].header.sequence !== head.sequence;
      this.#take(isOther ? { batches: [], end: head.position, stop: 'invalid' } : run, head.position);
    }
    await this.#bridge(Number.POSITIVE_INFINITY);
    await this.#settleLast();
    if (this.#tailUnreadable || this.#isProofMissing()) {
      this.#isEndLost = true;
      this.#lose(this.#last.sequence + 1 + sequencesSkipped, undefined);
    }
    if (this.#batches === 0 && this.#loaded === undefined) return undefined;
    const tail = this.#tail();
    if (tail === undefined) return undefined;
    this.#replay.end();
    const { book, isNew } = this.#replay.lossBook();
    return { tail, report: this.#report(), losses: book, isLossNew: isNew };
  }

  get #tailUnreadable(): boolean {
    return this.#stop === 'unreadable' || this.#nextUnreadable;
  }

  /** An anchor names what isn't there, and no gap that was found before explains it. */
  #isProofMissing(): boolean {
    return this.#replay.proof !== undefined && (this.#lost.length === 0 || this.#replay.lossBook().isNew);
  }

  /** The first batch of every segment that has one, by sequence, and where a checkpoint says to begin. */
  async #heads(): Promise<BatchStart[]> {
    const start = this.#loaded?.checkpoint.start;
    const heads: BatchStart[] = start === undefined ? [] : [start];
    for (let segment = 0; segment < this.#layout.segmentCount; segment += headsAtOnceMax) {
      const count = Math.min(headsAtOnceMax, this.#layout.segmentCount - segment);
      const found = await Promise.all(
        Array.from({ length: count }, (_, i) =>
          segmentHead(this.#flash, this.#mark, segmentStart(this.#layout, segment + i)),
        ),
      );
      for (const head of found) if (head !== undefined && head.sequence > this.#last.sequence) heads.push(head);
    }
    return heads.sort((a, b) => a.sequence - b.sequence);
  }

  #scan(position: number): Promise<ScannedRun> {
    const segment = segmentOf(this.#layout, position);
    return scanRun(this.#flash, this.#mark, position, segmentEnd(this.#layout, segment));
  }

  /**
   * Takes a run that begins at `start`, if it goes on from what is known. An empty run (its head has a whole header, but
   * not whole records) only says where the log ends.
   */
  #take(run: ScannedRun, start: number): void {
    const first = run.batches[0]?.header;
    // One that names another predecessor is a remainder of what was cut before.
    if (
      first !== undefined &&
      this.#linked &&
      first.sequence === this.#last.sequence + 1 &&
      !follows(first, this.#last)
    ) {
      return;
    }
    for (const batch of run.batches) {
      const { sequence, position } = batch.header;
      if (sequence > this.#last.sequence + 1) this.#lose(sequence, position);
      this.#visitHeld();
      this.#beforeHeld = this.#last;
      this.#held = batch;
      this.#last = batch.header;
      this.#linked = true;
      this.#nextSegment = batch.header.nextSegment;
      this.#segmentSequence = batch.header.segmentSequence;
    }
    const segment = segmentOf(this.#layout, start);
    if (segment !== this.#segment) this.#leave();
    this.#segment = segment;
    this.#enter(this.#segment, this.#segmentSequence);
    this.#end = run.end;
    this.#stop = run.stop;
  }

  /** Looks for batches after the newest known one and below `before`: what lies between is lost, not torn. */
  async #bridge(before: number, nextPosition?: DevicePosition): Promise<void> {
    for (;;) {
      const sequence = this.#last.sequence;
      const found = await this.#search(before);
      if (found === undefined) break;
      this.#take(await this.#scan(found), found);
      if (this.#last.sequence === sequence) break;
    }
    if (before !== Number.POSITIVE_INFINITY && this.#last.sequence + 1 < before) this.#lose(before, nextPosition);
  }

  async #search(before: number): Promise<number | undefined> {
    const after = this.#last.sequence;
    const known = before !== Number.POSITIVE_INFINITY;
    const zeroBytesMax = known ? Number.POSITIVE_INFINITY : zeroBytesAtTailMax;
    if (this.#segment !== undefined) {
      const limit = segmentEnd(this.#layout, this.#segment);
      const search = { from: this.#end, limit, after, before, zeroBytesMax };
      const found = await searchBatch(this.#flash, this.#mark, search);
      if (found !== undefined) return found;
      if (!known && limit - this.#end > batchBytesLargest) return undefined;
    }
    const next = this.#segment === undefined ? 0 : this.#nextSegment;
    if (next >= this.#layout.segmentCount || this.#used.has(next)) return undefined;
    const from = segmentStart(this.#layout, next);
    const limit = segmentEnd(this.#layout, next);
    this.#nextUnreadable = !known && !(await readPiece(this.#flash, from, new Uint8Array(pageBytes)));
    return searchBatch(this.#flash, this.#mark, { from, limit, after, before, zeroBytesMax });
  }

  #enter(segment: number, sequence: number): void {
    if (this.#used.has(segment)) return;
    this.#used.add(segment);
    const { segments } = this.#space;
    const state = segments?.state(segment);
    // What made it free again before that may be among what is lost.
    const isLog = state === segmentStates.log || (state !== segmentStates.free && this.#lost.length === 0);
    if (!isLog) segments?.take(segment, segmentStates.log, sequence);
  }

  /** The segment that was read is left behind: its batches end there. */
  #leave(): void {
    const { segments } = this.#space;
    if (this.#segment === undefined || segments?.state(this.#segment) !== segmentStates.log) return;
    segments.reach(this.#segment, this.#end);
  }

  #lose(nextSequence: number, nextPosition: DevicePosition | undefined): void {
    this.#visitHeld();
    const lost: LostBatches = {
      fromSequence: this.#last.sequence + 1,
      toSequence: nextSequence - 1,
      position: this.#end,
      reason: this.#stop === 'unreadable' ? 'unreadable' : 'invalid',
    };
    this.#lost.push(lost);
    this.#replay.lost(lost, nextPosition);
    this.#last = { sequence: nextSequence - 1, position: 0, metaCrc: 0 };
    this.#linked = false;
  }

  #visitHeld(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    this.#batches++;
    this.#replay.visit(held);
  }

  /**
   * The newest batch counts if all its data is there, or an anchor proves that it was; else it was never acknowledged by
   * this Corelet, as far as it can tell.
   */
  async #settleLast(): Promise<void> {
    const held = this.#held;
    if (held === undefined) return;
    const { proof } = this.#replay;
    const isProven = proof !== undefined && proof > held.header.position && proof < held.end;
    if (isProven || (await dataIsWhole(this.#flash, held))) {
      this.#visitHeld();
      const begun = await isBegunAt(this.#flash, this.#mark, this.#end, this.#last);
      if (begun) this.#torn = { sequence: this.#last.sequence + 1, position: this.#end };
      return;
    }
    this.#held = undefined;
    this.#last = this.#beforeHeld;
    this.#segment = segmentOf(this.#layout, held.header.position);
    this.#end = held.header.position;
    this.#torn = { sequence: held.header.sequence, position: held.header.position };
  }

  /** Undefined: there is no segment to go on in. */
  #tail(): LogTail | undefined {
    const named = this.#nextSegment;
    if (this.#nextUnreadable) this.#space.segments?.setState(named, segmentStates.bad);
    const freeSegments: number[] = [];
    for (let other = 0; other < this.#layout.segmentCount; other++) {
      if (!this.#isUsed(other) && other !== named) freeSegments.push(other);
    }
    const isNamedFree = named < this.#layout.segmentCount && !this.#isUsed(named);
    // Where the end is gone, it may be there: what can be read of it again one day is left alone as long as can be.
    if (isNamedFree && this.#isEndLost) freeSegments.push(named);
    else if (isNamedFree) freeSegments.unshift(named);
    const fresh = this.#isEndLost ? freeSegments.shift() : undefined;
    if (fresh !== undefined) this.#begin(fresh);
    const segment = this.#segment;
    if (segment === undefined) return undefined;
    const first = this.#end === segmentStart(this.#layout, segment);
    const segmentSequence = first ? this.#last.sequence + 1 : this.#segmentSequence;
    return { last: this.#last, segment, position: this.#end, segmentSequence, freeSegments };
  }

  /** The log goes on in another segment than the one in which its end is gone. */
  #begin(segment: number): void {
    this.#leave();
    this.#segment = segment;
    this.#end = segmentStart(this.#layout, segment);
    this.#enter(segment, this.#last.sequence + 1);
  }

  #report(): RecoveryReport {
    const checkpoint = this.#loaded?.checkpoint.number ?? 0;
    return {
      batches: this.#batches,
      records: this.#replay.records,
      lost: this.#lost,
      torn: this.#torn,
      tailUnreadable: this.#tailUnreadable,
      checkpoint,
    };
  }
}
