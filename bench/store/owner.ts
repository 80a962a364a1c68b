import {
  type ArcId,
  blockBytes,
  type ClusterId,
  type CoreletId,
  type LogIndex,
  type VolumeId,
} from '../../src/base/ids.ts';
import { Prng } from '../../src/base/prng.ts';
import { createClock } from '../../src/platform/clock.ts';
import type { Flash } from '../../src/ports/flash.ts';
import { MapSpace } from '../../src/store/map-space.ts';
import { Store } from '../../src/store/store.ts';
import type { Superblock } from '../../src/store/superblock.ts';
import type { ArcCheckpoint, ChunkKey, RecoveryVisitor, StoredEntry, StoreOwner } from '../../src/store/types.ts';
import type { Payload } from './payloads.ts';

export const cluster = '1'.repeat(32) as ClusterId;
const corelet = '2'.repeat(32) as CoreletId;
export const volume = 1 as VolumeId;
/** As long as what an arc says of a write. */
const head = new Uint8Array(40);
const hardState = new Uint8Array(24);
const entryKind = 2;
const blocksPerChunk = 256;

interface ArcLog {
  readonly arc: ArcId;
  index: LogIndex;
  applied: LogIndex;
  /** Appended, not durable yet, oldest first. */
  readonly tail: StoredEntry[];
}

/**
 * Arcs of one voter each: an entry is committed and applied as soon as it is durable. Consecutive chunks lie on
 * different arcs, as on a Corelet.
 */
export class Owner implements StoreOwner, RecoveryVisitor {
  readonly space: MapSpace;
  store!: Store;
  superblock!: Superblock;
  /** What a restart read of the log, checkpoint aside. */
  replayedEntries = 0;
  replayedBytes = 0;
  readonly #arcs: ArcLog[] = [];

  constructor(arcs: number, mapBytes: number) {
    this.space = new MapSpace(mapBytes);
    for (let arc = 0; arc < arcs; arc++) this.#arcs.push({ arc: arc as ArcId, index: 0, applied: 0, tail: [] });
  }

  #of(arc: ArcId): ArcLog {
    return this.#arcs[arc] as ArcLog;
  }

  /** Entries appended, over all arcs. */
  get entries(): number {
    let entries = 0;
    for (const { index } of this.#arcs) entries += index;
    return entries;
  }

  arcOf(chunk: number): ArcId {
    return (chunk % this.#arcs.length) as ArcId;
  }

  keyOf(chunk: number): ChunkKey {
    return { volume, layer: 0, chunk };
  }

  // ---- what the store asks --------------------------------------------------------------------------------------------

  arcs = (): Iterable<ArcId> => this.#arcs.map(({ arc }) => arc);
  checkpointMark(arc: ArcId): string {
    const { applied, index } = this.#of(arc);
    return `${applied} ${index}`;
  }
  checkpoint(arc: ArcId): ArcCheckpoint {
    const { applied, tail } = this.#of(arc);
    return { state: new Uint8Array(Float64Array.of(applied).buffer), hardState, tail: [...tail] };
  }
  appliedIndex(arc: ArcId): LogIndex {
    return this.#of(arc).applied;
  }
  holds(from: number, to: number): boolean {
    return this.#arcs.some(({ tail }) => tail.some(({ position = -1 }) => position >= from && position < to));
  }
  freed(): void {}

  // ---- what a restart tells -------------------------------------------------------------------------------------------

  arcCheckpoint(arc: ArcId, checkpoint: ArcCheckpoint): void {
    const log = this.#of(arc);
    log.index = new Float64Array(checkpoint.state.slice().buffer)[0] as number;
    log.applied = log.index;
    for (const entry of checkpoint.tail) this.entry(entry);
  }
  entry(entry: StoredEntry): void {
    this.replayedEntries++;
    this.replayedBytes += entry.crcs.length * blockBytes;
    const log = this.#of(entry.arc);
    log.index = entry.index;
    log.applied = entry.index;
    if (entry.range !== undefined && entry.position !== undefined)
      this.space.of(entry.arc).set(entry.range, entry.position, entry.index, entry.crcs);
  }
  truncated(): void {}
  hardState(): void {}
  arcState(): void {}
  chunkCopy(): void {}
  register(): void {}

  // ---- what the load does ---------------------------------------------------------------------------------------------

  /** Writes `payload` at block `at` of the volume, within one chunk. `done` when it is durable and applied. */
  write(at: number, payload: Payload, done: () => void): void {
    const chunk = Math.floor(at / blocksPerChunk);
    const { data, crcs } = payload;
    const log = this.#of(this.arcOf(chunk));
    const { arc } = log;
    const index = ++log.index;
    const range = { volume, layer: 0, chunk, firstBlock: at % blocksPerChunk, blockCount: crcs.length };
    const commit = log.applied;
    const position = this.store.appendEntry({ arc, term: 1, index, kind: entryKind, commit, head, range, crcs, data });
    if (position === undefined) return; // failed: `onFailed` says so
    log.tail.push({ arc, term: 1, index, kind: entryKind, commit, head, range, crcs, position });
    this.store.afterSync(() => {
      log.tail.shift();
      log.applied = index;
      this.space.of(arc).set(range, position, index, crcs);
      done();
    });
  }
}

/** Makes the device a Corelet's; whatever was on it is gone. `segmentBytes`: by default what the store chooses. */
export async function format(flash: Flash, segmentBytes?: number): Promise<void> {
  const options = {
    cluster,
    corelet,
    founding: new Uint8Array(0),
    ...(segmentBytes === undefined ? {} : { segmentBytes }),
  };
  await Store.format(flash, options, new Prng(1));
}

/** Opens a formatted device and lets the store begin to checkpoint and clean. @throws when it is refused */
export async function openStore(flash: Flash, arcs: number, mapBytes: number): Promise<Owner> {
  const owner = new Owner(arcs, mapBytes);
  const result = await Store.open(flash, { clock: createClock() }, owner, owner.space);
  if (!result.ok) throw new Error(result.message);
  owner.store = result.store;
  owner.superblock = result.superblock;
  owner.store.attach(owner);
  return owner;
}
