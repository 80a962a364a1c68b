import { assert } from '../base/assert.ts';
import { Reader, Writer } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import { type Layout, pageBytes, segmentCountMax, segmentOf, segmentStart } from './layout.ts';
import { type DevicePosition, storeLimits } from './types.ts';

/**
 * What a segment is. `emptied`: everything live was copied out of it, but a restart may still look there. `bad`: the
 * medium under it can't be read; it is never used again.
 */
export const segmentStates = { free: 0, log: 1, moved: 2, bad: 3, emptied: 4 } as const;
export type SegmentState = (typeof segmentStates)[keyof typeof segmentStates];

const storedBytes = 24;

/**
 * What each segment holds. The counts of live pages are kept without reading anything, so they are close, not exact: the
 * cleaner chooses by them and then looks at every block itself.
 */
export class Segments {
  readonly layout: Layout;
  readonly #live: Int32Array;
  readonly #states: Uint8Array;
  readonly #generations: Uint8Array;
  readonly #uses: Uint32Array;
  readonly #stamps: Float64Array;
  /** Pages up to where batches lie; 0: not known. */
  readonly #ends: Uint32Array;
  #liveTotal = 0;
  /** Off while a restart reads what its segment table has counted already. */
  counting = true;

  constructor(layout: Layout) {
    this.layout = layout;
    this.#live = new Int32Array(layout.segmentCount);
    this.#states = new Uint8Array(layout.segmentCount);
    this.#generations = new Uint8Array(layout.segmentCount);
    this.#uses = new Uint32Array(layout.segmentCount);
    this.#stamps = new Float64Array(layout.segmentCount);
    this.#ends = new Uint32Array(layout.segmentCount);
  }

  clear(): void {
    this.#live.fill(0);
    this.#states.fill(segmentStates.free);
    this.#generations.fill(0);
    this.#uses.fill(0);
    this.#stamps.fill(0);
    this.#ends.fill(0);
    this.#liveTotal = 0;
  }

  get pagesPerSegment(): number {
    return this.layout.segmentBytes / pageBytes;
  }

  /** Pages that hold something, over all segments. */
  get livePages(): number {
    return this.#liveTotal;
  }

  count(state: SegmentState): number {
    let count = 0;
    for (const one of this.#states) if (one === state) count++;
    return count;
  }

  *inState(state: SegmentState): IterableIterator<number> {
    for (let segment = 0; segment < this.#states.length; segment++) if (this.#states[segment] === state) yield segment;
  }

  live(segment: number): number {
    return this.#live[segment] as number;
  }
  state(segment: number): SegmentState {
    return this.#states[segment] as SegmentState;
  }
  /** Sequence of the log when it was taken into use: of a log segment, its first batch. */
  stamp(segment: number): number {
    return this.#stamps[segment] as number;
  }
  /** How often its data was moved: 0 for the log. */
  generation(segment: number): number {
    return this.#generations[segment] as number;
  }
  /** How often it was taken into use: on a raw device, how often it was erased. */
  uses(segment: number): number {
    return this.#uses[segment] as number;
  }

  setState(segment: number, state: SegmentState): void {
    this.#states[segment] = state;
  }

  /** Taken into use at `sequence` of the log: whatever was there is over. */
  take(segment: number, state: 1 | 2, sequence: number, generation = state === segmentStates.log ? 0 : 1): void {
    this.#states[segment] = state;
    this.#generations[segment] = generation;
    this.#uses[segment] = (this.#uses[segment] as number) + 1;
    this.#stamps[segment] = sequence;
    this.#ends[segment] = 0;
    this.setLive(segment, 0);
  }

  /** Batches lie there up to `position` at least. */
  reach(segment: number, position: DevicePosition): void {
    const pages = (position - segmentStart(this.layout, segment)) / pageBytes;
    if (pages > (this.#ends[segment] as number)) this.#ends[segment] = pages;
  }

  /** Where its batches end, as far as is known; undefined: nothing is. */
  end(segment: number): DevicePosition | undefined {
    const pages = this.#ends[segment] as number;
    return pages === 0 ? undefined : segmentStart(this.layout, segment) + pages * pageBytes;
  }

  /** Nothing is there any more. */
  free(segment: number): void {
    this.#states[segment] = segmentStates.free;
    this.#ends[segment] = 0;
    this.setLive(segment, 0);
  }

  setLive(segment: number, pages: number): void {
    this.#liveTotal += pages - (this.#live[segment] as number);
    this.#live[segment] = pages;
  }

  /** `pages` pages from `position` on hold something that counts. */
  add(position: number, pages = 1): void {
    if (position < pageBytes) return; // nothing, or damaged
    this.#change(position, pages);
  }

  /** They hold nothing that counts any more. */
  remove(position: number, pages = 1): void {
    if (position < pageBytes) return;
    this.#change(position, -pages);
  }

  #change(position: number, pages: number): void {
    if (!this.counting) return;
    const segment = segmentOf(this.layout, position);
    assert(segment >= 0 && segment < this.#live.length, 'no segment at', position);
    const before = this.#live[segment] as number;
    const after = Math.min(this.pagesPerSegment, Math.max(0, before + pages));
    this.#live[segment] = after;
    this.#liveTotal += after - before;
  }

  // per segment: u8 state · u8 generation · u16 0 · u32 live pages · u32 uses · u32 end in pages · u64 stamp
  encode(): Uint8Array {
    assert(this.#states.length * storedBytes <= storeLimits.tableBytesMax, 'the segment table is one piece');
    const writer = new Writer(this.#states.length * storedBytes);
    for (let segment = 0; segment < this.#states.length; segment++) {
      writer.u8(this.#states[segment] as number);
      writer.u8(this.#generations[segment] as number);
      writer.u16(0);
      writer.u32(this.#live[segment] as number);
      writer.u32(this.#uses[segment] as number);
      writer.u32(this.#ends[segment] as number);
      writer.u64(this.#stamps[segment] as number);
    }
    return writer.bytes.subarray(0, this.#states.length * storedBytes);
  }

  /** @throws RemoteProtocolError */
  decode(bytes: Uint8Array): void {
    const reader = new Reader(bytes);
    if (bytes.length !== this.#states.length * storedBytes || this.#states.length > segmentCountMax) {
      throw new RemoteProtocolError('a segment table of another device');
    }
    for (let segment = 0; segment < this.#states.length; segment++) {
      const state = reader.u8();
      if (state > segmentStates.emptied) throw new RemoteProtocolError(`segment state ${state}`);
      const generation = reader.u8();
      reader.u16();
      // Emptied while that checkpoint was taken: whatever is found there when it is looked at again counts.
      const used = generation === 0 ? segmentStates.log : segmentStates.moved;
      this.#states[segment] = state === segmentStates.emptied ? used : state;
      this.#generations[segment] = generation;
      this.setLive(segment, Math.min(reader.u32(), this.pagesPerSegment));
      this.#uses[segment] = reader.u32();
      this.#ends[segment] = Math.min(reader.u32(), this.pagesPerSegment);
      this.#stamps[segment] = reader.u64();
    }
  }
}
