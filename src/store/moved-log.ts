import { assert } from '../base/assert.ts';
import { blockBytes } from '../base/ids.ts';
import type { Flash } from '../ports/flash.ts';
import { Batch } from './batch.ts';
import { type DeviceMark, noSegment } from './batch-header.ts';
import { type Layout, segmentEnd, segmentStart } from './layout.ts';
import { encodeMoved, movedBytes } from './records.ts';
import type { ArcId } from '../base/ids.ts';
import type { ChunkKey } from './types.ts';

/** Sequences of a segment's batches begin at so many times the log's sequence: never lower than what lay there before. */
const sequencesPerBatch = 65_536;

/** A free segment, and the log's sequence now. */
export type TakeSegment = () => { readonly segment: number; readonly sequence: number } | undefined;

/** Live blocks of one chunk on their way; `data` and the arrays in the same order. */
export interface Moving {
  readonly arc: ArcId;
  readonly key: ChunkKey;
  readonly blocks: Uint16Array;
  readonly versions: Float64Array;
  readonly crcs: Uint32Array;
  readonly data: Uint8Array;
}

/**
 * Writes moved blocks into segments of their own: what the cleaner keeps is old, and stays longer than what hosts write
 * now; side by side with that it would be moved again and again. Nothing counts before the log says so.
 */
export class MovedLog {
  readonly #flash: Flash;
  readonly #layout: Layout;
  readonly #mark: DeviceMark;
  readonly #take: TakeSegment;
  readonly #batch = new Batch();
  segment: number | undefined;
  #position = 0;
  #sequence = 0;
  #segmentSequence = 0;
  #previous = { position: 0, metaCrc: 0 };

  constructor(flash: Flash, layout: Layout, mark: DeviceMark, take: TakeSegment) {
    this.#flash = flash;
    this.#layout = layout;
    this.#mark = { ...mark, moved: true };
    this.#take = take;
  }

  /** Where each part's first block is now, durably; undefined when there is no free segment. @throws FlashError */
  async write(parts: readonly Moving[]): Promise<{ readonly positions: number[]; readonly bytes: number } | undefined> {
    let metaBytes = 0;
    let dataBytes = 0;
    for (const part of parts) {
      metaBytes += movedBytes(part.blocks.length);
      dataBytes += part.data.length;
    }
    const batch = this.#batch;
    const room = this.segment === undefined ? 0 : segmentEnd(this.#layout, this.segment);
    batch.open(this.#position, this.#sequence, this.#segmentSequence);
    if (this.segment === undefined || batch.endWith(metaBytes, dataBytes) > room) {
      if (!this.#enter()) return undefined;
      batch.open(this.#position, this.#sequence, this.#segmentSequence);
      assert(
        batch.endWith(metaBytes, dataBytes) <= segmentEnd(this.#layout, taken(this.segment)),
        'one go of moved blocks fits a segment',
      );
    }
    const positions: number[] = [];
    for (const part of parts) {
      positions.push(batch.dataEnd);
      encodeMoved(batch.meta, { ...part, position: batch.dataEnd });
      batch.addData([part.data]);
      batch.records++;
    }
    const metaCrc = batch.seal(this.#mark, {
      previousPosition: this.#previous.position,
      previousMetaCrc: this.#previous.metaCrc,
      nextSegment: noSegment,
    });
    const bytes = batch.totalBytes;
    await this.#flash.writeDurably(batch.start, batch.parts);
    this.#previous = { position: batch.start, metaCrc };
    this.#position = batch.end;
    this.#sequence++;
    batch.release();
    return { positions, bytes };
  }

  #enter(): boolean {
    const taken = this.#take();
    if (taken === undefined) return false;
    this.segment = taken.segment;
    this.#position = segmentStart(this.#layout, taken.segment);
    this.#sequence = taken.sequence * sequencesPerBatch;
    this.#segmentSequence = this.#sequence;
    this.#previous = { position: 0, metaCrc: 0 };
    return true;
  }
}

export const movedBlocksPerWriteMax = (1024 * 1024) / blockBytes;

function taken(segment: number | undefined): number {
  assert(segment !== undefined, 'a segment was taken');
  return segment;
}
