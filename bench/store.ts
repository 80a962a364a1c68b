import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { crc32c } from '../src/base/crc32c.ts';
import type { ArcId, ClusterId, CoreletId, VolumeId } from '../src/base/ids.ts';
import { Prng } from '../src/base/prng.ts';
import { createClock } from '../src/platform/clock.ts';
import { openFlashFile } from '../src/platform/flash-file.ts';
import { MapSpace } from '../src/store/map-space.ts';
import { Store } from '../src/store/store.ts';
import type { ArcCheckpoint, RecoveryVisitor, StoredEntry, StoreOwner } from '../src/store/types.ts';

const gibibyte = 1024 ** 3;
const blockBytes = 4096;
const arc = 0 as ArcId;
const volume = 1 as VolumeId;
const block = new Uint8Array(blockBytes).map((_, i) => i * 7);
const crcs = Uint32Array.of(crc32c(block));
const head = new Uint8Array(40);
const clock = createClock();

/** One arc whose entries are applied as soon as they are durable. */
class Owner implements StoreOwner, RecoveryVisitor {
  index = 0;
  applied = 0;
  readonly space: MapSpace;
  store!: Store;
  constructor(space: MapSpace) {
    this.space = space;
  }
  arcs = (): Iterable<ArcId> => [arc];
  checkpointMark = (): string => `${this.applied} ${this.index}`;
  readonly #tail: StoredEntry[] = [];
  checkpoint = (): ArcCheckpoint => ({
    state: new Uint8Array(Float64Array.of(this.applied).buffer),
    hardState: new Uint8Array(8),
    tail: [...this.#tail],
  });
  holds = (from: number, to: number): boolean =>
    this.#tail.some(({ position }) => position !== undefined && position >= from && position < to);
  freed(): void {}
  arcCheckpoint(_arc: ArcId, checkpoint: ArcCheckpoint): void {
    this.index = new Float64Array(checkpoint.state.slice().buffer)[0] as number;
    this.applied = this.index;
    for (const entry of checkpoint.tail) this.entry(entry);
  }
  entry(entry: StoredEntry): void {
    this.index = entry.index;
    this.applied = entry.index;
    if (entry.range !== undefined)
      this.space.of(arc).set(entry.range, entry.position as number, entry.index, entry.crcs);
  }
  truncated(): void {}
  hardState(): void {}
  arcState(): void {}
  chunkCopy(): void {}
  register(): void {}

  write(at: number, count: number, data: Uint8Array, dataCrcs: Uint32Array, done: () => void): void {
    const index = ++this.index;
    const range = { volume, layer: 0, chunk: Math.floor(at / 256), firstBlock: at % 256, blockCount: count };
    const record = { arc, term: 1, index, kind: 2, commit: this.applied, head, range, crcs: dataCrcs };
    const position = this.store.appendEntry({ ...record, data: [data] }) as number;
    this.#tail.push({ ...record, position });
    this.store.afterSync(() => {
      this.#tail.shift();
      this.applied = index;
      this.space.of(arc).set(range, position, index, dataCrcs);
      done();
    });
  }
}

async function open(path: string, sizeBytes: number, format: boolean, mapBytes: number): Promise<Owner> {
  const opened = await openFlashFile(path, format ? { sizeBytes, create: true } : {});
  if (!opened.ok) throw new Error(opened.message);
  if (format) {
    const identity = { cluster: '1'.repeat(32) as ClusterId, corelet: '2'.repeat(32) as CoreletId };
    await Store.format(opened.flash, { ...identity, founding: new Uint8Array(0) }, new Prng(1));
  }
  const owner = new Owner(new MapSpace(mapBytes));
  const result = await Store.open(opened.flash, { clock }, owner, owner.space);
  if (!result.ok) throw new Error(result.message);
  owner.store = result.store;
  owner.store.attach(owner);
  return owner;
}

/** `depth` writes under way at a time; `next` tells where each goes. Returns the writes per second. */
async function writeMany(owner: Owner, writes: number, depth: number, next: (i: number) => number): Promise<number> {
  const startedMs = performance.now();
  let begun = 0;
  let ended = 0;
  await new Promise<void>((resolve, reject) => {
    owner.store.onFailed(reject);
    const go = (): void => {
      if (begun >= writes) return;
      const room = owner.store.roomFor(blockBytes);
      if (room === 'full') return reject(new Error(`full: ${JSON.stringify(owner.store.health())}`));
      if (room === 'busy') return void setTimeout(go, 1);
      owner.write(next(begun++), 1, block, crcs, () => {
        if (++ended === writes) resolve();
        else go();
      });
    };
    for (let i = 0; i < depth; i++) go();
  });
  return writes / ((performance.now() - startedMs) / 1000);
}

async function writeAmplification(path: string, sizeBytes: number, skewed: boolean): Promise<number> {
  const owner = await open(path, sizeBytes, true, 64 * 1024 * 1024);
  const blocks = Math.floor((sizeBytes * 0.8) / blockBytes);
  const random = new Prng(3);
  await writeMany(owner, blocks, 64, (i) => i);
  const hot = Math.floor(blocks / 10);
  const pick = (): number => {
    if (!skewed) return random.below(blocks);
    return random.fraction() < 0.9 ? random.below(hot) : hot + random.below(blocks - hot);
  };
  await writeMany(owner, 2 * blocks, 16, pick);
  const before = owner.store.health();
  await writeMany(owner, blocks, 16, pick);
  const after = owner.store.health();
  await owner.store.close();
  rmSync(path);
  return (after.deviceBytes - before.deviceBytes) / (after.hostBytes - before.hostBytes);
}

async function main(): Promise<void> {
  const folder = process.argv[2] ?? '.';
  const memory = process.argv[3] ?? '/dev/shm';
  const what = (process.argv[4] ?? 'writes,amplification,restart').split(',');
  const path = join(folder, 'bench-store.flash');
  if (what.includes('amplification')) {
    for (const skewed of [false, true]) {
      const amplification = await writeAmplification(join(memory, 'bench-store.flash'), 1 * gibibyte, skewed);
      console.log(`write amplification, 80 % full, ${skewed ? '90/10' : 'uniform'} 4 KiB: ${amplification.toFixed(2)}`);
    }
  }
  if (what.includes('writes')) {
    const owner = await open(path, 8 * gibibyte, true, 64 * 1024 * 1024);
    const random = new Prng(9);
    const perSecond = await writeMany(owner, 40_000, 16, () => random.below(1_000_000));
    console.log(`4 KiB random durable writes, depth 16: ${perSecond.toFixed(0)}/s`);
    await owner.store.close();
    rmSync(path);
    const fio = spawnSync('fio', [
      ...['--name=w', `--filename=${path}`, '--size=1G', '--rw=randwrite', '--bs=4k', '--iodepth=16', '--direct=1'],
      ...['--ioengine=libaio', '--sync=dsync', '--runtime=10', '--time_based', '--output-format=json'],
    ]);
    rmSync(path, { force: true });
    if (fio.status === 0) {
      const report = JSON.parse(fio.stdout.toString()) as { jobs: { write: { iops: number } }[] };
      console.log(`fio, libaio, direct, dsync, depth 16: ${report.jobs[0]?.write.iops.toFixed(0)}/s`);
    } else console.log(`fio: ${fio.error?.message ?? fio.stderr.toString()}`);
  }
  if (what.includes('restart')) {
    const bytes = 10 * gibibyte;
    let owner = await open(path, 16 * gibibyte, true, 64 * 1024 * 1024);
    const random = new Prng(9);
    await writeMany(owner, bytes / blockBytes, 256, () => random.below((11 * gibibyte) / blockBytes));
    // As kill -9 leaves it: the process's memory is gone, the system's cache isn't.
    await owner.store.close();
    const startedMs = performance.now();
    owner = await open(path, 0, false, 64 * 1024 * 1024);
    const tookMs = performance.now() - startedMs;
    const { records, checkpoint } = owner.store.recovery;
    console.log(
      `restart after 10 GiB in 4 KiB entries: ${tookMs.toFixed(0)} ms (${records} records, checkpoint ${checkpoint})`,
    );
    await owner.store.close();
    rmSync(path);
  }
}

await main();
