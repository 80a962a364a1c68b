import assert from 'node:assert/strict';
import { crc32c } from '../../../src/base/crc32c.ts';
import { type ArcId, blockBytes, type ClusterId, type CoreletId, type VolumeId } from '../../../src/base/ids.ts';
import { Prng } from '../../../src/base/prng.ts';
import type { Clock, Timer } from '../../../src/ports/clock.ts';
import type { Flash } from '../../../src/ports/flash.ts';
import { MapSpace } from '../../../src/store/map-space.ts';
import { Store } from '../../../src/store/store.ts';
import type { ArcCheckpoint, RecoveryVisitor, StoredEntry, StoreOwner } from '../../../src/store/types.ts';

export const cluster = '1'.repeat(32) as ClusterId;
export const corelet = '2'.repeat(32) as CoreletId;
export const volume = 0xabc as VolumeId;
const arcs = 3;
const term = 1;
const kind = 2;

/** The clock of one life of a process: `stop` ends it, and nothing that waits goes on. */
export class LifeClock implements Clock {
  readonly #clock: Clock;
  #stopped = false;
  constructor(clock: Clock) {
    this.#clock = clock;
  }
  stop(): void {
    this.#stopped = true;
  }
  nowMs = (): number => this.#clock.nowMs();
  wallMs = (): number => this.#clock.wallMs();
  soon(run: () => void): void {
    this.#clock.soon(() => this.#go(run));
  }
  after(delayMs: number, run: () => void): Timer {
    return this.#stopped ? { cancel: () => undefined } : this.#clock.after(delayMs, () => this.#go(run));
  }
  #go(run: () => void): void {
    if (!this.#stopped) run();
  }
}

/** Makes a device with segments of 4 MiB. */
export async function formatDevice(flash: Flash, seed = 1): Promise<void> {
  const options = { cluster, corelet, founding: new Uint8Array(40), segmentBytes: 4 * 1024 * 1024 };
  await Store.format(flash, options, new Prng(seed));
}

/** Contents that writes take from: making them would cost more than writing them. */
const pooledBlocks = 97;
const pool = new Uint8Array(pooledBlocks * blockBytes).map((_, i) => (i * 7 + (i >>> 12) * 31) & 255);
const poolCrcs = Uint32Array.from({ length: pooledBlocks }, (_, i) =>
  crc32c(pool.subarray(i * blockBytes, (i + 1) * blockBytes)),
);

/** What a Corelet with one voter per arc does with its store: an entry is applied as soon as it is durable. */
export class DeviceWriter implements StoreOwner, RecoveryVisitor {
  readonly space = new MapSpace(256 * 1024);
  store!: Store;
  failure: Error | undefined;
  /** The process has ended: nothing goes on. */
  isOver = false;
  readonly #logs = Array.from({ length: arcs }, () => ({ index: 0, applied: 0, tail: [] as StoredEntry[] }));

  static async open(flash: Flash, clock: Clock): Promise<DeviceWriter> {
    const writer = new DeviceWriter();
    const opened = await Store.open(flash, { clock }, writer, writer.space);
    assert.ok(opened.ok, opened.ok ? '' : opened.message);
    writer.store = opened.store;
    opened.store.onFailed((error) => {
      writer.failure = error;
    });
    opened.store.attach(writer);
    return writer;
  }

  #log(arc: ArcId) {
    const log = this.#logs[arc];
    assert.ok(log !== undefined);
    return log;
  }

  arcs = (): Iterable<ArcId> => this.#logs.map((_, arc) => arc as ArcId);
  checkpointMark = (arc: ArcId): string => `${this.#log(arc).applied} ${this.#log(arc).index}`;
  checkpoint(arc: ArcId): ArcCheckpoint {
    const { applied, tail } = this.#log(arc);
    return { state: new Uint8Array(Float64Array.of(applied).buffer), hardState: new Uint8Array(8), tail: [...tail] };
  }
  appliedIndex = (arc: ArcId): number => this.#log(arc).applied;
  holds(from: number, to: number): boolean {
    return this.#logs.some(({ tail }) => tail.some(({ position = -1 }) => position >= from && position < to));
  }
  freed(): void {}

  arcCheckpoint(arc: ArcId, { state, tail }: ArcCheckpoint): void {
    const log = this.#log(arc);
    log.index = new Float64Array(state.slice().buffer)[0] as number;
    log.applied = log.index;
    for (const entry of tail) this.entry(entry);
  }
  entry({ arc, index, range, position, crcs }: StoredEntry): void {
    const log = this.#log(arc);
    log.index = index;
    log.applied = index;
    if (range !== undefined && position !== undefined) this.space.of(arc).set(range, position, index, crcs);
  }
  truncated(): void {}
  hardState(): void {}
  arcState(): void {}
  chunkCopy(): void {}
  register(): void {}

  /** Appends one write; where its first block will be. Applied when durable. */
  write(chunk: number, firstBlock: number, blockCount: number, seed: number): number {
    const arc = (chunk % arcs) as ArcId;
    const log = this.#log(arc);
    const from = seed % (pooledBlocks - blockCount);
    const data = pool.subarray(from * blockBytes, (from + blockCount) * blockBytes);
    const crcs = poolCrcs.slice(from, from + blockCount);
    const index = ++log.index;
    const range = { volume, layer: 0, chunk, firstBlock, blockCount };
    const entry = { arc, term, index, kind, commit: log.applied, head: new Uint8Array(20), range, crcs };
    const position = this.store.appendEntry({ ...entry, data: [data] });
    assert.ok(position !== undefined);
    log.tail.push({ ...entry, position });
    this.store.afterSync(() => {
      log.tail.shift();
      log.applied = index;
      this.space.of(arc).set(range, position, index, crcs);
    });
    return position;
  }

  synced(): Promise<void> {
    return new Promise((resolve) => {
      this.store.afterSync(resolve);
    });
  }

  /** Overwrites `chunks` chunks at random, `bytes` in all, waiting where the store says so. */
  async churn(prng: Prng, chunks: number, bytes: number): Promise<void> {
    for (let left = bytes; left > 0 && !this.isOver; ) {
      const blockCount = 1 + Math.floor(prng.fraction() * 24);
      while (!this.isOver && this.store.roomFor(blockCount * blockBytes) === 'busy') {
        await this.synced();
        await turn();
      }
      if (this.store.roomFor(blockCount * blockBytes) === 'full') return;
      const firstBlock = Math.floor(prng.fraction() * (256 - blockCount));
      this.write(Math.floor(prng.fraction() * chunks), firstBlock, blockCount, left);
      left -= blockCount * blockBytes;
      if (prng.fraction() < 0.25) await this.synced();
    }
    await this.synced();
  }
}

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });
