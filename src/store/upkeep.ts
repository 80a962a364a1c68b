import { crc32c } from '../base/crc32c.ts';
import type { ArcId } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Flash } from '../ports/flash.ts';
import type { DeviceMark } from './batch-header.ts';
import type { BlockReads } from './block-reads.ts';
import { anchorPositions, encodeAnchor, type LogStart } from './checkpoint.ts';
import type { LoadedCheckpoint } from './checkpoint-load.ts';
import { Cleaner } from './cleaner.ts';
import { Checkpointer } from './checkpointer.ts';
import { type Layout, pageBytes, pagesFor } from './layout.ts';
import type { Log } from './log.ts';
import type { MapSpace } from './map-space.ts';
import * as records from './records.ts';
import { type Segments, segmentStates } from './segments.ts';
import type { ChunkKey, StoreOwner } from './types.ts';

const intervalBytesMax = 256 * 1024 * 1024;
/** A small device has not so much log to read: a share of it. */
const intervalShare = 8;
/** Below so many free segments space is short. */
const cleaningSegments = 4;

export interface UpkeepOptions {
  readonly flash: Flash;
  readonly clock: Clock;
  readonly layout: Layout;
  readonly mark: DeviceMark;
  readonly log: Log;
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
  #stopped = false;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    const { layout } = options;
    this.#intervalBytes = Math.min(intervalBytesMax, (layout.segmentCount * layout.segmentBytes) / intervalShare);
    const device = {
      begin: () => this.#begin(),
      sequence: () => options.log.openBatch().sequence,
      appendTable: this.#appendTable.bind(this),
      synced: () => this.#synced(),
      writeAnchor: async (anchor: Parameters<typeof encodeAnchor>[1]): Promise<void> => {
        const page = encodeAnchor(options.mark, anchor);
        await options.flash.writeDurably(anchorPositions[anchor.number % 2] as number, [page]);
        options.wrote(page.length);
      },
      readsEnded: () => options.reads.ended(),
      giveFree: (segment: number) => options.log.giveFree(segment),
    };
    const { clock, space, segments, owner, loaded } = options;
    this.#checkpointer = new Checkpointer(clock, device, space, segments, owner, loaded);
    const { flash, mark, log, reads } = options;
    this.#cleaner = new Cleaner({
      flash,
      clock,
      layout,
      mark,
      reads,
      space,
      segments,
      checkpointer: this.#checkpointer,
      owner,
      reserveSegments: Math.min(cleaningSegments, Math.floor(layout.segmentCount / 4)),
      freeSegments: () => log.freeSegments,
      logSegments: () => log.segments,
      sequence: () => log.sequence,
      takeSegment: () => this.#takeSegment(),
      appendMoved: (moved) => this.#appendMoved(moved),
      wrote: (bytes) => options.wrote(bytes),
      failed: (error) => log.fail(error),
    });
  }

  #takeSegment(): { segment: number; sequence: number } | undefined {
    const { log, segments } = this.#options;
    const segment = log.takeFree();
    if (segment === undefined) return undefined;
    segments.take(segment, segmentStates.moved, log.sequence);
    return { segment, sequence: log.sequence };
  }

  #appendMoved(moved: records.MovedRecord): void {
    const { log } = this.#options;
    const batch = log.batchFor(records.movedBytes(moved.blocks.length), 0);
    if (batch === undefined) return;
    records.encodeMoved(batch.meta, moved);
    log.appended(0);
  }

  get checkpointNumber(): number {
    return this.#checkpointer.number;
  }

  stop(): void {
    this.#stopped = true;
    this.#cleaner.stop();
  }

  /** So much of the log became durable. */
  wrote(bytes: number): void {
    this.#sinceBytes += bytes;
    this.#cleaner.poke();
    if (this.#stopped || this.#sinceBytes < this.#intervalBytes || this.#checkpointer.running) return;
    this.#checkpointer.run(false).catch((error: unknown) => {
      this.#options.log.fail(error instanceof Error ? error : new Error(String(error)));
    });
  }

  async checkpoint(): Promise<void> {
    await this.#checkpointer.run(true);
  }

  /** Whether waiting may bring space. */
  mayFree(): boolean {
    this.#cleaner.poke();
    return this.#cleaner.mayFree();
  }

  #synced(): Promise<void> {
    return new Promise((resolve) => {
      this.#options.log.afterSync(resolve);
    });
  }

  #begin(): LogStart | undefined {
    const { log, registers } = this.#options;
    this.#sinceBytes = 0;
    const batch = log.batchFor(records.smallRecordBytes, 0);
    if (batch === undefined) return undefined;
    records.encodeCut(batch.meta, { sequence: 0, position: 0 });
    log.appended(0);
    const start = log.openBatch();
    for (const [name, value] of registers) {
      const next = log.batchFor(records.registerBytes(value), 0);
      if (next === undefined) return undefined;
      records.encodeRegister(next.meta, name, value);
      log.appended(0);
    }
    return start;
  }

  #appendTable(table: records.TableKind, arc: ArcId, key: ChunkKey, bytes: Uint8Array): records.TableRef | undefined {
    const { log } = this.#options;
    const dataBytes = pagesFor(bytes.length) * pageBytes;
    const batch = log.batchFor(records.pageRecordBytes, dataBytes);
    if (batch === undefined) return undefined;
    const ref = { position: batch.dataEnd, bytes: bytes.length, crc: crc32c(bytes) };
    records.encodeTable(batch.meta, { table, arc, key, ...ref }, batch.dataBytes / pageBytes);
    const padded = new Uint8Array(dataBytes);
    padded.set(bytes);
    batch.addData([padded]);
    log.appended(dataBytes);
    return ref;
  }
}
