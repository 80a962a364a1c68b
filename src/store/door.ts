import { blockBytes } from '../base/ids.ts';
import type { Layout } from './layout.ts';
import type { Log } from './log.ts';
import type { MapSpace } from './map-space.ts';
import { MovedLog } from './moved-log.ts';
import type { Segments } from './segments.ts';
import { storeLimits } from './types.ts';
import { reserveSegmentsOf, type Upkeep } from './upkeep.ts';

/**
 * `new` data where there was none, a `copy` of an arc's blocks, what is `replacing` other data, or what a leader has
 * `accepted` already: of the reserve that the others leave alone, it may take half.
 */
export type RoomPurpose = 'new' | 'copy' | 'replacing' | 'accepted';

/** Segments kept where nobody gives space back: for hard states, truncations, trims and deletes. */
const reserveSegmentsMin = 2;
const reserveShare = 32;
/** Of the space that isn't reserved, so much may hold data: the cleaner can't gain from segments without garbage. */
const usableShare = 0.92;
/** Copies of arcs may go so far beyond: a full device still heals. */
const copyShare = 1.04;
/** The log's segment, and the one that it goes to next. */
const logSegments = 2;

/** Says at the door what may come: a full device still heals, still deletes, and refuses only new data. */
export class Door {
  readonly #layout: Layout;
  readonly #log: Log;
  readonly #space: MapSpace;
  readonly #segments: Segments;

  constructor(layout: Layout, log: Log, space: MapSpace, segments: Segments) {
    this.#layout = layout;
    this.#log = log;
    this.#space = space;
    this.#segments = segments;
  }

  /** As `Store.roomFor`; `upkeep`: who gives space back, if anybody does yet. */
  roomFor(bytes: number, purpose: RoomPurpose, upkeep: Upkeep | undefined): 'ok' | 'busy' | 'full' {
    if (this.#log.failure !== undefined) return 'busy';
    if (upkeep !== undefined && this.#isFull(bytes, purpose)) return 'full';
    const reserveBytes = purpose === 'accepted' ? this.#reserveBytes(upkeep) / 2 : this.#reserveBytes(upkeep);
    if (this.#log.freeBytes - bytes < reserveBytes) return upkeep?.mayFree() === true ? 'busy' : 'full';
    if (this.#space.overloaded || upkeep?.isBehind === true) return 'busy';
    return this.#log.pendingBytes + bytes > storeLimits.pendingBytesMax ? 'busy' : 'ok';
  }

  /** Changes that aren't laid over their pages yet may replace what still counts: then it isn't full. */
  #isFull(bytes: number, purpose: RoomPurpose): boolean {
    if (purpose === 'replacing' || purpose === 'accepted') return false;
    const limitBytes = purpose === 'new' ? this.usableBytes : this.usableBytes * copyShare;
    const liveBytes = this.#segments.livePages * blockBytes + bytes;
    return liveBytes > limitBytes && liveBytes - this.#space.pendingDeltas * blockBytes > limitBytes;
  }

  /** Where nobody gives space back yet, more is kept. */
  #reserveBytes(upkeep: Upkeep | undefined): number {
    const { segmentCount, segmentBytes } = this.#layout;
    if (upkeep !== undefined) return reserveSegmentsOf(segmentCount) * segmentBytes;
    return Math.max(reserveSegmentsMin, Math.ceil(segmentCount / reserveShare)) * segmentBytes;
  }

  /** What may hold data at once: the rest is the reserve, segments that are being filled, and room for the cleaner. */
  get usableBytes(): number {
    const { segmentCount, segmentBytes } = this.#layout;
    const filling = logSegments + MovedLog.openSegmentsMax(segmentCount);
    return Math.max(0, segmentCount - reserveSegmentsOf(segmentCount) - filling) * segmentBytes * usableShare;
  }
}
