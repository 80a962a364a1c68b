import { assert } from '../base/assert.ts';
import { type ArcId, blockBytes } from '../base/ids.ts';
import type { Flash } from '../ports/flash.ts';
import { Batch } from './batch.ts';
import { type DeviceMark, noSegment } from './batch-header.ts';
import { type Layout, segmentEnd, segmentStart } from './layout.ts';
import { encodeMoved, movedBytes } from './records.ts';
import { type Segments, segmentStates } from './segments.ts';
import type { ChunkKey } from './types.ts';

/** A free segment, and the log's sequence now. */
export type TakeSegment = () => { readonly segment: number; readonly sequence: number } | undefined;

/** Live blocks of one chunk on their way; `data` and the arrays in the same order. */
export interface Moving {
  readonly arc: ArcId;
  readonly key: ChunkKey;
  readonly blocks: Uint16Array;
  readonly versions: Float64Array;
  readonly crcs: Uint32Array;
  readonly data: readonly Uint8Array[];
}

export const movedBlocksPerWriteMax = (1024 * 1024) / blockBytes;
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

  constructor(flash: Flash, segments: Segments, mark: DeviceMark, take: TakeSegment) {
    this.#flash = flash;
    this.#segments = segments;
    this.#layout = segments.layout;
    this.#mark = { ...mark, moved: true };
    this.#take = take;
    const generations = Math.min(generationsMax, 1 + Math.floor(this.#layout.segmentCount / segmentsPerGeneration));
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
   * Writes what comes out of a segment that was moved `generation` times and is as old as `stamp`. Where each part's first
   * block is now, durably; undefined when there is no free segment. @throws FlashError
   */
  async write(
    parts: readonly Moving[],
    generation: number,
    stamp: number,
  ): Promise<{ readonly positions: number[]; readonly bytes: number } | undefined> {
    let metaBytes = 0;
    let blocks = 0;
    for (const part of parts) {
      metaBytes += movedBytes(part.blocks.length);
      blocks += part.blocks.length;
    }
    const stream = this.#streams[Math.min(generation, this.#streams.length - 1)] as Stream;
    const segment = this.#enter(stream, stamp, metaBytes, blocks * blockBytes);
    if (segment === undefined) return undefined;
    const batch = this.#batch;
    const positions: number[] = [];
    for (const part of parts) {
      positions.push(batch.dataEnd);
      encodeMoved(batch.meta, { ...part, position: batch.dataEnd });
      batch.addData(part.data);
      batch.records++;
    }
    const { previousPosition, previousMetaCrc } = stream;
    const metaCrc = batch.seal(this.#mark, { previousPosition, previousMetaCrc, nextSegment: noSegment });
    const bytes = batch.totalBytes;
    await this.#flash.writeDurably(batch.start, batch.parts);
    stream.previousPosition = batch.start;
    stream.previousMetaCrc = metaCrc;
    stream.position = batch.end;
    stream.sequence++;
    batch.release();
    this.#segments.blend(segment, stamp, blocks);
    return { positions, bytes };
  }

  /** Opens the batch where the stream goes on: in the next segment if the one it has is full. */
  #enter(stream: Stream, stamp: number, metaBytes: number, dataBytes: number): number | undefined {
    const batch = this.#batch;
    if (stream.segment !== undefined) {
      batch.open(stream.position, stream.sequence, stream.segmentSequence);
      if (batch.endWith(metaBytes, dataBytes) <= segmentEnd(this.#layout, stream.segment)) return stream.segment;
    }
    const taken = this.#take();
    if (taken === undefined) return undefined;
    if (stream.segment !== undefined) this.#segments.close(stream.segment, stream.position);
    const { segment, sequence } = taken;
    this.#segments.take(segment, segmentStates.moved, stamp, stream.generation);
    stream.segment = segment;
    stream.position = segmentStart(this.#layout, segment);
    stream.sequence = sequence;
    stream.segmentSequence = sequence;
    stream.previousPosition = 0;
    stream.previousMetaCrc = 0;
    batch.open(stream.position, sequence, sequence);
    assert(batch.endWith(metaBytes, dataBytes) <= segmentEnd(this.#layout, segment), 'one go of moved blocks fits');
    return segment;
  }
}
