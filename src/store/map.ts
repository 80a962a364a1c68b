import { assert } from '../base/assert.ts';
import { blockBytes, blocksPerChunk, type Version, type VolumeId } from '../base/ids.ts';
import type { BlockRange, ChunkKey, ChunkMap, DevicePosition, StoredChunkCopy } from './types.ts';

interface ChunkPage extends ChunkMap {
  newest: Version;
}

const layerMax = 0xf_ffff;
const chunkMax = 0xffff_ffff;
const two32 = 0x1_0000_0000;

/** Layer and chunk in one safe integer, so that a look-up allocates nothing. */
function pageKey(layer: number, chunk: number): number {
  assert(layer <= layerMax && chunk <= chunkMax, 'chunk number out of range');
  return layer * two32 + chunk;
}

/**
 * Where the blocks of one arc are: 5 KiB per chunk, in memory. All changes go by version, block by block: older ones do
 * nothing, so that they may come in any order and any number of times. Never persisted itself: rebuilt from the log.
 */
export class ArcMap {
  readonly #volumes = new Map<VolumeId, Map<number, ChunkPage>>();
  #blockCount = 0;
  #chunkCount = 0;

  /** Blocks that hold data. */
  get blockCount(): number {
    return this.#blockCount;
  }

  /** Chunks known, those that hold only tombstones included. */
  get chunkCount(): number {
    return this.#chunkCount;
  }

  /** The live page of a chunk: the next `set` changes it. Undefined when nothing was ever written or trimmed there. */
  get(key: ChunkKey): ChunkMap | undefined {
    return this.#volumes.get(key.volume)?.get(pageKey(key.layer, key.chunk));
  }

  #page(key: ChunkKey): ChunkPage {
    let pages = this.#volumes.get(key.volume);
    if (pages === undefined) {
      pages = new Map();
      this.#volumes.set(key.volume, pages);
    }
    const number = pageKey(key.layer, key.chunk);
    let page = pages.get(number);
    if (page === undefined) {
      page = {
        key: { volume: key.volume, layer: key.layer, chunk: key.chunk },
        positions: new Float64Array(blocksPerChunk),
        versions: new Float64Array(blocksPerChunk),
        crcs: new Uint32Array(blocksPerChunk),
        newest: 0,
      };
      pages.set(number, page);
      this.#chunkCount++;
    }
    return page;
  }

  #put(page: ChunkPage, block: number, position: DevicePosition, version: Version, crc: number): void {
    if ((page.versions[block] as number) >= version) return;
    const wasMapped = page.positions[block] !== 0;
    page.positions[block] = position;
    page.versions[block] = version;
    page.crcs[block] = crc;
    if (wasMapped !== (position !== 0)) this.#blockCount += wasMapped ? -1 : 1;
  }

  /** The range's blocks are at `firstPosition` and on, one after the other, with these CRCs, as of `version`. */
  set(range: BlockRange, firstPosition: DevicePosition, version: Version, crcs: Uint32Array): void {
    assert(range.firstBlock + range.blockCount <= blocksPerChunk, 'range beyond its chunk');
    assert(firstPosition > 0 && crcs.length === range.blockCount, 'a position and a CRC per block');
    const page = this.#page(range);
    for (let i = 0; i < range.blockCount; i++) {
      this.#put(page, range.firstBlock + i, firstPosition + i * blockBytes, version, crcs[i] as number);
    }
    if (version > page.newest) page.newest = version;
  }

  /** The range's blocks hold nothing as of `version`, which stays as their tombstone (design §10.6). */
  clear(range: BlockRange, version: Version): void {
    assert(range.firstBlock + range.blockCount <= blocksPerChunk, 'range beyond its chunk');
    const page = this.#page(range);
    for (let i = 0; i < range.blockCount; i++) this.#put(page, range.firstBlock + i, 0, version, 0);
    if (version > page.newest) page.newest = version;
  }

  /** Blocks copied from a peer: each takes its place if it is newer than what is there. */
  applyCopy(copy: StoredChunkCopy): void {
    const page = this.#page(copy.key);
    for (let i = 0; i < copy.blocks.length; i++) {
      const block = copy.blocks[i] as number;
      const version = copy.versions[i] as number;
      assert(block < blocksPerChunk && copy.position !== undefined, 'a copied block lies in its chunk');
      this.#put(page, block, copy.position + i * blockBytes, version, copy.crcs[i] as number);
      if (version > page.newest) page.newest = version;
    }
    for (let i = 0; i < copy.emptyBlocks.length; i++) {
      const block = copy.emptyBlocks[i] as number;
      const version = copy.emptyVersions[i] as number;
      assert(block < blocksPerChunk, 'an emptied block lies in its chunk');
      this.#put(page, block, 0, version, 0);
      if (version > page.newest) page.newest = version;
    }
  }

  /** Forgets a volume, tombstones included. */
  dropVolume(volume: VolumeId): void {
    const pages = this.#volumes.get(volume);
    if (pages === undefined) return;
    for (const page of pages.values()) {
      for (const position of page.positions) if (position !== 0) this.#blockCount--;
    }
    this.#chunkCount -= pages.size;
    this.#volumes.delete(volume);
  }

  /** Forgets one chunk, tombstones included (design §10.6: what the leader lacks). */
  dropChunk(key: ChunkKey): void {
    const pages = this.#volumes.get(key.volume);
    const number = pageKey(key.layer, key.chunk);
    const page = pages?.get(number);
    if (pages === undefined || page === undefined) return;
    for (const position of page.positions) if (position !== 0) this.#blockCount--;
    this.#chunkCount--;
    pages.delete(number);
    if (pages.size === 0) this.#volumes.delete(key.volume);
  }

  dropAll(): void {
    this.#volumes.clear();
    this.#blockCount = 0;
    this.#chunkCount = 0;
  }

  /** Every chunk, volume by volume. Chunks that come while it runs may or may not be seen. */
  *chunks(): IterableIterator<ChunkMap> {
    for (const pages of this.#volumes.values()) yield* pages.values();
  }
}
