import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { VolumeId } from '../../../src/base/ids.ts';
import { damagedPosition } from '../../../src/store/map-page.ts';
import { MapSpace } from '../../../src/store/map-space.ts';
import type { ArcMap } from '../../../src/store/map.ts';
import type { BlockRange, ChunkMap, StoredChunkCopy } from '../../../src/store/types.ts';
import { arcId, rangeOf } from './workload.ts';

interface Change {
  readonly kind: 'set' | 'clear' | 'copy';
  readonly range: BlockRange;
  readonly version: number;
}

const changes = fc
  .uniqueArray(
    fc.record({
      kind: fc.constantFrom('set', 'clear', 'copy'),
      chunk: fc.integer({ min: 0, max: 1 }),
      first: fc.integer({ min: 0, max: 12 }),
      count: fc.integer({ min: 1, max: 4 }),
      version: fc.integer({ min: 1, max: 1000 }),
    }),
    { selector: (change) => change.version, maxLength: 30 },
  )
  .map((list) =>
    list.map(({ kind, chunk, first, count, version }): Change => {
      return { kind: kind as Change['kind'], range: rangeOf(chunk, first, count), version };
    }),
  );

function positionOf(version: number): number {
  return version * 16 * 4096;
}

function apply(map: ArcMap, change: Change): void {
  const { range, version } = change;
  const crcs = Uint32Array.from({ length: range.blockCount }, (_, i) => version * 100 + i);
  if (change.kind === 'set') map.set(range, positionOf(version), version, crcs);
  else if (change.kind === 'clear') map.clear(range, version);
  else {
    const copy: StoredChunkCopy = {
      arc: arcId(1),
      key: range,
      blocks: Uint16Array.from({ length: range.blockCount }, (_, i) => range.firstBlock + i),
      versions: new Float64Array(range.blockCount).fill(version),
      crcs,
      emptyBlocks: Uint16Array.of(20),
      emptyVersions: Float64Array.of(version),
      position: positionOf(version),
    };
    map.applyCopy(copy);
  }
}

function contents(map: ArcMap): ChunkMap[] {
  const pages = [...map.keys()].map((key) => map.get(key) as ChunkMap);
  return pages.sort((a, b) => a.key.chunk - b.key.chunk);
}

test('changes in any order, any number of times, give the same map: the newest version of every block', () => {
  fc.assert(
    fc.property(changes, fc.infiniteStream(fc.nat()), (list, picks) => {
      const inOrder = new MapSpace(Number.POSITIVE_INFINITY).of(arcId(0));
      for (const change of list.toSorted((a, b) => a.version - b.version)) apply(inOrder, change);
      const shuffled = new MapSpace(Number.POSITIVE_INFINITY).of(arcId(0));
      for (const change of list) apply(shuffled, change);
      for (let i = 0; i < list.length; i++) {
        apply(shuffled, list[(picks.next().value as number) % list.length] as Change);
      }
      assert.deepEqual(contents(shuffled), contents(inOrder));
      const mapped = contents(inOrder).flatMap((chunk) => [...chunk.positions].filter((position) => position !== 0));
      assert.equal(inOrder.blockCount, mapped.length);
      assert.equal(shuffled.blockCount, mapped.length);
      for (const chunk of contents(inOrder)) assert.equal(chunk.newest, Math.max(...chunk.versions));
    }),
  );
});

test('a trim leaves its version, so that an older write that comes late stays dead', () => {
  const map = new MapSpace(Number.POSITIVE_INFINITY).of(arcId(0));
  map.set(rangeOf(0, 0, 2), 8192, 3, Uint32Array.of(1, 2));
  map.clear(rangeOf(0, 0, 1), 5);
  map.set(rangeOf(0, 0, 1), 65536, 4, Uint32Array.of(9));
  const chunk = map.get(rangeOf(0, 0, 1));
  assert.deepEqual([chunk?.positions[0], chunk?.versions[0], chunk?.newest, map.blockCount], [0, 5, 5, 1]);
});

test('dropping a volume forgets its blocks and no others', () => {
  const map = new MapSpace(Number.POSITIVE_INFINITY).of(arcId(0));
  const other = 77 as VolumeId;
  map.set(rangeOf(0, 0, 2), 8192, 1, Uint32Array.of(1, 2));
  map.set(rangeOf(1, 0, 1), 81920, 1, Uint32Array.of(1));
  map.set({ ...rangeOf(0, 0, 1), volume: other }, 40960, 1, Uint32Array.of(1));
  assert.deepEqual([map.blockCount, map.chunkCount], [4, 3]);
  map.dropVolume(rangeOf(0, 0, 1).volume);
  assert.deepEqual([map.blockCount, map.chunkCount], [1, 1]);
  assert.equal(map.get(rangeOf(0, 0, 1)), undefined);
  map.dropAll();
  assert.deepEqual([map.blockCount, [...map.keys()].length], [0, 0]);
});

test('a block that was moved is not taken for the newest where its map page is lost: hosts would read older data', async () => {
  const space = new MapSpace();
  const map = space.of(arcId(1));
  const range = rangeOf(0, 3, 1);
  map.pageWritten(range, 64 * 4096, 1, 50);
  space.connect({
    read: () => Promise.resolve(false),
    append: () => undefined,
    synced: () => Promise.resolve(),
  });
  map.moved(range, 3, 40, 0xffff_ffff, 80 * 4096);
  const page = await map.load(range);
  assert(page !== undefined);
  assert.deepEqual([page.positions[3], page.versions[3], page.newest], [damagedPosition, 0, 50]);
  map.set(range, 96 * 4096, 51, Uint32Array.of(7));
  assert.deepEqual([page.positions[3], page.versions[3]], [96 * 4096, 51]);
});
