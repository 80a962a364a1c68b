import { assert } from '../base/assert.ts';
import type { Clock } from '../ports/clock.ts';
import { type Flash, FlashError } from '../ports/flash.ts';
import { Batch } from './batch.ts';
import { type BatchLink, type DeviceMark, metaBytesMax, noSegment } from './batch-header.ts';
import type { LogStart } from './checkpoint.ts';
import { type Layout, pageBytes, segmentEnd, segmentStart } from './layout.ts';
import { Preparer } from './preparer.ts';
import { storeLimits } from './types.ts';

/** Records beyond this go into the next batch, unless one alone is larger. */
const batchMetaBytesMax = 1024 * 1024;
const idleBatchesMax = 4;
const noBatch: BatchLink = { sequence: 0, position: 0, metaCrc: 0 };

/** Where the log goes on. */
export interface LogTail {
  readonly last: BatchLink | undefined;
  readonly segment: number;
  readonly position: number;
  /** Sequence of the first batch in that segment. */
  readonly segmentSequence: number;
  /** Segments that hold nothing any more, in the order in which they will be used. */
  readonly freeSegments: readonly number[];
}

export interface LogOwner {
  /** The log goes on in this segment, with the batch of this number; in the one before, its batches end at `leftAt`. */
  entered(segment: number, sequence: number, leftAt: number): void;
  /** Whether the segment was never written: only then readying its space ahead is worth a write. */
  isFresh(segment: number): boolean;
  /** A batch is durable: how long its write took. */
  synced(tookMs: number, bytes: number): void;
  /** A write failed: nothing unacknowledged will ever be told. Called once. */
  failed(error: Error): void;
}

/**
 * The append side: one batch is on its way to the device, one is being filled, others wait only when that one is full.
 * Nothing of a batch is written before the write of the one before it returned (design §10.11).
 */
export class Log {
  readonly #flash: Flash;
  readonly #clock: Clock;
  readonly #layout: Layout;
  readonly #mark: DeviceMark;
  readonly #owner: LogOwner;
  readonly #preparer: Preparer;
  readonly #free: number[];
  readonly #idle: Batch[] = [];
  /** Sealed and waiting, oldest first. */
  readonly #sealed: Batch[] = [];
  #open: Batch;
  #writing: Batch | undefined;
  /** Sequence of the newest batch whose write has returned, or that a restart found. */
  #durableSequence: number;
  #last: BatchLink | undefined;
  #segment: number;
  #nextSegment: number | undefined;
  #scheduled = false;
  #pendingBytes = 0;
  #failure: Error | undefined;
  #closed = false;
  #idleAgain: (() => void) | undefined;

  constructor(ports: { flash: Flash; clock: Clock }, layout: Layout, mark: DeviceMark, tail: LogTail, owner: LogOwner) {
    this.#flash = ports.flash;
    this.#clock = ports.clock;
    this.#layout = layout;
    this.#mark = mark;
    this.#owner = owner;
    this.#free = [...tail.freeSegments];
    this.#last = tail.last;
    this.#durableSequence = tail.last?.sequence ?? 0;
    this.#segment = tail.segment;
    this.#nextSegment = this.#free.shift();
    this.#preparer = new Preparer(ports, layout, tail, (segment) => owner.isFresh(segment));
    this.#open = new Batch();
    const sequence = (tail.last?.sequence ?? 0) + 1;
    this.#open.open(tail.position, sequence, tail.segmentSequence);
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }
  get failure(): Error | undefined {
    return this.#failure;
  }
  /** Bytes that can be appended now, about: batches leave some at the end of each segment. */
  get freeBytes(): number {
    return this.#preparer.isFull() ? 0 : this.unusedBytes;
  }
  /** Bytes of the device that hold nothing. */
  get unusedBytes(): number {
    const segments = this.#free.length + (this.#nextSegment === undefined ? 0 : 1);
    return segments * this.#layout.segmentBytes + segmentEnd(this.#layout, this.#segment) - this.#open.end;
  }

  /** Segments that hold nothing and aren't promised to the log. */
  get freeSegments(): number {
    return this.#free.length;
  }

  /** Takes a free segment for something else than the log. */
  takeFree(): number | undefined {
    return this.#free.shift();
  }

  /** A segment that holds nothing any more. */
  giveFree(segment: number): void {
    if (this.#nextSegment === undefined) this.#nextSegment = segment;
    else this.#free.push(segment);
  }

  /** The segment that the log writes to. */
  get segment(): number {
    return this.#segment;
  }

  /** That, and the one that it goes to next. */
  get segments(): readonly number[] {
    return this.#nextSegment === undefined ? [this.#segment] : [this.#segment, this.#nextSegment];
  }

  /** Of the batch that takes the next record. */
  get sequence(): number {
    return this.#open.sequence;
  }

  /** The newest batch that is durable. Never less over the life of a device, unless it was put back to an earlier state. */
  get syncedSequence(): number {
    return (this.#writing ?? this.#sealed[0] ?? this.#open).sequence - 1;
  }

  /** A write beside the log failed: that is as bad as one of the log's own. */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error instanceof Error ? error : new Error(String(error));
    this.#preparer.stop();
    this.#owner.failed(this.#failure);
    this.#idleAgain?.();
  }

  /** The open batch, as a restart would find it: there must be a record in it, so that its place is settled. */
  openBatch(): LogStart {
    assert(this.#open.records > 0, 'the open batch has its place');
    const { sequence, start, segmentSequence } = this.#open;
    return { sequence, position: start, segmentSequence, previous: this.#last ?? noBatch };
  }

  /**
   * A batch with room for one more record of at most `metaBytes` and exactly `dataBytes`; undefined when the device has
   * no room (the log has failed then) or the log is closed. `appended` must follow in the same turn.
   */
  batchFor(metaBytes: number, dataBytes: number): Batch | undefined {
    if (this.#failure !== undefined || this.#closed) return undefined;
    assert(metaBytes + pageBytes <= metaBytesMax, 'record too large for a batch');
    const open = this.#open;
    const tooLarge =
      open.records > 0 &&
      (open.dataBytes + dataBytes > storeLimits.batchBytesMax || open.metaBytes + metaBytes > batchMetaBytesMax);
    const beyondSegment = open.endWith(metaBytes, dataBytes) > segmentEnd(this.#layout, this.#segment);
    if (!tooLarge && !beyondSegment) return open;
    if (open.records > 0) this.#sealOpen();
    if (this.#open.endWith(metaBytes, dataBytes) <= segmentEnd(this.#layout, this.#segment)) return this.#open;
    if (!this.#enterNextSegment()) return undefined;
    assert(
      this.#open.endWith(metaBytes, dataBytes) <= segmentEnd(this.#layout, this.#segment),
      'a segment has room for any record',
    );
    return this.#open;
  }

  /** The record is in the open batch: it leaves when the work at hand is done, or with the next sync. */
  appended(dataBytes: number): void {
    this.#open.records++;
    this.#pendingBytes += dataBytes;
    this.#schedule();
  }

  /** Runs `run` once everything appended so far is durable: at once if it is. Never after a failure. */
  afterSync(run: () => void): void {
    if (this.#failure !== undefined) return;
    const newest = this.#open.records > 0 ? this.#open : (this.#sealed.at(-1) ?? this.#writing);
    if (newest === undefined) run();
    else newest.callbacks.push(run);
  }

  /** Resolves as `afterSync` calls. */
  synced(): Promise<void> {
    return new Promise((resolve) => {
      this.afterSync(resolve);
    });
  }

  /** The batch that has the block at `position` and isn't durable yet. */
  pendingAt(position: number): Batch | undefined {
    const writing = this.#writing;
    if (writing?.hasData(position) === true) return writing;
    if (this.#open.hasData(position)) return this.#open;
    return this.#sealed.find((batch) => batch.hasData(position));
  }

  /** Waits for what is on its way; what wasn't sent is dropped: nobody was told of it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#preparer.stop();
    if (this.#writing === undefined || this.#failure !== undefined) return;
    await new Promise<void>((resolve) => {
      this.#idleAgain = resolve;
    });
  }

  #schedule(): void {
    if (this.#scheduled || this.#writing !== undefined) return;
    this.#scheduled = true;
    // Behind what the work at hand still has to send: a leader's followers write while it does.
    this.#clock.soon(() =>
      this.#clock.soon(() => {
        this.#scheduled = false;
        this.#writeNext();
      }),
    );
  }

  #sealOpen(): void {
    const batch = this.#open;
    const previous = this.#last;
    const metaCrc = batch.seal(this.#mark, {
      previousPosition: previous?.position ?? 0,
      previousMetaCrc: previous?.metaCrc ?? 0,
      nextSegment: this.#nextSegment ?? noSegment,
    });
    this.#last = { sequence: batch.sequence, position: batch.start, metaCrc };
    this.#sealed.push(batch);
    this.#open = this.#idle.pop() ?? new Batch();
    this.#open.open(batch.end, batch.sequence + 1, batch.segmentSequence);
  }

  /** Moves the empty open batch on. A batch before it has named the segment that it goes to. */
  #enterNextSegment(): boolean {
    const next = this.#nextSegment;
    if (next === undefined) {
      this.fail(new FlashError('ENOSPC', 'no segment is free'));
      return false;
    }
    const { sequence, start: leftAt } = this.#open;
    this.#segment = next;
    this.#nextSegment = this.#free.shift();
    this.#open.open(segmentStart(this.#layout, next), sequence, sequence);
    this.#owner.entered(next, sequence, leftAt);
    return true;
  }

  #writeNext(): void {
    if (this.#writing !== undefined || this.#failure !== undefined || this.#closed) return;
    if (this.#sealed.length === 0) {
      if (this.#open.records === 0) return;
      this.#sealOpen();
    }
    const batch = this.#sealed[0] as Batch;
    const wait = this.#preparer.before(batch.start, batch.end, this.#nextSegment);
    if (wait !== undefined) {
      this.#scheduled = true;
      void wait.then(() => {
        this.#scheduled = false;
        this.#writeNext();
      });
      return;
    }
    this.#sealed.shift();
    // Only the last batch may be torn: recovery takes what is invalid before another one for rot (design §10.11).
    assert(batch.sequence === this.#durableSequence + 1, 'INV-7: a batch is begun when the one before it is durable');
    this.#writing = batch;
    const startedMs = this.#clock.nowMs();
    void this.#flash.writeDurably(batch.start, batch.parts).then(
      () => this.#written(batch, startedMs),
      (error: unknown) => this.fail(error),
    );
  }

  #written(batch: Batch, startedMs: number): void {
    if (this.#failure !== undefined) return;
    const bytes = batch.totalBytes;
    this.#pendingBytes -= batch.dataBytes;
    batch.release();
    this.#writing = undefined;
    this.#durableSequence = batch.sequence;
    this.#owner.synced(this.#clock.nowMs() - startedMs, bytes);
    this.#preparer.wrote(bytes);
    // The next write is begun behind these: what they append goes with it.
    if (this.#sealed.length > 0 || this.#open.records > 0) this.#schedule();
    for (const run of batch.callbacks) run();
    batch.callbacks.length = 0;
    if (this.#idle.length < idleBatchesMax) this.#idle.push(batch);
    this.#idleAgain?.();
  }
}
