import { assert } from '../base/assert.ts';
import { blockBytes } from '../base/ids.ts';
import type { Flash } from '../ports/flash.ts';
import { Batch } from './batch.ts';
import { type DeviceMark, noSegment } from './batch-header.ts';
import { dataIsWhole } from './decode-batch.ts';
import { type Layout, pageBytes, segmentEnd, segmentStart } from './layout.ts';
import { encodeMoved, type MovedRecord, movedBytes } from './records.ts';
import { salvage } from './scan.ts';
import { type Segments, segmentStates } from './segments.ts';

/** A free segment, and the log's sequence now. */
export type TakeSegment = () => { readonly segment: number; readonly sequence: number } | undefined;

/** Live blocks of one volume layer on their way; `data` in the same order. */
export interface Moving extends Omit<MovedRecord, 'position' | 'generation'> {
  readonly data: readonly Uint8Array[];
}

/** Where the parts of a write are now, and in a segment of which generation. */
export interface MovedTo {
  readonly generation: number;
  readonly positions: readonly number[];
  readonly bytes: number;
}

const blocksPerWriteMax = (1024 * 1024) / blockBytes;
/** A segment with less room than this counts as full. */
const blocksPerWriteMin = 16;
/** What was moved so often stays together with what was moved more often. */
const generationsMax = 3;
/** Each generation has a segment that isn't full: a small device can't afford that. */
const segmentsPerGeneration = 64;

interface Stream {
  readonly generation: number;
  segment: number | undefined;
  position: number;
  sequence: number;
  segmentSequence: number;
  previousPosition: number;
  previousMetaCrc: number;
}

/**
 * Writes moved blocks into segments of their own, by how often they were moved: what was kept long stays longer than what
 * hosts write now, and side by side with that it would be moved again and again. Nothing counts before the log says so.
 */
export class MovedLog {
  readonly #flash: Flash;
  readonly #segments: Segments;
  readonly #layout: Layout;
  readonly #mark: DeviceMark;
  readonly #take: TakeSegment;
  readonly #batch = new Batch();
  readonly #streams: Stream[] = [];
  /** Segments of an earlier run that were looked at, and those of this one. */
  readonly #seen = new Set<number>();
  /** The one that the next write goes to. */
  #entered: Stream | undefined;

  constructor(flash: Flash, segments: Segments, mark: DeviceMark, take: TakeSegment) {
    this.#flash = flash;
    this.#segments = segments;
    this.#layout = segments.layout;
    this.#mark = { ...mark, moved: true };
    this.#take = take;
    const generations = MovedLog.openSegmentsMax(this.#layout.segmentCount);
    for (let generation = 1; generation <= generations; generation++) {
      this.#streams.push({
        generation,
        segment: undefined,
        position: 0,
        sequence: 0,
        segmentSequence: 0,
        previousPosition: 0,
        previousMetaCrc: 0,
      });
    }
  }

  /** Segments that it writes to at a time, at most. */
  static openSegmentsMax(segmentCount: number): number {
    return Math.min(generationsMax, 1 + Math.floor(segmentCount / segmentsPerGeneration));
  }

  /** Whether it is still writing there. */
  isOpen(segment: number): boolean {
    return this.#streams.some((stream) => stream.segment === segment);
  }

  /**
   * How many blocks, each in a part of its own at worst, the next write can take of what comes out of segment `from`;
   * 0: no room.
   */
  async room(from: number): Promise<number> {
    const generation = this.#segments.generation(from);
    const stream = this.#streams[Math.min(generation, this.#streams.length - 1)] as Stream;
    const room = this.#roomIn(stream);
    const goesOn = room >= blocksPerWriteMin || (await this.#resume(stream, from)) || this.#enter(stream);
    if (goesOn) this.#entered = stream;
    // Without a free segment, any that isn't full will do: what comes out of it is space again.
    else this.#entered = this.#streams.find((other) => this.#roomIn(other) >= blocksPerWriteMin);
    return this.#entered === undefined ? 0 : Math.min(blocksPerWriteMax, this.#roomIn(this.#entered));
  }

  /** As much as `room` said at most. Where each part's first block is now, durably. @throws FlashError */
  async write(parts: readonly Moving[]): Promise<MovedTo> {
    const entered = this.#entered;
    assert(entered?.segment !== undefined, 'there is room');
    this.#batch.open(entered.position, entered.sequence, entered.segmentSequence);
    const batch = this.#batch;
    const positions: number[] = [];
    for (const part of parts) {
      positions.push(batch.dataEnd);
      encodeMoved(batch.meta, { ...part, generation: entered.generation, position: batch.dataEnd });
      batch.addData(part.data);
      batch.records++;
    }
    assert(batch.end <= segmentEnd(this.#layout, entered.segment), 'moved blocks fit into their segment');
    const { previousPosition, previousMetaCrc } = entered;
    const metaCrc = batch.seal(this.#mark, { previousPosition, previousMetaCrc, nextSegment: noSegment });
    const bytes = batch.totalBytes;
    await this.#flash.writeDurably(batch.start, batch.parts);
    entered.previousPosition = batch.start;
    entered.previousMetaCrc = metaCrc;
    entered.position = batch.end;
    entered.sequence++;
    this.#segments.reach(entered.segment, entered.position);
    batch.release();
    return { generation: entered.generation, positions, bytes };
  }

  #roomIn(stream: Stream): number {
    if (stream.segment === undefined) return 0;
    return blocksFor(segmentEnd(this.#layout, stream.segment) - stream.position);
  }

  /** Goes on where a run before this one left off: else every restart would cost a segment. False: there is no such place. */
  async #resume(stream: Stream, from: number): Promise<boolean> {
    for (const segment of this.#segments.inState(segmentStates.moved)) {
      if (segment === from || this.isOpen(segment) || this.#seen.has(segment)) continue;
      if (Math.min(this.#segments.generation(segment), this.#streams.length) !== stream.generation) continue;
      this.#seen.add(segment);
      const limit = segmentEnd(this.#layout, segment);
      const end = this.#segments.end(segment);
      if (end === undefined || blocksFor(limit - end) < blocksPerWriteMin) continue;
      const found = await salvage(this.#flash, this.#mark, segmentStart(this.#layout, segment), limit);
      const lastBatch = found.batches.at(-1);
      // Where something can't be read there may be more.
      if (lastBatch === undefined || found.gaps.length > 0 || found.end < end) continue;
      if (blocksFor(limit - found.end) < blocksPerWriteMin) continue;
      // A torn batch in the midst would look like rot to whoever checks the device.
      if (!(await dataIsWhole(this.#flash, lastBatch))) continue;
      const last = lastBatch.header;
      stream.segment = segment;
      stream.position = found.end;
      stream.sequence = last.sequence + 1;
      stream.segmentSequence = last.segmentSequence;
      stream.previousPosition = last.position;
      stream.previousMetaCrc = last.metaCrc;
      return true;
    }
    return false;
  }

  /** Goes on in a free segment. False: there is none. */
  #enter(stream: Stream): boolean {
    const taken = this.#take();
    if (taken === undefined) return false;
    const { segment, sequence } = taken;
    this.#seen.add(segment);
    this.#segments.take(segment, segmentStates.moved, sequence, stream.generation);
    stream.segment = segment;
    stream.position = segmentStart(this.#layout, segment);
    stream.sequence = sequence;
    stream.segmentSequence = sequence;
    stream.previousPosition = 0;
    stream.previousMetaCrc = 0;
    return true;
  }
}

/** Moved blocks that fit into `bytes`: with a head page, and records of one block each behind it, at worst. */
function blocksFor(bytes: number): number {
  const recordsPerPage = Math.floor(pageBytes / movedBytes(1));
  return Math.max(0, Math.floor(((bytes / pageBytes - 2) * recordsPerPage) / (recordsPerPage + 1)));
}
