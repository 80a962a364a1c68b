import type { ArcId } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Flash } from '../ports/flash.ts';
import type { Appender } from './appender.ts';
import type { DeviceMark } from './batch-header.ts';
import type { BlockReads } from './block-reads.ts';
import { anchorPositions, encodeAnchor, type LogStart } from './checkpoint.ts';
import type { LoadedCheckpoint } from './checkpoint-load.ts';
import { Cleaner } from './cleaner.ts';
import { Checkpointer } from './checkpointer.ts';
import { type Layout, segmentEnd, segmentStart } from './layout.ts';
import type { Log } from './log.ts';
import type { MapSpace } from './map-space.ts';
import type { Segments } from './segments.ts';
import type { StoreOwner } from './types.ts';

const intervalBytesMax = 256 * 1024 * 1024;
/** A small device has not so much log to read: a share of it. */
const intervalShare = 16;
/** New data waits when so many intervals of log were written while one checkpoint was taken. */
const behindFactor = 3;
/** Below so many free segments new data waits: the cleaner needs one for each generation, the log some to go on in. */
const reserveSegmentsMax = 6;
/** What is kept free beyond that, so that cleaning runs ahead: one in so many, but two at least. */
const wantedShare = 128;

/** Segments that stay free for the cleaner, and for what doesn't wait at the door. */
export function reserveSegmentsOf(segmentCount: number): number {
  return Math.min(reserveSegmentsMax, Math.floor(segmentCount / 3));
}

export interface UpkeepOptions {
  readonly flash: Flash;
  readonly clock: Clock;
  readonly layout: Layout;
  readonly mark: DeviceMark;
  readonly log: Log;
  readonly append: Appender;
  readonly reads: BlockReads;
  readonly space: MapSpace;
  readonly segments: Segments;
  readonly registers: ReadonlyMap<string, Uint8Array>;
  readonly owner: StoreOwner;
  readonly loaded: LoadedCheckpoint | undefined;
  /** So much was written to the device beside the log. */
  wrote(bytes: number): void;
}

/** What keeps a device going: checkpoints when so much was written, and space given back when it gets short. */
export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #checkpointer: Checkpointer;
  readonly #intervalBytes: number;
  readonly #cleaner: Cleaner;
  #sinceBytes = 0;
  /** Up to where the log says that each arc was applied. */
  readonly #marked = new Map<ArcId, number>();
  #freedSegments = 0;
  #stopped = false;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    const { layout } = options;
    this.#intervalBytes = Math.min(intervalBytesMax, (layout.segmentCount * layout.segmentBytes) / intervalShare);
    const device = {
      begin: () => this.#begin(),
      sequence: () => options.log.openBatch().sequence,
      appendTable: options.append.table.bind(options.append),
      synced: () => options.log.synced(),
      writeAnchor: async (anchor: Parameters<typeof encodeAnchor>[1]): Promise<void> => {
        const page = encodeAnchor(options.mark, anchor);
        for (const position of anchorPositions[anchor.number % anchorPositions.length] ?? []) {
          await options.flash.writeDurably(position, [page]);
          options.wrote(page.length);
        }
      },
    };
    const { clock, space, segments, owner, loaded } = options;
    this.#checkpointer = new Checkpointer(clock, device, space, segments, owner, loaded);
    const { flash, mark, log } = options;
    const reserveSegments = reserveSegmentsOf(layout.segmentCount);
    this.#cleaner = new Cleaner({
      flash,
      clock,
      mark,
      space,
      segments,
      checkpointer: this.#checkpointer,
      owner,
      reserveSegments,
      wantedSegments: reserveSegments + Math.max(2, Math.ceil(layout.segmentCount / wantedShare)),
      freeSegments: () => log.freeSegments,
      logSegments: () => log.segments,
      sequence: () => log.sequence,
      takeSegment: () => {
        const segment = log.takeFree();
        return segment === undefined ? undefined : { segment, sequence: log.sequence };
      },
      appendMoved: (moved) => options.append.moved(moved),
      appendFreed: (freed) => this.#appendFreed(freed),
      giveFree: (freed) => this.#giveFree(freed),
      wrote: (bytes) => options.wrote(bytes),
      failed: (error) => this.#failed(error),
    });
  }

  /**
   * What was in the segments is elsewhere, or was replaced by what an arc applied: a restart has to apply as much, or it
   * would look for what isn't there any more.
   */
  async #appendFreed(freed: readonly number[]): Promise<void> {
    const { log, append, owner, segments } = this.#options;
    for (const arc of owner.arcs()) {
      const index = owner.appliedIndex(arc);
      if (this.#marked.get(arc) === index) continue;
      if (!append.applied(arc, index)) break;
      this.#marked.set(arc, index);
    }
    for (const segment of freed) {
      if (!append.freed(segment)) break;
      // At once: a checkpoint that is encoded behind this must not know better. The log gets it when it is durable.
      segments.free(segment);
    }
    await log.synced();
  }

  async #giveFree(freed: readonly number[]): Promise<void> {
    const { log, owner, layout, reads } = this.#options;
    for (const segment of freed) owner.freed(segmentStart(layout, segment), segmentEnd(layout, segment));
    await reads.ended();
    for (const segment of freed) log.giveFree(segment);
    this.#freedSegments += freed.length;
  }

  get checkpointNumber(): number {
    return this.#checkpointer.number;
  }

  /** Given back since the start. */
  get freedSegments(): number {
    return this.#freedSegments;
  }
  get movedBlocks(): number {
    return this.#cleaner.movedBlocks;
  }

  stop(): void {
    this.#stopped = true;
    this.#cleaner.stop();
  }

  /** So much of the log became durable. */
  wrote(bytes: number): void {
    this.#sinceBytes += bytes;
    this.#cleaner.poke();
    if (this.#checkpointer.running) {
      if (this.#sinceBytes > this.#intervalBytes) this.#checkpointer.hurry();
      return;
    }
    if (this.#stopped || this.#sinceBytes < this.#intervalBytes) return;
    void this.#checkpointer.run(false).catch((error: unknown) => this.#failed(error));
  }

  /** Never resolves after a failure, or when the device is closed before it is done. */
  async checkpoint(): Promise<void> {
    try {
      await this.#checkpointer.run(true);
    } catch (error) {
      this.#failed(error);
      await new Promise(() => {});
    }
  }

  /**
   * Takes a checkpoint where a copy of a piece of the newest one isn't whole, or where `anew`: then a restart reads nothing that was
   * written before. @returns how many copies weren't whole. Never resolves after a failure, like `checkpoint`.
   */
  async mend(anew: boolean): Promise<number> {
    const { flash, mark } = this.#options;
    try {
      const damaged = await this.#checkpointer.damaged(flash, mark);
      if (damaged === 0 && !anew) return 0;
      if (this.#checkpointer.running) await this.#checkpointer.run(false); // it may be past what is to be written anew
      await this.#checkpointer.run(false);
      return damaged;
    } catch (error) {
      this.#failed(error);
      return new Promise(() => {});
    }
  }

  /** A write beside the log failed; that the device was closed meanwhile is no failure. */
  #failed(error: unknown): void {
    if (!this.#stopped) this.#options.log.fail(error);
  }

  /** The log runs ahead of the checkpoints: a restart would have to read more and more of it. */
  get isBehind(): boolean {
    return this.#checkpointer.running && this.#sinceBytes > behindFactor * this.#intervalBytes;
  }

  /** Whether waiting may bring space. */
  mayFree(): boolean {
    this.#cleaner.poke();
    return this.#cleaner.mayFree();
  }

  #begin(): LogStart | undefined {
    const { log, append, registers } = this.#options;
    this.#sinceBytes = 0;
    if (!append.cut({ sequence: 0, position: 0 })) return undefined;
    const start = log.openBatch();
    for (const [name, value] of registers) if (!append.register(name, value)) return undefined;
    return start;
  }
}
