import { blocksPerChunk, type Version } from '../base/ids.ts';
import type { ChunkGroup } from './chunk-group.ts';
import { damagedPosition, emptyChunk, mappedBlocks } from './map-page.ts';
import type { ArcMap } from './map.ts';
import type { Segments } from './segments.ts';
import type { ChunkKey, ChunkMap, DevicePosition } from './types.ts';

/** What a whole page, or a chunk without one, takes of memory, about. */
export const pageMemoryBytes = 20 * blocksPerChunk + 500;
const chunkMemoryBytes = 400;
/** A change in a page that isn't loaded: block, whether it was only moved, and CRC in one number; position; version. */
const deltaNumbers = 3;
const deltasFirst = 4;
/** With more changes than this, a chunk that has no page on the device gets a whole one in memory. */
const deltasMax = 32;
const two32 = 0x1_0000_0000;
/** Added to a block's number where its change is a move: what is there was known before. */
const movedMark = blocksPerChunk;

/**
 * What memory has of a chunk: the whole page, or only the changes since the page on the device was written, so that
 * applying an entry never waits for a read.
 */
export class Chunk {
  readonly map: ArcMap;
  readonly group: ChunkGroup;
  readonly low: number;
  page: ChunkMap | undefined;
  newest: Version;
  /** Differs from its page on the device. */
  dirty = false;
  /** Used since the last look of whoever evicts. */
  referenced = false;
  /** Not in the map any more: whoever waits for it gets nothing. */
  dropped = false;
  loading: Promise<void> | undefined;
  /** Who waits for its page, and gets it before it is forgotten again. */
  waiting = 0;
  #deltas: Float64Array | undefined;
  #deltaCount = 0;

  constructor(map: ArcMap, group: ChunkGroup, low: number, newest: Version) {
    this.map = map;
    this.group = group;
    this.low = low;
    this.newest = newest;
  }

  get key(): ChunkKey {
    const { volume, layer } = this.group;
    return { volume, layer, chunk: this.group.numberOf(this.low) };
  }

  get memoryBytes(): number {
    const deltas = this.#deltas === undefined ? 0 : this.#deltas.byteLength;
    return chunkMemoryBytes + deltas + (this.page === undefined ? 0 : pageMemoryBytes);
  }

  /** Of what is known of the block without reading; 0: nothing, or what may have any version. */
  versionOf(block: number): Version {
    if (this.page !== undefined) return this.page.versions[block] as number;
    const at = this.#deltaAt(block);
    return at < this.#deltaCount * deltaNumbers ? ((this.#deltas as Float64Array)[at + 2] as number) : 0;
  }

  /** Takes a block's new place if it is newer. Returns by how much the count of mapped blocks changes, as far as known. */
  put(block: number, position: DevicePosition, version: Version, crc: number, segments: Segments | undefined): number {
    if (version > this.newest) this.newest = version;
    const page = this.page;
    if (page === undefined) return this.#putDelta(block, position, version, crc, segments);
    if (version > page.newest) page.newest = version;
    if ((page.versions[block] as number) >= version) return 0;
    const before = page.positions[block] as number;
    segments?.remove(before);
    segments?.add(position);
    page.positions[block] = position;
    page.versions[block] = version;
    page.crcs[block] = crc;
    this.dirty = true;
    return (position === 0 ? 0 : 1) - (before === 0 ? 0 : 1);
  }

  /**
   * As `put`, for a block that was copied from a peer: at the version that is here already it takes the place of what may
   * have gone bad, if it is the same block.
   */
  putCopy(
    block: number,
    position: DevicePosition,
    version: Version,
    crc: number,
    segments: Segments | undefined,
  ): number {
    const page = this.page;
    if (page === undefined || page.versions[block] !== version)
      return this.put(block, position, version, crc, segments);
    const before = page.positions[block] as number;
    if (!isSameBlock(before, page.crcs[block] as number, position, crc)) return 0;
    segments?.remove(before);
    segments?.add(position);
    page.positions[block] = position;
    page.crcs[block] = crc;
    this.dirty = true;
    return (position === 0 ? 0 : 1) - (before === 0 ? 0 : 1);
  }

  #putDelta(
    block: number,
    position: number,
    version: number,
    crc: number,
    segments: Segments | undefined,
    mark = 0,
  ): number {
    let deltas = this.#deltas ?? new Float64Array(deltasFirst * deltaNumbers);
    let at = this.#deltaAt(block);
    let before = 0;
    if (at < this.#deltaCount * deltaNumbers) {
      const known = deltas[at + 2] as number;
      before = deltas[at + 1] as number;
      // The same block at another place: a copy of one that went bad.
      const again = known === version && isSameBlock(before, (deltas[at] as number) % two32, position, crc);
      if (known >= version && !again) return 0;
      segments?.remove(before);
    } else {
      at = this.#deltaCount++ * deltaNumbers;
      if (at === deltas.length) {
        const grown = new Float64Array(Math.min(blocksPerChunk * deltaNumbers, deltas.length * 2));
        grown.set(deltas);
        deltas = grown;
      }
    }
    this.#deltas = deltas;
    deltas[at] = (block + mark) * two32 + crc;
    deltas[at + 1] = position;
    deltas[at + 2] = version;
    segments?.add(position);
    this.dirty = true;
    return (position === 0 ? 0 : 1) - (before === 0 ? 0 : 1);
  }

  #deltaAt(block: number): number {
    const end = this.#deltaCount * deltaNumbers;
    const deltas = this.#deltas;
    if (deltas === undefined) return end;
    for (let at = 0; at < end; at += deltaNumbers) {
      if (Math.floor((deltas[at] as number) / two32) % movedMark === block) return at;
    }
    return end;
  }

  get wantsPage(): boolean {
    return this.page === undefined && this.#deltaCount > deltasMax;
  }

  /**
   * Lays the changes over `base`, what the device has (undefined: nothing), and keeps the whole page. `baseMapped`: how
   * many mapped blocks the chunk table counted for `base`. Returns the change of the count of mapped blocks.
   */
  complete(base: ChunkMap | undefined, baseMapped: number, segments: Segments | undefined): number {
    const page = base ?? emptyChunk(this.key);
    const deltas = this.#deltas;
    let deltaMapped = 0;
    for (let i = 0; i < this.#deltaCount && deltas !== undefined; i++) {
      const head = deltas[i * deltaNumbers] as number;
      const position = deltas[i * deltaNumbers + 1] as number;
      const version = deltas[i * deltaNumbers + 2] as number;
      const marked = Math.floor(head / two32);
      const block = marked % movedMark;
      if (position !== 0) deltaMapped++;
      const crc = head - marked * two32;
      const known = page.versions[block] as number;
      const there = page.positions[block] as number;
      // INV-7: what was moved isn't known to be the newest where the version was lost: that stays damaged.
      const isDoubtful = there === damagedPosition && marked >= movedMark;
      if (
        isDoubtful ||
        version < known ||
        (version === known && !isSameBlock(there, page.crcs[block] as number, position, crc))
      ) {
        segments?.remove(position);
        continue;
      }
      segments?.remove(there);
      page.positions[block] = position;
      page.versions[block] = version;
      page.crcs[block] = crc;
    }
    if (this.newest > page.newest) page.newest = this.newest;
    this.newest = page.newest;
    this.#deltas = undefined;
    this.#deltaCount = 0;
    this.page = page;
    return mappedBlocks(page) - baseMapped - deltaMapped;
  }

  /** The block, as it was at `version`, is at `to` as well: the map points there if nothing newer is known. */
  move(block: number, version: number, crc: number, to: DevicePosition, segments: Segments | undefined): number {
    const page = this.page;
    if (page !== undefined) {
      if (page.versions[block] !== version || page.positions[block] === 0) return 0;
      segments?.remove(page.positions[block] as number);
      segments?.add(to);
      page.positions[block] = to;
      this.dirty = true;
      return 0;
    }
    const at = this.#deltaAt(block);
    const deltas = this.#deltas;
    if (deltas === undefined || at >= this.#deltaCount * deltaNumbers || (deltas[at + 2] as number) < version) {
      return this.#putDelta(block, to, version, crc, segments, movedMark);
    }
    if (deltas[at + 2] !== version || deltas[at + 1] === 0) return 0;
    segments?.remove(deltas[at + 1] as number);
    segments?.add(to);
    deltas[at + 1] = to;
    this.dirty = true;
    return 0;
  }

  /** Changes that aren't laid over their page yet: each may replace a block that still counts. */
  get pendingDeltas(): number {
    return this.page === undefined ? this.#deltaCount : 0;
  }

  /** Mapped blocks among what is known only here; their places are given back. For a chunk that is dropped. */
  giveBack(segments: Segments | undefined): number {
    let mapped = 0;
    if (this.page !== undefined) {
      for (const position of this.page.positions) {
        if (position === 0) continue;
        segments?.remove(position);
        mapped++;
      }
      return mapped;
    }
    for (let i = 0; i < this.#deltaCount; i++) {
      const position = (this.#deltas as Float64Array)[i * deltaNumbers + 1] as number;
      if (position === 0) continue;
      segments?.remove(position);
      mapped++;
    }
    return mapped;
  }
}

/** Whether what is at `there` may be replaced by what is at `position`, of one version: the same block, or nothing is known. */
function isSameBlock(there: DevicePosition, crcThere: number, position: DevicePosition, crc: number): boolean {
  if (there === damagedPosition) return true;
  return there !== 0 && position !== 0 && crcThere === crc;
}
