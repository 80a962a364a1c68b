import { assert } from '../base/assert.ts';
import { Writer } from '../base/bytes.ts';
import { blockBytes } from '../base/ids.ts';
import { batchBytes, batchHeaderBytes, type BatchHeader, type DeviceMark, sealHeader } from './batch-header.ts';
import { pageBytes, pagesFor } from './layout.ts';

const metaBytesFirst = 16 * 1024;
/** A buffer that grew beyond this for one large state isn't kept. */
const metaBytesKeptMax = 1024 * 1024;

/**
 * What goes out in one write: head page, block data, tail pages. Open while records are added, then sealed, then on its
 * way. Used again and again, so that a record costs no buffer.
 */
export class Batch {
  #meta = new Writer(metaBytesFirst);
  start = 0;
  sequence = 0;
  segmentSequence = 0;
  records = 0;
  dataBytes = 0;
  /** What `Flash.writeDurably` gets; the first is the head page, filled in by `seal`. */
  readonly parts: Uint8Array[] = [];
  /** Of parts[i]: where in the data it begins. */
  readonly #partAt: number[] = [];
  readonly callbacks: (() => void)[] = [];

  open(start: number, sequence: number, segmentSequence: number): void {
    if (this.#meta.bytes.length > metaBytesKeptMax) this.#meta = new Writer(metaBytesFirst);
    this.#meta.reset();
    this.#meta.reserve(batchHeaderBytes);
    this.start = start;
    this.sequence = sequence;
    this.segmentSequence = segmentSequence;
    this.records = 0;
    this.dataBytes = 0;
    this.parts.length = 1;
    this.#partAt.length = 1;
    this.#partAt[0] = 0;
    this.callbacks.length = 0;
  }

  /** Where to encode the next record. */
  get meta(): Writer {
    return this.#meta;
  }

  get metaBytes(): number {
    return this.#meta.length;
  }

  /** Pages of data so far. */
  get dataPages(): number {
    return this.dataBytes / pageBytes;
  }

  /** Where the next block of data will be on the device. */
  get dataEnd(): number {
    return this.start + pageBytes + this.dataBytes;
  }

  /** Where the batch ends, as it is. */
  get end(): number {
    return this.start + batchBytes(this.#meta.length, this.dataPages);
  }

  get totalBytes(): number {
    return this.end - this.start;
  }

  /** Whether the block at device `position` is in its data. */
  hasData(position: number): boolean {
    return position >= this.start + pageBytes && position < this.start + pageBytes + this.dataBytes;
  }

  /** The end it would have with a record of at most `metaBytes` and `dataBytes` more. */
  endWith(metaBytes: number, dataBytes: number): number {
    return this.start + batchBytes(this.#meta.length + metaBytes, (this.dataBytes + dataBytes) / pageBytes);
  }

  addData(pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) {
      if (piece.length === 0) continue;
      this.parts.push(piece);
      this.#partAt.push(this.dataBytes);
      this.dataBytes += piece.length;
    }
    assert(this.dataBytes % blockBytes === 0, 'a record brings whole blocks');
  }

  /** Ends the batch. Returns its meta CRC; `parts` is then what to write at `start`. */
  seal(mark: DeviceMark, header: Pick<BatchHeader, 'previousPosition' | 'previousMetaCrc' | 'nextSegment'>): number {
    const meta = this.#meta;
    const metaBytes = meta.length;
    const padding = pagesFor(metaBytes) * pageBytes - metaBytes;
    const at = meta.reserve(padding);
    meta.bytes.fill(0, at, at + padding);
    const metaCrc = sealHeader(meta.bytes, mark, {
      sequence: this.sequence,
      position: this.start,
      previousPosition: header.previousPosition,
      previousMetaCrc: header.previousMetaCrc,
      metaBytes,
      dataPages: this.dataPages,
      records: this.records,
      segmentSequence: this.segmentSequence,
      nextSegment: header.nextSegment,
    });
    this.parts[0] = meta.bytes.subarray(0, pageBytes);
    if (meta.length > pageBytes) this.parts.push(meta.bytes.subarray(pageBytes, meta.length));
    return metaCrc;
  }

  /** Copies the block at device `position` into `into` at `at`, from the pieces that were handed in. */
  copyBlock(position: number, into: Uint8Array, at: number): void {
    let from = position - this.start - pageBytes;
    assert(from >= 0 && from + blockBytes <= this.dataBytes, 'position in the data of this batch');
    let low = 1;
    let high = this.#partAt.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#partAt[middle] as number) <= from) low = middle;
      else high = middle - 1;
    }
    let left = blockBytes;
    for (let i = low; left > 0; i++) {
      const piece = this.parts[i] as Uint8Array;
      const offset = from - (this.#partAt[i] as number);
      const count = Math.min(left, piece.length - offset);
      into.set(piece.subarray(offset, offset + count), at);
      at += count;
      from += count;
      left -= count;
    }
  }

  /** Lets go of the payload. */
  release(): void {
    this.parts.length = 1;
    this.#partAt.length = 1;
    this.dataBytes = 0;
  }
}
