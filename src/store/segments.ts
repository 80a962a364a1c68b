import { assert } from '../base/assert.ts';
import { Reader, Writer } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import { type Layout, pageBytes, segmentCountMax, segmentOf } from './layout.ts';

/** What a segment is. `emptied`: nothing live is left, but the newest synced checkpoint may still point there. */
export const segmentStates = { free: 0, log: 1, moved: 2, bad: 3, emptied: 4 } as const;
export type SegmentState = (typeof segmentStates)[keyof typeof segmentStates];

const storedBytes = 16;

/**
 * What each segment holds. The counts of live pages are kept without reading anything, so they are close, not exact: the
 * cleaner chooses by them and then looks at every block itself.
 */
export class Segments {
  readonly layout: Layout;
  readonly #live: Int32Array;
  readonly #states: Uint8Array;
  readonly #uses: Uint32Array;
  /** Sequence of the log when the segment was taken into use: how old its data is. */
  readonly #stamps: Float64Array;
  #liveTotal = 0;

  constructor(layout: Layout) {
    this.layout = layout;
    this.#live = new Int32Array(layout.segmentCount);
    this.#states = new Uint8Array(layout.segmentCount);
    this.#uses = new Uint32Array(layout.segmentCount);
    this.#stamps = new Float64Array(layout.segmentCount);
  }

  clear(): void {
    this.#live.fill(0);
    this.#states.fill(segmentStates.free);
    this.#uses.fill(0);
    this.#stamps.fill(0);
    this.#liveTotal = 0;
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

  live(segment: number): number {
    return this.#live[segment] as number;
  }
  state(segment: number): SegmentState {
    return this.#states[segment] as SegmentState;
  }
  stamp(segment: number): number {
    return this.#stamps[segment] as number;
  }
  /** How often it was taken into use: on a raw device, how often it was erased. */
  uses(segment: number): number {
    return this.#uses[segment] as number;
  }

  setState(segment: number, state: SegmentState): void {
    this.#states[segment] = state;
  }

  /** Taken into use at `sequence` of the log: whatever was there is over. */
  take(segment: number, state: 1 | 2, sequence: number): void {
    this.#states[segment] = state;
    this.#uses[segment] = (this.#uses[segment] as number) + 1;
    this.#stamps[segment] = sequence;
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
    const segment = segmentOf(this.layout, position);
    assert(segment >= 0 && segment < this.#live.length, `no segment at ${position}`);
    const before = this.#live[segment] as number;
    const after = Math.min(this.layout.segmentBytes / pageBytes, Math.max(0, before + pages));
    this.#live[segment] = after;
    this.#liveTotal += after - before;
  }

  // per segment: u8 state · u8 0 · u16 0 · u32 live pages · u32 uses · u32 stamp / 256, rounded up: never taken for older
  encode(): Uint8Array {
    const writer = new Writer(this.#states.length * storedBytes);
    for (let segment = 0; segment < this.#states.length; segment++) {
      writer.u8(this.#states[segment] as number);
      writer.u8(0);
      writer.u16(0);
      writer.u32(this.#live[segment] as number);
      writer.u32(this.#uses[segment] as number);
      writer.u32(Math.min(0xffff_ffff, Math.ceil((this.#stamps[segment] as number) / 256)));
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
      reader.u8();
      reader.u16();
      // Emptied while that checkpoint was taken: whatever is found there when it is looked at again counts.
      this.#states[segment] = state === segmentStates.emptied ? segmentStates.log : state;
      this.setLive(segment, Math.min(reader.u32(), this.layout.segmentBytes / pageBytes));
      this.#uses[segment] = reader.u32();
      this.#stamps[segment] = reader.u32() * 256;
    }
  }
}
