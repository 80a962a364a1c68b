import { crc32c } from '../base/crc32c.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import { blockBytes } from '../base/ids.ts';
import { type Flash, FlashError } from '../ports/flash.ts';
import type { DeviceMark } from './batch-header.ts';
import { decodeBatch } from './decode-batch.ts';
import { Findings } from './inspect-findings.ts';
import { type Layout, pageBytes, segmentEnd, segmentOf, segmentStart } from './layout.ts';
import { readWhatCan } from './medium.ts';
import type { DecodedRecord } from './records.ts';
import { dataOf } from './record-data.ts';
import { salvage, type ScannedBatch } from './scan.ts';
import type { DevicePosition } from './types.ts';

const readBytes = 1024 * 1024;

/** One segment in memory, as it was when it was read: what a live Corelet writes meanwhile doesn't move under the check. */
export class SegmentImage implements Flash {
  readonly sizeBytes: number;
  readonly sectorBytes = pageBytes;
  readonly #bytes: Uint8Array;
  #from = 0;
  #unreadable: ReadonlySet<number> = new Set();

  constructor(layout: Layout, sizeBytes: number) {
    this.sizeBytes = sizeBytes;
    this.#bytes = new Uint8Array(layout.segmentBytes);
  }

  /** @throws FlashError unless it is `EIO` */
  async load(flash: Flash, position: DevicePosition): Promise<void> {
    this.#from = position;
    const unreadable = new Set<number>();
    for (let at = 0; at < this.#bytes.length; at += readBytes) {
      const piece = this.#bytes.subarray(at, Math.min(this.#bytes.length, at + readBytes));
      for (const page of await readWhatCan(flash, position + at, piece)) unreadable.add(page);
    }
    this.#unreadable = unreadable;
  }

  /** A view of what was read. Undefined: part of it can't be read, or lies elsewhere. */
  view(position: DevicePosition, bytes: number): Uint8Array | undefined {
    const at = position - this.#from;
    if (at < 0 || at + bytes > this.#bytes.length) return undefined;
    return this.isReadable(position, bytes) ? this.#bytes.subarray(at, at + bytes) : undefined;
  }

  isReadable(position: DevicePosition, bytes: number): boolean {
    if (this.#unreadable.size === 0) return true;
    for (let at = position - (position % pageBytes); at < position + bytes; at += pageBytes) {
      if (this.#unreadable.has(at)) return false;
    }
    return true;
  }

  async read(position: DevicePosition, into: Uint8Array): Promise<void> {
    const view = this.view(position, into.length);
    if (view === undefined) throw new FlashError('EIO', `${position} can't be read`);
    into.set(view);
  }

  writeDurably(): Promise<void> {
    return Promise.reject(new FlashError('EIO', 'an image is only read'));
  }
  prepare(): Promise<void> {
    return this.writeDurably();
  }
  async close(): Promise<void> {}
}

/** What a segment holds, and what the log in it says of others. */
export interface CheckedSegment {
  readonly segment: number;
  readonly moved: boolean;
  readonly findings: Findings;
  /** Sequences of the first batch of this use and of the last one that is whole. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** Where the log goes on after the last batch, when there is no more room. */
  readonly nextSegment: number;
  /** Where the first batch says that its predecessor is; undefined: it isn't known. */
  readonly previousPosition: DevicePosition | undefined;
  /** Behind the last batch. */
  readonly end: DevicePosition;
  /** Where the last batch begins, and what of it isn't what its records say: torn, unless something later names it. */
  readonly doubtful: { readonly position: DevicePosition; readonly findings: Findings } | undefined;
  /** The first batch of this use isn't whole. */
  readonly isHeadless: boolean;
  /** As the log here tells: segments given back, and where blocks were moved last in others; with the batch's sequence. */
  readonly freed: ReadonlyMap<number, number>;
  readonly movedTo: ReadonlyMap<number, { readonly position: DevicePosition; readonly sequence: number }>;
}

/**
 * Checks every batch, record and block in the segment that `image` holds, also behind a damaged batch. Undefined: there
 * is no whole batch of this kind. A damaged batch counts when a later one of the same use proves it.
 */
export async function checkSegment(
  image: SegmentImage,
  layout: Layout,
  mark: DeviceMark,
  segment: number,
): Promise<CheckedSegment | undefined> {
  const findings = new Findings();
  const found = await salvage(image, mark, segmentStart(layout, segment), segmentEnd(layout, segment));
  const { batches, end } = found;
  for (const { position, isUnreadable } of found.gaps) {
    findings.addBad({ position, segment, what: 'batch', reason: isUnreadable ? 'unreadable' : 'corrupt' });
  }
  const first = batches[0];
  const last = batches.at(-1);
  if (first === undefined || last === undefined) return undefined;
  const freed = new Map<number, number>();
  const movedTo = new Map<number, { position: DevicePosition; sequence: number }>();
  let doubtful: CheckedSegment['doubtful'];
  for (const batch of batches) {
    const checked = new Findings();
    const { sequence, position: begin } = batch.header;
    checkBatch(image, segment, batch, checked, (record) => {
      if (record.type === 'freed') freed.set(record.segment, sequence);
      if (record.type !== 'moved' || mark.moved === true) return;
      const { position } = record.moved;
      movedTo.set(segmentOf(layout, position), { position, sequence });
    });
    if (batch === last && checked.badCount > 0) doubtful = { position: begin, findings: checked };
    else findings.add(checked);
  }
  const { segmentSequence, sequence, previousPosition } = first.header;
  return {
    segment,
    moved: mark.moved === true,
    findings,
    firstSequence: segmentSequence,
    lastSequence: last.header.sequence,
    nextSegment: last.header.nextSegment,
    previousPosition: sequence === segmentSequence && previousPosition > 0 ? previousPosition : undefined,
    end,
    doubtful,
    isHeadless: sequence !== segmentSequence,
    freed,
    movedTo,
  };
}

function checkBatch(
  image: SegmentImage,
  segment: number,
  batch: ScannedBatch,
  findings: Findings,
  tell: (record: DecodedRecord) => void,
): void {
  const from = batch.header.position + pageBytes;
  const to = from + batch.header.dataPages * pageBytes;
  findings.batches++;
  try {
    for (const record of decodeBatch(batch)) {
      findings.records[record.type]++;
      tell(record);
      for (const { position, bytes, crc, what, ...name } of dataOf(record)) {
        if (position < from || position + bytes > to) continue; // told of another place
        findings.blocks += Math.ceil(bytes / blockBytes);
        const view = image.view(position, bytes);
        if (view !== undefined && crc32c(view) === crc) continue;
        findings.addBad({ position, segment, what, reason: view === undefined ? 'unreadable' : 'corrupt', ...name });
      }
    }
  } catch (error) {
    if (!(error instanceof RemoteProtocolError)) throw error;
    findings.addBad({ position: batch.header.position, segment, what: 'batch', reason: 'corrupt' });
  }
}
