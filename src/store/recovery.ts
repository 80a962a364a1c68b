import { crc32c } from '../base/crc32c.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import { type ArcId, blockBytes } from '../base/ids.ts';
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
import { type LoadedCheckpoint, readAnchors } from './checkpoint-load.ts';
import type { LogTail } from './log.ts';
import type { MapSpace } from './map-space.ts';
import { decodeBatch } from './decode-batch.ts';
import type { DecodedRecord, MapPageRecord, MovedRecord, TableRecord } from './records.ts';
import { segmentStates } from './segments.ts';
import {
  follows,
  isBegunAt,
  readWhatCan,
  type ScannedBatch,
  type ScannedRun,
  scanRun,
  searchBatch,
  segmentHead,
} from './scan.ts';
import {
  type ArcCheckpoint,
  type LostBatches,
  type RecoveryReport,
  type RecoveryVisitor,
  storeLimits,
} from './types.ts';

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
/** Where a run of batches begins. */
type BatchStart = Pick<BatchHeader, 'sequence' | 'position'>;
const noLink: BatchLink = { sequence: 0, position: 0, metaCrc: 0 };

export interface RecoveredLog {
  readonly tail: LogTail;
  readonly report: RecoveryReport;
}

/**
 * Reads the log in the order of its sequence numbers, wherever the segments lie, and hands every record to `visitor`.
 * A batch is only handed on when its successor is seen or its data was verified: the newest one may be torn.
 */
export class Recovery {
  readonly #flash: Flash;
  readonly #layout: Layout;
  readonly #mark: DeviceMark;
  readonly #visitor: RecoveryVisitor;
  readonly #registers: Map<string, Uint8Array>;
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
  #records = 0;
  #torn: RecoveryReport['torn'];
  readonly #space: MapSpace;
  readonly #loaded: LoadedCheckpoint | undefined;
  /** Arcs of which the log is told; with a checkpoint, not before the place where it took their state. */
  readonly #told = new Set<ArcId>();
  /** Of the others: where in the log their state is. */
  readonly #awaited = new Map<ArcId, number>();
  /** A checkpoint table that was durable before its anchor was written: a log without it has lost its end. */
  #proof: number | undefined;
  #nextUnreadable = false;

  /** `registers` and `space` get what the log says of them; `loaded`: where to begin, else at the beginning. */
  constructor(
    flash: Flash,
    layout: Layout,
    mark: DeviceMark,
    visitor: RecoveryVisitor,
    registers: Map<string, Uint8Array>,
    space: MapSpace,
    loaded: LoadedCheckpoint | undefined,
  ) {
    this.#registers = registers;
    this.#flash = flash;
    this.#layout = layout;
    this.#mark = mark;
    this.#visitor = visitor;
    this.#space = space;
    this.#loaded = loaded;
  }

  /** What the checkpoint tells, before the log goes on from there. */
  #begin(): void {
    const loaded = this.#loaded;
    if (loaded === undefined) return;
    const { start, arcs } = loaded.checkpoint;
    this.#last = start.previous;
    this.#linked = true;
    this.#setCounting(false); // up to the segment table, everything is counted in it
    this.#visitor.checkpointBegins?.();
    for (const { arc, sequence, state } of arcs) {
      if (sequence >= start.sequence) this.#awaited.set(arc, state.position);
      else this.#told.add(arc);
      this.#visitor.arcCheckpoint?.(arc, loaded.arcs.get(arc) as ArcCheckpoint);
    }
  }

  #setCounting(counting: boolean): void {
    const { segments } = this.#space;
    if (segments !== undefined) segments.counting = counting;
  }

  /** Segments that aren't free, as far as the checkpoint and the log tell. */
  #isUsed(segment: number): boolean {
    return this.#used.has(segment) || (this.#space.segments?.state(segment) ?? 0) !== segmentStates.free;
  }

  /** Undefined when not one batch is whole. */
  async run(): Promise<RecoveredLog | undefined> {
    this.#begin();
    this.#proof = (await readAnchors(this.#flash, this.#mark))[0]?.table.position;
    const heads = await this.#heads();
    const runs: Promise<ScannedRun>[] = [];
    const start = (head: BatchStart): Promise<ScannedRun> => this.#scan(head.position);
    for (const [i, head] of heads.entries()) {
      for (let ahead = runs.length; ahead < Math.min(heads.length, i + 1 + segmentsAheadMax); ahead++) {
        runs.push(start(heads[ahead] as BatchStart));
      }
      const run = await (runs[i] as Promise<ScannedRun>);
      runs[i] = Promise.resolve({ batches: [], end: 0, stop: 'invalid' }); // lets go of what was read
      if (head.sequence <= this.#last.sequence) continue; // from an earlier use of that segment
      if (head.sequence > this.#last.sequence + 1) await this.#bridge(head.sequence);
      // Where a checkpoint begins there may be something else by now.
      const isOther = run.batches[0] !== undefined && run.batches[0].header.sequence !== head.sequence;
      this.#take(isOther ? { batches: [], end: head.position, stop: 'invalid' } : run, head.position);
    }
    await this.#bridge(Number.POSITIVE_INFINITY);
    await this.#settleLast();
    if (this.#proof !== undefined && this.#lost.length === 0) this.#lose(this.#last.sequence + 2);
    this.#setCounting(true);
    if (this.#batches === 0) return undefined;
    for (const [name, value] of this.#registers) this.#visitor.register(name, value);
    return { tail: this.#tail(), report: this.#report() };
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
      if (batch.header.sequence > this.#last.sequence + 1) this.#lose(batch.header.sequence);
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
  async #bridge(before: number): Promise<void> {
    for (;;) {
      const sequence = this.#last.sequence;
      const found = await this.#search(before);
      if (found === undefined) break;
      this.#take(await this.#scan(found), found);
      if (this.#last.sequence === sequence) break;
    }
    if (before !== Number.POSITIVE_INFINITY && this.#last.sequence + 1 < before) this.#lose(before);
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
    this.#nextUnreadable = !known && (await readWhatCan(this.#flash, from, new Uint8Array(pageBytes))).size > 0;
    return searchBatch(this.#flash, this.#mark, { from, limit, after, before, zeroBytesMax });
  }

  #enter(segment: number, sequence: number): void {
    if (this.#used.has(segment)) return;
    this.#used.add(segment);
    const { segments } = this.#space;
    if (segments?.state(segment) === segmentStates.free) segments.take(segment, segmentStates.log, sequence);
  }

  /** The segment that was read is left behind: its batches end there. */
  #leave(): void {
    const { segments } = this.#space;
    if (this.#segment === undefined || segments?.state(this.#segment) !== segmentStates.log) return;
    segments.close(this.#segment, this.#end);
  }

  #lose(nextSequence: number): void {
    this.#visitHeld();
    const lost: LostBatches = {
      fromSequence: this.#last.sequence + 1,
      toSequence: nextSequence - 1,
      position: this.#end,
      reason: this.#stop === 'unreadable' ? 'unreadable' : 'invalid',
    };
    this.#lost.push(lost);
    this.#visitor.lost?.(lost);
    this.#last = { sequence: nextSequence - 1, position: 0, metaCrc: 0 };
    this.#linked = false;
  }

  #visitHeld(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    this.#batches++;
    for (const record of decodeBatch(held)) this.#visit(record);
  }

  #visit(record: DecodedRecord): void {
    this.#records++;
    switch (record.type) {
      case 'entry':
        if (this.#tells(record.entry.arc)) this.#visitor.entry(record.entry);
        return;
      case 'truncate':
        if (this.#tells(record.arc)) this.#visitor.truncated(record.arc, record.fromIndex);
        return;
      case 'hardState':
        if (this.#tells(record.arc)) this.#visitor.hardState(record.arc, record.state);
        return;
      case 'arcState':
        // One that the checkpoint doesn't know begins here.
        if (!this.#awaited.has(record.arc)) this.#told.add(record.arc);
        if (this.#tells(record.arc)) this.#visitor.arcState(record.arc, record.state);
        return;
      case 'chunkCopy':
        if (this.#tells(record.copy.arc)) this.#visitor.chunkCopy(record.copy);
        return;
      case 'moved':
        this.#moved(record.moved);
        return;
      case 'table':
        this.#table(record.table);
        return;
      case 'mapPage':
        this.#mapPage(record.page);
        return;
      case 'applied':
        if (this.#tells(record.arc)) this.#visitor.appliedUpTo?.(record.arc, record.index);
        return;
      case 'freed':
        this.#freed(record.segment);
        return;
      case 'register':
        this.#registers.set(record.name, record.value);
        return;
      case 'cut':
        return;
    }
  }

  #tells(arc: ArcId): boolean {
    return this.#loaded === undefined || this.#told.has(arc);
  }

  #table(table: TableRecord): void {
    if (table.position === this.#proof) this.#proof = undefined;
    if (table.position === this.#loaded?.checkpoint.segments.position) this.#setCounting(true);
    if (this.#awaited.get(table.arc) !== table.position) return;
    this.#awaited.delete(table.arc);
    this.#told.add(table.arc);
  }

  #mapPage({ arc, key, position, mapped, newest }: MapPageRecord): void {
    if (this.#tells(arc)) this.#space.of(arc).pageWritten(key, position, mapped, newest);
  }

  /** Before the arc's state was taken, what was moved is in its pages. */
  #moved(moved: MovedRecord): void {
    const { segments } = this.#space;
    const segment = segmentOf(this.#layout, moved.position);
    if (segments?.state(segment) === segmentStates.free && segments.counting) {
      segments.take(segment, segmentStates.moved, this.#last.sequence);
    }
    if (this.#tells(moved.arc)) this.#space.moved(moved);
  }

  #freed(segment: number): void {
    const { segments } = this.#space;
    if (segments === undefined || !segments.counting || segment >= this.#layout.segmentCount) return;
    segments.free(segment);
  }

  /**
   * The newest batch counts if all its data is there, or an anchor proves that it was; else it was never acknowledged by
   * this Corelet, as far as it can tell.
   */
  async #settleLast(): Promise<void> {
    const held = this.#held;
    if (held === undefined) return;
    const isProven = this.#proof !== undefined && this.#proof > held.header.position && this.#proof < held.end;
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

  #tail(): LogTail {
    const segment = this.#segment as number;
    const named = this.#nextSegment;
    const freeSegments: number[] = [];
    for (let other = 0; other < this.#layout.segmentCount; other++) {
      if (!this.#isUsed(other) && other !== named) freeSegments.push(other);
    }
    if (named < this.#layout.segmentCount && !this.#isUsed(named)) freeSegments.unshift(named);
    const first = this.#end === segmentStart(this.#layout, segment);
    const segmentSequence = first ? this.#last.sequence + 1 : this.#segmentSequence;
    return { last: this.#last, segment, position: this.#end, segmentSequence, freeSegments };
  }

  #report(): RecoveryReport {
    const tailUnreadable = this.#stop === 'unreadable' || this.#nextUnreadable;
    const checkpoint = this.#loaded?.checkpoint.number ?? 0;
    return {
      batches: this.#batches,
      records: this.#records,
      lost: this.#lost,
      torn: this.#torn,
      tailUnreadable,
      checkpoint,
    };
  }
}

/** Whether every block of a batch has the content that its records name. A block that can't be read isn't torn. */
async function dataIsWhole(flash: Flash, batch: ScannedBatch): Promise<boolean> {
  const dataPosition = batch.header.position + pageBytes;
  const data = new Uint8Array(batch.header.dataPages * pageBytes);
  const unreadable = await readWhatCan(flash, dataPosition, data);
  try {
    for (const record of decodeBatch(batch)) {
      const page = record.type === 'table' ? record.table : record.type === 'mapPage' ? record.page : undefined;
      if (page !== undefined) {
        const from = page.position - dataPosition;
        const bytes = data.subarray(from, from + ('bytes' in page ? page.bytes : pageBytes));
        if (unreadable.size === 0 && crc32c(bytes) !== page.crc) return false;
        continue;
      }
      const stored = record.type === 'entry' ? record.entry : record.type === 'chunkCopy' ? record.copy : undefined;
      if (stored?.position === undefined) continue;
      for (let i = 0; i < stored.crcs.length; i++) {
        const at = stored.position - dataPosition + i * blockBytes;
        if (unreadable.has(dataPosition + at)) continue;
        if (crc32c(data.subarray(at, at + blockBytes)) !== stored.crcs[i]) return false;
      }
    }
    return true;
  } catch (error) {
    if (error instanceof RemoteProtocolError) return false;
    throw error;
  }
}
