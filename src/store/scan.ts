import { getU64 } from '../base/bytes.ts';
import type { Flash } from '../ports/flash.ts';
import {
  batchBytes,
  type BatchHeader,
  type BatchLink,
  type DeviceMark,
  metaCrcOf,
  readHeader,
} from './batch-header.ts';
import { pageBytes, pagesFor } from './layout.ts';
import { readPiece, readWhatCan } from './medium.ts';

/** A batch found on the device: `meta` are its header and records, without the data. */
export interface ScannedBatch {
  readonly header: BatchHeader;
  readonly meta: Uint8Array;
  readonly end: number;
}

/** Batches that follow one another, and where and why they end. */
export interface ScannedRun {
  readonly batches: readonly ScannedBatch[];
  readonly end: number;
  readonly stop: 'segment-end' | 'invalid' | 'unreadable';
}

/** Offsets of the fields of a batch header that tell what it is, even when it is damaged. */
const sequenceAt = 8;
const previousAt = 16;
const previousCrcAt = 24;
const tagAt = 56;
const positionAt = 64;
const windowBytesMin = 16 * 1024;
const windowBytesMax = 512 * 1024;
/** Batches smaller than this are read with their data in one go: skipping would cost more reads than it saves bytes. */
const skipBytesMin = 64 * 1024;
/** A piece that stays in the processor's cache while its pages are looked at: 1 MiB made a restart 15 % slower. */
const searchBytes = 256 * 1024;

/** Reads ahead as far as batches are small: a restart costs a few large reads, not one per batch. */
class Window {
  readonly #flash: Flash;
  readonly #limit: number;
  #bytes = new Uint8Array(0);
  #position = 0;
  #length = 0;
  #aheadBytes = windowBytesMin;

  constructor(flash: Flash, limit: number) {
    this.#flash = flash;
    this.#limit = limit;
  }

  /** A view of [position, position + length), valid until the next call. Undefined where the medium can't be read. */
  async at(position: number, length: number): Promise<Uint8Array | undefined> {
    if (position < this.#position || position + length > this.#position + this.#length) {
      const ahead = Math.min(Math.max(length, this.#aheadBytes), this.#limit - position);
      if (!(await this.#fill(position, ahead)) && (ahead === length || !(await this.#fill(position, length)))) {
        return undefined;
      }
    }
    const from = position - this.#position;
    return this.#bytes.subarray(from, from + length);
  }

  /** Learns from the size of a batch how far to read ahead. */
  passed(bytes: number): void {
    this.#aheadBytes = bytes < skipBytesMin ? Math.min(windowBytesMax, this.#aheadBytes * 2) : windowBytesMin;
  }

  async #fill(position: number, length: number): Promise<boolean> {
    if (this.#bytes.length < length) this.#bytes = new Uint8Array(length);
    this.#length = 0;
    if (!(await readPiece(this.#flash, position, this.#bytes.subarray(0, length)))) return false;
    this.#position = position;
    this.#length = length;
    return true;
  }
}

type Found = ScannedBatch | 'invalid' | 'unreadable';

async function batchAt(window: Window, mark: DeviceMark, position: number, limit: number): Promise<Found> {
  const head = await window.at(position, pageBytes);
  if (head === undefined) return 'unreadable';
  const header = readHeader(head, mark, position);
  if (header === undefined) return 'invalid';
  const bytes = batchBytes(header.metaBytes, header.dataPages);
  if (position + bytes > limit) return 'invalid';
  const meta = head.slice(0, Math.min(pageBytes, header.metaBytes));
  if (header.metaBytes <= pageBytes) return finish(window, header, meta, position + bytes);
  const whole = new Uint8Array(header.metaBytes);
  whole.set(meta);
  const tailPages = pagesFor(header.metaBytes) - 1;
  const tail = await window.at(position + (1 + header.dataPages) * pageBytes, tailPages * pageBytes);
  if (tail === undefined) return 'unreadable';
  whole.set(tail.subarray(0, header.metaBytes - pageBytes), pageBytes);
  return finish(window, header, whole, position + bytes);
}

function finish(window: Window, header: BatchHeader, meta: Uint8Array, end: number): Found {
  if (metaCrcOf(meta, header.metaBytes) !== header.metaCrc) return 'invalid';
  window.passed(end - header.position);
  return { header, meta, end };
}

export function follows(header: BatchHeader, last: BatchLink): boolean {
  return (
    header.sequence === last.sequence + 1 &&
    header.previousPosition === last.position &&
    header.previousMetaCrc === last.metaCrc
  );
}

/** The batches from `position` on, as long as each names the one before it. `limit`: the segment's end. */
export async function scanRun(flash: Flash, mark: DeviceMark, position: number, limit: number): Promise<ScannedRun> {
  const window = new Window(flash, limit);
  const batches: ScannedBatch[] = [];
  let last: BatchHeader | undefined;
  for (;;) {
    if (position + pageBytes > limit) return { batches, end: position, stop: 'segment-end' };
    const found = await batchAt(window, mark, position, limit);
    if (typeof found === 'string') return { batches, end: position, stop: found };
    if (last !== undefined && !follows(found.header, last)) return { batches, end: position, stop: 'invalid' };
    batches.push(found);
    last = found.header;
    position = found.end;
  }
}

/** Something between the batches of a segment that isn't one: what can't be read may have been; the rest a later one proves. */
export interface Gap {
  readonly position: number;
  readonly isUnreadable: boolean;
}

/** The batches of a segment's present use, also those behind damage. */
export interface Salvage {
  readonly batches: readonly ScannedBatch[];
  readonly gaps: readonly Gap[];
  /** Behind the last batch. */
  readonly end: number;
}

export async function salvage(flash: Flash, mark: DeviceMark, start: number, limit: number): Promise<Salvage> {
  const batches: ScannedBatch[] = [];
  const gaps: Gap[] = [];
  for (let from = start; ; ) {
    const run = await scanRun(flash, mark, from, limit);
    for (const batch of run.batches) batches.push(batch);
    const { end, stop } = run;
    if (stop === 'segment-end') return { batches, gaps, end };
    const last = batches.at(-1)?.header;
    const search = { from: end, limit, before: Number.POSITIVE_INFINITY, zeroBytesMax: limit };
    // Of an earlier use of the segment, batches may lie behind the last one: older, and of another first batch.
    const found = await searchBatch(
      flash,
      mark,
      last === undefined ? { ...search, after: 0 } : { ...search, after: last.sequence, use: last.segmentSequence },
    );
    const isUnreadable = stop === 'unreadable';
    if (found !== undefined || isUnreadable) gaps.push({ position: end, isUnreadable });
    if (found === undefined) return { batches, gaps, end };
    from = found;
  }
}

/** The header in the first page of a segment; its meta is not checked. */
export async function segmentHead(flash: Flash, mark: DeviceMark, start: number): Promise<BatchHeader | undefined> {
  const head = await new Window(flash, start + pageBytes).at(start, pageBytes);
  return head === undefined ? undefined : readHeader(head, mark, start);
}

/**
 * Whether what lies at `position` is what is left of the batch behind `last`: its header is damaged or its records are, but
 * it still names its place and its number, or the batch before it.
 */
export async function isBegunAt(flash: Flash, mark: DeviceMark, position: number, last: BatchLink): Promise<boolean> {
  if (position + pageBytes > flash.sizeBytes) return false;
  const page = new Uint8Array(pageBytes);
  if (!(await readPiece(flash, position, page))) return false;
  // As batch-header.ts lays them out, unchecked.
  const view = new DataView(page.buffer);
  if (getU64(view, tagAt) !== mark.deviceTag && getU64(view, positionAt) !== position) return false;
  if (getU64(view, sequenceAt) === last.sequence + 1) return true;
  return getU64(view, previousAt) === last.position && view.getUint32(previousCrcAt, true) === last.metaCrc;
}

export interface Search {
  readonly from: number;
  readonly limit: number;
  /** Only batches with `after` < sequence < `before` count. */
  readonly after: number;
  readonly before: number;
  /** Gives up behind so many bytes of zeros. */
  readonly zeroBytesMax: number;
  /** Only batches of that use of their segment: the sequence of its first batch. */
  readonly use?: number;
}

/** Looks page by page for a whole batch. Returns its position. */
export async function searchBatch(flash: Flash, mark: DeviceMark, search: Search): Promise<number | undefined> {
  const { from, limit, after, before } = search;
  const bytes = new Uint8Array(Math.min(searchBytes, Math.max(pageBytes, limit - from)));
  let zeroBytes = 0;
  for (let piece = from; piece + pageBytes <= limit; piece += bytes.length) {
    const view = bytes.subarray(0, Math.min(bytes.length, limit - piece));
    await readWhatCan(flash, piece, view);
    for (let at = 0; at + pageBytes <= view.length; at += pageBytes) {
      zeroBytes = looksEmpty(view, at) ? zeroBytes + pageBytes : 0;
      if (zeroBytes >= search.zeroBytesMax) return undefined;
      if (zeroBytes > 0) continue;
      const header = readHeader(view.subarray(at, at + pageBytes), mark, piece + at);
      if (header === undefined || header.sequence <= after || header.sequence >= before) continue;
      if (search.use !== undefined && header.segmentSequence !== search.use) continue;
      const found = await batchAt(new Window(flash, limit), mark, piece + at, limit);
      if (typeof found !== 'string') return piece + at;
    }
  }
  return undefined;
}

/** From a few samples: a head page begins with the magic, and whatever else lies there is rarely zero at all of them. */
function looksEmpty(view: Uint8Array, at: number): boolean {
  for (let sample = 0; sample < pageBytes; sample += pageBytes / 16) {
    for (let i = 0; i < 4; i++) if (view[at + sample + i] !== 0) return false;
  }
  return true;
}
