import { Reader } from '../base/bytes.ts';
import type { Flash } from '../ports/flash.ts';
import type { BatchHeader, DeviceMark } from './batch-header.ts';
import { anchorsIn, loadCheckpoint, readAnchorPages } from './checkpoint-load.ts';
import { markOf } from './format.ts';
import { type AnchorReport, anchorReports, type CopyReport, superblockCopies, tablesOf } from './inspect-checkpoint.ts';
import { type BadPlace, type CutShort, Findings, type RecordCounts } from './inspect-findings.ts';
import { type CheckedSegment, checkSegment, SegmentImage } from './inspect-segment.ts';
import {
  formatVersion,
  type Layout,
  layoutOf,
  pageBytes,
  segmentOf,
  segmentStart,
  superblockPositions,
} from './layout.ts';
import { MapSpace } from './map-space.ts';
import { segmentHead } from './scan.ts';
import { Segments, segmentStates } from './segments.ts';
import { readSuperblock, type SuperblockResult } from './superblock.ts';

/** `bad`: given up by the Corelet. `log` and `moved` hold data, the first as hosts wrote it, the other copied by the cleaner. */
export type SegmentUse = 'free' | 'log' | 'moved' | 'bad';

export interface SegmentReport {
  readonly segment: number;
  readonly position: number;
  readonly use: SegmentUse;
  /** Part of it that holds something that counts, 0 … 1, as the newest checkpoint tells; undefined: taken into use since. */
  readonly liveRatio?: number;
  /** How often its data was moved by the cleaner. */
  readonly generation: number;
  /** How often it was taken into use. */
  readonly uses: number;
  /** Batches that the log has grown by since the data was written, about. */
  readonly ageBatches?: number;
  readonly badPlaces: number;
}

/** What a look at a device found. Blocks that nobody points at any more are checked as well. */
export interface DeviceReport {
  readonly cluster: string;
  readonly corelet: string;
  readonly formatVersion: number;
  readonly deviceTag: string;
  readonly deviceBytes: number;
  readonly segmentBytes: number;
  readonly superblocks: readonly CopyReport[];
  readonly anchors: readonly AnchorReport[];
  /** The newest whole one, and how many tables it consists of; undefined: none is needed yet, or none is whole. */
  readonly checkpoint: { readonly number: number; readonly tables: number; readonly batchesSince: number } | undefined;
  /** Numbers of newer checkpoints with a table of which no copy is whole. */
  readonly damagedCheckpoints: readonly number[];
  /** Of the log's newest batch; 0: there is none. */
  readonly newestSequence: number;
  readonly segments: readonly SegmentReport[];
  readonly batches: number;
  readonly records: RecordCounts;
  readonly blocks: number;
  readonly badCount: number;
  /** Up to `badPlacesMax` of them. */
  readonly bad: readonly BadPlace[];
  readonly cutShort: readonly CutShort[];
}

/** `CORRUPT`: ours, but no copy of the superblock is whole. Others as `readSuperblock` says. */
export type InspectResult =
  | { readonly ok: true; readonly report: DeviceReport }
  | { readonly ok: false; readonly code: Extract<SuperblockResult, { ok: false }>['code']; readonly message: string };

export interface InspectOptions {
  /** Told after every segment: bytes looked at so far, of all. */
  progress?(doneBytes: number, totalBytes: number): void;
  /**
   * Whether a Corelet holds the device now: then it writes while this reads, and what looks bad is looked at again before
   * it counts.
   */
  isLive?(): Promise<boolean>;
}

/** A live Corelet gives a segment back, and fills it again, in less time than this many looks take. */
const looksMax = 4;

/** Reads all of a device that holds anything; changes nothing. @throws FlashError unless it is `EIO` */
export async function inspectDevice(flash: Flash, options: InspectOptions = {}): Promise<InspectResult> {
  const found = await readSuperblock(flash);
  if (!found.ok) {
    const message = found.code === 'VERSION' ? await versionMessage(flash) : found.message;
    return { ok: false, code: found.code, message };
  }
  const { superblock } = found;
  const { cluster, corelet, deviceTag, deviceBytes, segmentBytes } = superblock;
  const inspection = new Inspection(flash, markOf(superblock), layoutOf(deviceBytes, segmentBytes), options);
  const superblocks = await superblockCopies(flash, superblock);
  for (const { position, state } of superblocks)
    if (state !== 'whole') inspection.addPlace('superblock', position, state);
  await inspection.run();
  const device = { cluster, corelet, formatVersion, deviceTag: deviceTag.toString(16).padStart(12, '0'), deviceBytes };
  return { ok: true, report: { ...device, segmentBytes, superblocks, ...inspection.report() } };
}

/** Which version wrote it, from whichever copy can be read. */
async function versionMessage(flash: Flash): Promise<string> {
  for (const position of superblockPositions) {
    const page = new Uint8Array(pageBytes);
    await flash.read(position, page);
    const version = new Reader(page, 8).u16();
    if (page.some((byte) => byte !== 0) && version !== formatVersion)
      return `it is written in store format ${version}; this program reads format ${formatVersion}`;
  }
  return `it isn't written in store format ${formatVersion}`;
}

type Report = Omit<
  DeviceReport,
  'cluster' | 'corelet' | 'formatVersion' | 'deviceTag' | 'deviceBytes' | 'segmentBytes' | 'superblocks'
>;

class Inspection {
  readonly #flash: Flash;
  readonly #mark: DeviceMark;
  readonly #layout: Layout;
  readonly #options: InspectOptions;
  readonly #image: SegmentImage;
  readonly #places = new Findings();
  #anchors: readonly AnchorReport[] = [];
  #damaged: readonly number[] = [];
  #checkpoint: DeviceReport['checkpoint'];
  /** Sequence from which the newest checkpoint reads the log; 0: no checkpoint. */
  #start = 0;
  #table: Segments | undefined;
  readonly #checked = new Map<number, CheckedSegment>();
  /** Segments that the table says are in use, but in which there is no batch. */
  readonly #missing = new Set<number>();

  constructor(flash: Flash, mark: DeviceMark, layout: Layout, options: InspectOptions) {
    this.#flash = flash;
    this.#mark = mark;
    this.#layout = layout;
    this.#options = options;
    this.#image = new SegmentImage(layout, flash.sizeBytes);
  }

  addPlace(what: BadPlace['what'], position: number, state: CopyReport['state']): void {
    const reason = state === 'unreadable' ? 'unreadable' : 'corrupt';
    this.#places.addBad({ position, segment: undefined, what, reason });
  }

  async run(): Promise<void> {
    const { segmentCount, segmentBytes } = this.#layout;
    await this.#loadCheckpoint();
    for (let segment = 0; segment < segmentCount; segment++) {
      await this.#look(segment);
      this.#options.progress?.((segment + 1) * segmentBytes, segmentCount * segmentBytes);
    }
    await this.#lookWhereNamed();
    for (let look = 1; look < looksMax && (await this.#options.isLive?.()) === true; look++) {
      const again = new Set([...this.#judge().values()].flatMap(({ bad }) => bad.map((place) => place.segment)));
      if (again.size === 0) break;
      await this.#loadCheckpoint();
      for (const segment of again) if (segment !== undefined) await this.#look(segment);
      await this.#lookWhereNamed();
    }
    for (const { position, state } of this.#anchors) {
      if (state !== 'whole' && state !== 'blank') this.addPlace('anchor', position, state);
    }
  }

  async #loadCheckpoint(): Promise<void> {
    const pages = await readAnchorPages(this.#flash, this.#mark);
    const anchors = anchorsIn(pages);
    const space = new MapSpace();
    space.segments = new Segments(this.#layout);
    const loaded = await loadCheckpoint(this.#flash, anchors, space);
    const newest = loaded?.anchor.number ?? 0;
    this.#anchors = anchorReports(pages);
    this.#damaged = anchors.filter(({ number }) => number > newest).map(({ number }) => number);
    this.#table = loaded && space.segments;
    this.#start = loaded?.checkpoint.start.sequence ?? 0;
    this.#checkpoint = loaded && { number: newest, tables: tablesOf(loaded), batchesSince: 0 };
  }

  async #look(segment: number): Promise<void> {
    this.#checked.delete(segment);
    this.#missing.delete(segment);
    const moved: DeviceMark = { ...this.#mark, moved: true };
    const start = segmentStart(this.#layout, segment);
    const told = this.#tableState(segment);
    const logHead = await segmentHead(this.#flash, this.#mark, start);
    const head = logHead ?? (await segmentHead(this.#flash, moved, start));
    if (!this.#isUsed(segment, head)) return;
    const isTold = head === undefined || head.sequence < this.#since(segment);
    const isMoved = isTold ? told === segmentStates.moved : logHead === undefined;
    const checked = await this.#check(segment, isMoved ? moved : this.#mark);
    if (checked !== undefined) this.#checked.set(segment, checked);
    // Moved blocks count when the log says so: before, the segment was only taken for them.
    else if (told === segmentStates.log || (this.#table?.live(segment) ?? 0) > 0) this.#missing.add(segment);
  }

  /** Undefined: there is nothing whole of its present use. */
  async #check(segment: number, mark: DeviceMark): Promise<CheckedSegment | undefined> {
    await this.#image.load(this.#flash, segmentStart(this.#layout, segment));
    const checked = await checkSegment(this.#image, this.#layout, mark, segment);
    if (checked === undefined || checked.firstSequence >= this.#since(segment)) return checked;
    // Of moved blocks a restart only knows when the log first told of them.
    const isLeft = checked.moved ? checked.isHeadless && this.#table?.live(segment) === 0 : true;
    return isLeft ? undefined : checked;
  }

  /** When its present use began, at the latest: what the log wrote there before that was left from another one. */
  #since(segment: number): number {
    return this.#tableState(segment) === segmentStates.free ? this.#start : (this.#table?.stamp(segment) ?? 0);
  }

  /**
   * Segments taken into use since the checkpoint, whose first batch is damaged: the log's newest batch says where it goes
   * on, and its records where blocks were moved.
   */
  async #lookWhereNamed(): Promise<void> {
    for (let tail = this.#tail(); tail !== undefined && tail.nextSegment < this.#layout.segmentCount; ) {
      if (this.#checked.has(tail.nextSegment)) break;
      const next = await this.#check(tail.nextSegment, this.#mark);
      if (next === undefined || next.firstSequence <= tail.lastSequence) break;
      this.#checked.set(next.segment, next);
      tail = next;
    }
    const freed = this.#freedSince();
    for (const checked of this.#checked.values()) {
      for (const [segment, { sequence }] of checked.movedTo) {
        const isKnown = this.#checked.has(segment) || this.#missing.has(segment);
        if (isKnown || sequence < this.#start || (freed.get(segment) ?? 0) > sequence) continue;
        const target = await this.#check(segment, { ...this.#mark, moved: true });
        if (target === undefined || target.firstSequence > sequence) this.#missing.add(segment);
        else this.#checked.set(segment, target);
      }
    }
  }

  #tableState(segment: number): number {
    return this.#table?.state(segment) ?? segmentStates.free;
  }

  /** Whether it holds something that may count: by the newest checkpoint, or taken into use since. */
  #isUsed(segment: number, head: BatchHeader | undefined): boolean {
    const state = this.#tableState(segment);
    if (state === segmentStates.bad) return false;
    if (state !== segmentStates.free) return true;
    return head !== undefined && head.sequence >= this.#start;
  }

  /** What each segment has that is bad, or cut short, as all that was read tells together. */
  #judge(): Map<number, Findings> {
    const judged = new Map<number, Findings>();
    const named = this.#named();
    const freed = this.#freedSince();
    const tail = this.#tail();
    for (const [segment, checked] of this.#checked) {
      if (this.#isGone(checked, freed)) continue;
      const findings = new Findings();
      findings.add(checked.findings);
      const { doubtful, end } = checked;
      const missing = named.get(segment);
      if (doubtful !== undefined) {
        const isProven = missing !== undefined || (!checked.moved && segment !== tail?.segment);
        if (isProven) findings.add(doubtful.findings);
        else findings.cutShort.push({ segment, position: doubtful.position, sequence: checked.lastSequence });
      } else if (missing !== undefined) {
        findings.addBad({ position: Math.max(missing, end), segment, what: 'batch', reason: 'missing' });
      }
      judged.set(segment, findings);
    }
    for (const segment of this.#missing) {
      if (freed.has(segment)) continue;
      const findings = new Findings();
      findings.addBad({ position: segmentStart(this.#layout, segment), segment, what: 'batch', reason: 'missing' });
      judged.set(segment, findings);
    }
    return judged;
  }

  /** The log segment with the newest batch. */
  #tail(): CheckedSegment | undefined {
    let tail: CheckedSegment | undefined;
    for (const checked of this.#checked.values()) {
      if (!checked.moved && checked.lastSequence > (tail?.lastSequence ?? 0)) tail = checked;
    }
    return tail;
  }

  /** Segments in whose last batch, or behind it, something lies that is named elsewhere; and where. */
  #named(): Map<number, number> {
    const named = new Map<number, number>();
    const name = (position: number): void => {
      const segment = segmentOf(this.#layout, position);
      const known = named.get(segment);
      if (known === undefined || position < known) named.set(segment, position);
    };
    const at = (position: number): CheckedSegment | undefined => this.#checked.get(segmentOf(this.#layout, position));
    for (const checked of this.#checked.values()) {
      // The next segment's first batch names its predecessor.
      const before = checked.previousPosition === undefined ? undefined : at(checked.previousPosition);
      if (before !== undefined && !checked.moved && !before.moved) {
        const sequence = checked.firstSequence - 1;
        const isThere = before.doubtful === undefined && before.lastSequence >= sequence;
        if (sequence >= before.firstSequence && !isThere) name(checked.previousPosition as number);
      }
      // What the log says was moved is durable; unless that segment has begun anew since.
      for (const { position, sequence } of checked.movedTo.values()) {
        const target = at(position);
        if (target === undefined || !target.moved || target.firstSequence > sequence) continue;
        if (position >= (target.doubtful?.position ?? target.end)) name(position);
      }
      // A closed segment's end is in the segment table.
      const end = checked.firstSequence <= this.#start ? this.#table?.end(checked.segment) : undefined;
      if (end === undefined) continue;
      if (checked.end < end) name(checked.end);
      // Up to where the doubtful batch begins, it says nothing of that one.
      else if (checked.doubtful !== undefined && end > checked.doubtful.position) name(checked.doubtful.position);
    }
    return named;
  }

  /** Segments given back since the newest checkpoint began: nothing in them counts any more. By sequence of the batch that says so. */
  #freedSince(): Map<number, number> {
    const freed = new Map<number, number>();
    for (const checked of this.#checked.values()) {
      for (const [segment, sequence] of checked.freed) {
        if (sequence >= this.#start) freed.set(segment, Math.max(sequence, freed.get(segment) ?? 0));
      }
    }
    return freed;
  }

  /** Given back, and at most begun anew by a write that was cut short. */
  #isGone(checked: CheckedSegment, freed: ReadonlyMap<number, number>): boolean {
    const sequence = freed.get(checked.segment);
    return sequence !== undefined && (checked.isHeadless || checked.firstSequence <= sequence);
  }

  report(): Report {
    const judged = this.#judge();
    const all = new Findings();
    all.add(this.#places);
    for (const findings of judged.values()) all.add(findings);
    const newest = this.#tail()?.lastSequence ?? 0;
    const since = Math.max(0, newest - this.#start);
    return {
      anchors: this.#anchors,
      checkpoint: this.#checkpoint && { ...this.#checkpoint, batchesSince: since },
      damagedCheckpoints: this.#damaged,
      newestSequence: newest,
      segments: this.#segmentReports(judged, newest),
      batches: all.batches,
      records: all.records,
      blocks: all.blocks,
      badCount: all.badCount + this.#damaged.length,
      bad: all.bad.sort((a, b) => a.position - b.position),
      cutShort: all.cutShort,
    };
  }

  #segmentReports(judged: ReadonlyMap<number, Findings>, newest: number): SegmentReport[] {
    const table = this.#table;
    const freed = this.#freedSince();
    const reports: SegmentReport[] = [];
    for (let segment = 0; segment < this.#layout.segmentCount; segment++) {
      const found = this.#checked.get(segment);
      const isGone = freed.has(segment) && (found === undefined || this.#isGone(found, freed));
      const checked = isGone ? undefined : found;
      const told = isGone ? segmentStates.free : this.#tableState(segment);
      const isSince = checked !== undefined && (table === undefined || told === segmentStates.free);
      const stamp = isSince ? checked.firstSequence : table?.stamp(segment);
      const pages = this.#layout.segmentBytes / pageBytes;
      reports.push({
        segment,
        position: segmentStart(this.#layout, segment),
        use: useOf(checked, told),
        ...(isSince || isGone || table === undefined ? {} : { liveRatio: table.live(segment) / pages }),
        generation: table?.generation(segment) ?? 0,
        uses: table?.uses(segment) ?? (checked === undefined ? 0 : 1),
        ...(stamp === undefined || (checked === undefined && told === segmentStates.free)
          ? {}
          : { ageBatches: Math.max(0, newest - stamp) }),
        badPlaces: judged.get(segment)?.badCount ?? 0,
      });
    }
    return reports;
  }
}

function useOf(checked: CheckedSegment | undefined, told: number): SegmentUse {
  if (checked !== undefined) return checked.moved ? 'moved' : 'log';
  if (told === segmentStates.bad) return 'bad';
  if (told === segmentStates.log) return 'log';
  return told === segmentStates.moved ? 'moved' : 'free';
}
