import type { ArcId, VolumeId } from '../../src/base/ids.ts';
import { Prng } from '../../src/base/prng.ts';
import { MapSpace } from '../../src/store/map-space.ts';
import { writeMany } from './load.ts';
import { openStore } from './owner.ts';
import { type Payload, payloads } from './payloads.ts';
import { arcs, mapBytes, openDevice } from './setting.ts';

const blockBytes = 4096;
const chunksPerVolume = 1024 * 1024;
const looksEvery = 4096;
const settleMsMax = 10_000;

/** Of this process, in bytes, after a collection where it says so. */
export interface Memory {
  readonly rss: number;
  /** Taken for the JavaScript heap, used or not. */
  readonly heapTotal: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly arrayBuffers: number;
}

export interface BlocksWritten {
  readonly before: Memory;
  readonly after: Memory;
  readonly rssMax: number;
  /** Of the map: once writing has ended, at its highest while it went on, and at its highest while blocks were read. */
  readonly mapBytes: number;
  readonly mapBytesMax: number;
  readonly mapBytesMaxReading: number;
  readonly tableBytes: number;
  readonly chunks: number;
  readonly blocks: number;
  readonly writesPerSecond: number;
  readonly amplification: number;
  readonly busy: number;
  readonly readBack: number;
}

export interface TableFilled {
  readonly before: Memory;
  readonly after: Memory;
  readonly rssMax: number;
  readonly mapBytes: number;
  readonly tableBytes: number;
  readonly chunks: number;
  readonly groups: number;
  readonly seconds: number;
}

function memoryNow(): Memory {
  globalThis.gc?.();
  globalThis.gc?.();
  const { rss, heapTotal, heapUsed, external, arrayBuffers } = process.memoryUsage();
  return { rss, heapTotal, heapUsed, external, arrayBuffers };
}

const rssMax = (): number => process.resourceUsage().maxRSS * 1024;

/** Eviction goes on for a moment after the last write: waits until the map is within its setting, or for `settleMsMax`. */
async function settled(space: MapSpace): Promise<void> {
  const endMs = performance.now() + settleMsMax;
  while (space.bytes > space.bytesMax && performance.now() < endMs) await new Promise(setImmediate);
}

/** Random blocks over the whole of a volume that is far larger than the map may be; then some of them read back. */
export async function writeBlocks(path: string, volumeBlocks: number, writes: number): Promise<BlocksWritten> {
  const before = memoryNow();
  const owner = await openStore(await openDevice(path), arcs, mapBytes);
  const pool = payloads(64, 1);
  const random = new Prng(23);
  let mapBytesMax = 0;
  const { seconds, busy } = await writeMany(owner, {
    depth: 64,
    writesMax: writes,
    at: () => random.below(volumeBlocks),
    payload: (i) => {
      if (owner.space.bytes > mapBytesMax) mapBytesMax = owner.space.bytes;
      return pool[i % pool.length] as Payload;
    },
  });
  await settled(owner.space);
  const health = owner.store.health();
  const after = memoryNow();
  let chunks = 0;
  let blocks = 0;
  for (const map of owner.space.maps()) {
    chunks += map.chunkCount;
    blocks += map.blockCount;
  }
  const again = new Prng(23); // the same places, in the same order
  const into = new Uint8Array(blockBytes);
  const readBack = Math.min(20_000, writes);
  let mapBytesMaxReading = 0;
  for (let i = 0; i < readBack; i++) {
    const at = again.below(volumeBlocks);
    const page = await owner.space.of(owner.arcOf(at >>> 8)).load(owner.keyOf(at >>> 8));
    const position = page?.positions[at & 255] ?? 0;
    if (page === undefined || position === 0) throw new Error(`block ${at} was written, and is not in the map`);
    const read = await owner.store.readBlocks([position], [page.crcs[at & 255] as number], into);
    if (!read.ok) throw new Error(`block ${at}: ${read.code}`);
    if (owner.space.bytes > mapBytesMaxReading) mapBytesMaxReading = owner.space.bytes;
  }
  await owner.store.close();
  return {
    before,
    after,
    rssMax: rssMax(),
    mapBytes: health.mapBytes,
    mapBytesMax,
    mapBytesMaxReading,
    tableBytes: health.tableBytes,
    chunks,
    blocks,
    writesPerSecond: writes / seconds,
    amplification: health.deviceBytes / health.hostBytes,
    busy,
    readBack,
  };
}

/**
 * One block in each of so many chunks, volumes of 1 TiB one after the other, as applying entries does it. Pages go
 * to a device that keeps nothing: what is asked is what stays in memory when they are out of it.
 */
export async function fillTable(chunks: number): Promise<TableFilled> {
  const before = memoryNow();
  const startedMs = performance.now();
  const space = new MapSpace(mapBytes);
  let position = 0;
  const nothing = Promise.resolve();
  space.connect({
    read: () => Promise.resolve(false),
    append: () => (position += blockBytes),
    synced: () => nothing,
  });
  const crcs = Uint32Array.of(0x1234_5678);
  for (let i = 0; i < chunks; i++) {
    const volume = (1 + Math.floor(i / chunksPerVolume)) as VolumeId;
    const range = { volume, layer: 0, chunk: i % chunksPerVolume, firstBlock: i % 256, blockCount: 1 };
    space.of((i % arcs) as ArcId).set(range, (i + 1) * blockBytes, i + 1, crcs);
    if (i % looksEvery === 0 || space.overloaded) await new Promise(setImmediate);
  }
  await settled(space);
  const seconds = (performance.now() - startedMs) / 1000;
  const after = memoryNow();
  let known = 0;
  let groups = 0;
  for (const map of space.maps()) {
    known += map.chunkCount;
    for (const _ of map.groups()) groups++;
  }
  const { bytes, tableBytes } = space;
  return { before, after, rssMax: rssMax(), mapBytes: bytes, tableBytes, chunks: known, groups, seconds };
}
