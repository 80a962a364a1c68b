import { assert } from '../base/assert.ts';
import { type ArcId, blockBytes, blocksPerChunk, type Version, type VolumeId } from '../base/ids.ts';
import { Chunk } from './chunk.ts';
import { ChunkGroup, chunksPerGroup } from './chunk-group.ts';
import { pagesFor } from './layout.ts';
import type { MapSpace } from './map-space.ts';
import type { BlockRange, ChunkKey, ChunkMap, DevicePosition, StoredChunkCopy } from './types.ts';

const layerMax = 0xf_ffff;
const chunkMax = 0xffff_ffff;
const groupsMax = 65_536;

/** Layer and group in one safe integer, so that a look-up allocates nothing. */
function groupKey(layer: number, chunk: number): number {
  assert(layer <= layerMax && chunk <= chunkMax, 'chunk number out of range');
  return layer * groupsMax + Math.floor(chunk / chunksPerGroup);
}

/**
 * Where the blocks of one arc are: 16 bytes per chunk in memory always, its page of 256 blocks only while it is used. All
 * changes go by version, block by block: older ones do nothing, so that they may come in any order and any number of
 * times. Changing is synchronous and reads nothing; looking up may have to read a page (`load`).
 */
export class ArcMap {
  readonly arc: ArcId;
  readonly #space: MapSpace;
  readonly #volumes = new Map<VolumeId, Map<number, ChunkGroup>>();
  /** Told of a chunk whose page can't be read: what its blocks hold has to be had from elsewhere. */
  onDamaged: ((key: ChunkKey) => void) | undefined;
  /** Counts how often all was dropped: what was found before that is nothing any more. */
  life = 0;
  /** The newest version in the pages that the device told of at a restart: what is behind it in the log was applied, or copied. */
  pagesNewest: Version = 0;
  #blockCount = 0;
  #chunkCount = 0;

  constructor(arc: ArcId, space: MapSpace) {
    this.arc = arc;
    this.#space = space;
  }

  /** Blocks that hold data; too high where changes aren't laid over their page yet. */
  get blockCount(): number {
    return this.#blockCount;
  }

  /** Chunks known, those that hold only tombstones included. */
  get chunkCount(): number {
    return this.#chunkCount;
  }

  #group(key: ChunkKey): ChunkGroup | undefined {
    return this.#volumes.get(key.volume)?.get(groupKey(key.layer, key.chunk));
  }

  /**
   * The page of a chunk: at once if it is in memory, else a promise. Undefined when nothing was ever written or trimmed
   * there. What it says holds for the turn in which it is given: the next change may change it, and the page after that.
   */
  load(key: ChunkKey): ChunkMap | undefined | Promise<ChunkMap | undefined> {
    const group = this.#group(key);
    const low = key.chunk % chunksPerGroup;
    const known = group?.cached.get(low);
    if (known?.page !== undefined) {
      known.referenced = true;
      return known.page;
    }
    if (group === undefined || (known === undefined && group.find(low) < 0)) return undefined;
    const chunk = known ?? this.#chunkIn(group, low);
    const loading = this.complete(chunk);
    return loading === undefined ? chunk.page : this.#loaded(key, chunk, loading);
  }

  async #loaded(key: ChunkKey, chunk: Chunk, loading: Promise<void>): Promise<ChunkMap | undefined> {
    chunk.waiting++;
    await loading;
    chunk.waiting--;
    // Forgotten again, or dropped and made anew meanwhile: look again.
    return chunk.page === undefined || chunk.dropped ? this.load(key) : chunk.page;
  }

  /** Gives `chunk` its whole page; undefined when it has one now, else a promise of that. */
  complete(chunk: Chunk): Promise<void> | undefined {
    chunk.referenced = true;
    if (chunk.page !== undefined) return undefined;
    const { group } = chunk;
    const entry = group.find(chunk.low);
    const position = group.position(entry);
    if (position === 0) {
      this.#lay(chunk, undefined, 0);
      return undefined;
    }
    chunk.loading ??= this.#fetch(chunk, position, group.mapped(entry), group.newest(entry));
    return chunk.loading;
  }

  async #fetch(chunk: Chunk, position: DevicePosition, mapped: number, newest: Version): Promise<void> {
    const base = await this.#space.readPage(chunk, position, mapped, newest);
    chunk.loading = undefined;
    if (!chunk.dropped) this.#lay(chunk, base, mapped);
  }

  #lay(chunk: Chunk, base: ChunkMap | undefined, baseMapped: number): void {
    const before = chunk.memoryBytes;
    this.#blockCount += chunk.complete(base, baseMapped, this.#space.segments);
    this.#space.paged(chunk);
    this.#space.grown(chunk.memoryBytes - before);
  }

  /** The page, if it is in memory, or nothing is known of the chunk. */
  get(key: ChunkKey): ChunkMap | undefined {
    const page = this.load(key);
    assert(!(page instanceof Promise), 'the page is in memory');
    return page;
  }

  /** The highest version in the chunk, trims included; 0 when nothing was ever there. Reads nothing. */
  newestOf(key: ChunkKey): Version {
    const group = this.#group(key);
    if (group === undefined) return 0;
    const low = key.chunk % chunksPerGroup;
    const chunk = group.cached.get(low);
    if (chunk !== undefined) return chunk.newest;
    const entry = group.find(low);
    return entry < 0 ? 0 : group.newest(entry);
  }

  /** Where the chunk's map page is on the device; 0: there is none. */
  pagePosition(key: ChunkKey): DevicePosition {
    const group = this.#group(key);
    const entry = group?.find(key.chunk % chunksPerGroup) ?? -1;
    return group === undefined || entry < 0 ? 0 : group.position(entry);
  }

  /** The group that a stored table belongs to, made if there is none. */
  groupOf(volume: VolumeId, layer: number, group: number): ChunkGroup {
    let groups = this.#volumes.get(volume);
    if (groups === undefined) {
      groups = new Map();
      this.#volumes.set(volume, groups);
    }
    const key = groupKey(layer, group * chunksPerGroup);
    let found = groups.get(key);
    if (found === undefined) {
      found = new ChunkGroup(volume, layer, group);
      groups.set(key, found);
    }
    return found;
  }

  /** Takes a stored chunk table at a restart. */
  loadGroup(volume: VolumeId, layer: number, number: number, image: Uint8Array): ChunkGroup {
    const group = this.groupOf(volume, layer, number);
    group.load(image);
    this.#chunkCount += group.count;
    for (let entry = 0; entry < group.count; entry++) {
      this.#blockCount += group.mapped(entry);
      this.pagesNewest = Math.max(this.pagesNewest, group.newest(entry));
    }
    return group;
  }

  *groups(): IterableIterator<ChunkGroup> {
    for (const groups of this.#volumes.values()) yield* groups.values();
  }

  /** The chunk's entry in its group, made if there is none. */
  #entry(group: ChunkGroup, low: number): number {
    const entry = group.find(low);
    if (entry >= 0) return entry;
    this.#chunkCount++;
    return group.insert(low);
  }

  #chunkIn(group: ChunkGroup, low: number): Chunk {
    const cached = group.cached.get(low);
    if (cached !== undefined) return cached;
    const chunk = new Chunk(this, group, low, group.newest(this.#entry(group, low)));
    group.cached.set(low, chunk);
    this.#space.added(chunk);
    return chunk;
  }

  #groupFor(key: ChunkKey): ChunkGroup {
    return this.#group(key) ?? this.groupOf(key.volume, key.layer, Math.floor(key.chunk / chunksPerGroup));
  }

  #chunk(key: ChunkKey): Chunk {
    return this.#chunkIn(this.#groupFor(key), key.chunk % chunksPerGroup);
  }

  /** Undefined when nothing is known of the chunk. */
  #known(key: ChunkKey): Chunk | undefined {
    const group = this.#group(key);
    const low = key.chunk % chunksPerGroup;
    return group === undefined || group.find(low) < 0 ? undefined : this.#chunkIn(group, low);
  }

  #changed(chunk: Chunk, before: number): void {
    const after = chunk.memoryBytes;
    if (after !== before) this.#space.grown(after - before);
    if (!chunk.wantsPage) return;
    const entry = chunk.group.find(chunk.low);
    if (chunk.group.position(entry) === 0) void this.complete(chunk);
  }

  /** The range's blocks are at `firstPosition` and on, one after the other, with these CRCs, as of `version`. */
  set(range: BlockRange, firstPosition: DevicePosition, version: Version, crcs: Uint32Array): void {
    assert(range.firstBlock + range.blockCount <= blocksPerChunk, 'range beyond its chunk');
    assert(firstPosition > 0 && crcs.length === range.blockCount, 'a position and a CRC per block');
    const chunk = this.#chunk(range);
    const before = chunk.memoryBytes;
    const { segments } = this.#space;
    for (let i = 0; i < range.blockCount; i++) {
      const position = firstPosition + i * blockBytes;
      this.#blockCount += chunk.put(range.firstBlock + i, position, version, crcs[i] as number, segments);
    }
    this.#changed(chunk, before);
  }

  /** The range's blocks hold nothing as of `version`, which stays as their tombstone (design §10.6). */
  clear(range: BlockRange, version: Version): void {
    assert(range.firstBlock + range.blockCount <= blocksPerChunk, 'range beyond its chunk');
    const chunk = this.#chunk(range);
    const before = chunk.memoryBytes;
    for (let i = 0; i < range.blockCount; i++) {
      this.#blockCount += chunk.put(range.firstBlock + i, 0, version, 0, this.#space.segments);
    }
    this.#changed(chunk, before);
  }

  /** Blocks copied from a peer: each takes its place if it is newer than what is there, or the same: that may be bad. */
  applyCopy(copy: StoredChunkCopy): void {
    const chunk = this.#chunk(copy.key);
    const before = chunk.memoryBytes;
    for (let i = 0; i < copy.blocks.length; i++) {
      const block = copy.blocks[i] as number;
      assert(block < blocksPerChunk && copy.position !== undefined, 'a copied block lies in its chunk');
      const position = copy.position + i * blockBytes;
      this.#putCopy(chunk, block, position, copy.versions[i] as number, copy.crcs[i] as number);
    }
    for (let i = 0; i < copy.emptyBlocks.length; i++) {
      const block = copy.emptyBlocks[i] as number;
      assert(block < blocksPerChunk, 'an emptied block lies in its chunk');
      this.#putCopy(chunk, block, 0, copy.emptyVersions[i] as number, 0);
    }
    this.#changed(chunk, before);
  }

  #putCopy(chunk: Chunk, block: number, position: DevicePosition, version: Version, crc: number): void {
    const known = chunk.versionOf(block);
    this.#blockCount += chunk.putCopy(block, position, version, crc, this.#space.segments);
    // Design §10.6: neither is what is newer here undone, a trim included, nor does what is older here stay.
    assert(chunk.versionOf(block) === Math.max(known, version), 'INV-6: of a copied block the newer version counts');
  }

  /**
   * A block was copied elsewhere on the device, as it was at that version; written anew since, it stays where it is. Reads
   * nothing. A chunk that was dropped stays so.
   */
  moved(key: ChunkKey, block: number, version: Version, crc: number, to: DevicePosition): void {
    const chunk = this.#known(key);
    if (chunk === undefined) return;
    const before = chunk.memoryBytes;
    this.#blockCount += chunk.move(block, version, crc, to, this.#space.segments);
    this.#changed(chunk, before);
  }

  /** The chunk's page, in memory and to be written anew; undefined when the chunk isn't known any more. */
  async touchPage(key: ChunkKey): Promise<Chunk | undefined> {
    for (;;) {
      const chunk = this.#known(key);
      if (chunk === undefined) return undefined;
      chunk.waiting++;
      await this.complete(chunk);
      chunk.waiting--;
      // Dropped, or forgotten and made anew meanwhile: look again.
      if (chunk.dropped || chunk.page === undefined) continue;
      chunk.dirty = true;
      return chunk;
    }
  }

  /** A page that the log tells of at a restart: all that was said of the chunk before is in it. */
  pageWritten(key: ChunkKey, position: DevicePosition, mapped: number, newest: Version): void {
    const low = key.chunk % chunksPerGroup;
    const group = this.#groupFor(key);
    const entry = this.#entry(group, low);
    const { segments } = this.#space;
    segments?.remove(group.position(entry));
    segments?.add(position);
    this.#blockCount += mapped - group.mapped(entry);
    group.set(entry, position, mapped, newest);
    this.pagesNewest = Math.max(this.pagesNewest, newest);
    const chunk = group.cached.get(low);
    if (chunk !== undefined && chunk.newest < newest) chunk.newest = newest;
  }

  /** Lets go of a clean chunk's memory. */
  forget(chunk: Chunk): void {
    assert(!chunk.dirty, 'only what the device has is forgotten');
    chunk.group.cached.delete(chunk.low);
    this.#space.removed(chunk);
  }

  /** Chunks that differ from their page on the device. */
  *dirtyChunks(): IterableIterator<Chunk> {
    for (const group of this.groups()) for (const chunk of group.cached.values()) if (chunk.dirty) yield chunk;
  }

  #dropGroup(group: ChunkGroup): void {
    const { segments } = this.#space;
    const stays: ChunkGroup = new ChunkGroup(group.volume, group.layer, group.group);
    for (let entry = 0; entry < group.count; entry++) {
      if (!this.#dropCached(group, entry) && group.position(entry) !== 0) {
        const low = group.low(entry);
        stays.set(stays.insert(low), group.position(entry), group.mapped(entry), group.newest(entry));
      }
    }
    this.#chunkCount -= group.count;
    if (group.stored !== undefined) {
      const pages = pagesFor(group.stored.bytes);
      segments?.remove(group.stored.position, pages);
      if (group.stored.mirror !== group.stored.position) segments?.remove(group.stored.mirror, pages);
    }
    if (stays.count > 0) this.#space.reap(this.arc, stays);
  }

  /** True when the whole of a chunk's page is known: what it holds is counted as garbage. Else that is still to be read. */
  #dropCached(group: ChunkGroup, entry: number): boolean {
    const { segments } = this.#space;
    const chunk = group.cached.get(group.low(entry));
    if (chunk === undefined) {
      this.#blockCount -= group.mapped(entry);
      return false;
    }
    const whole = chunk.page !== undefined || group.position(entry) === 0;
    this.#blockCount -= chunk.giveBack(segments) + (whole ? 0 : group.mapped(entry));
    if (whole) segments?.remove(group.position(entry));
    group.cached.delete(chunk.low);
    this.#space.removed(chunk);
    return whole;
  }

  /** Forgets a volume, tombstones included. */
  dropVolume(volume: VolumeId): void {
    const groups = this.#volumes.get(volume);
    if (groups === undefined) return;
    this.#volumes.delete(volume);
    for (const group of groups.values()) this.#dropGroup(group);
  }

  dropAll(): void {
    this.life++;
    this.pagesNewest = 0;
    for (const volume of Array.from(this.#volumes.keys())) this.dropVolume(volume);
  }

  /** Volumes of which something is known. */
  volumes(): IterableIterator<VolumeId> {
    return this.#volumes.keys();
  }

  /** Every chunk, volume by volume. Chunks that come while it runs may or may not be seen. */
  *keys(): IterableIterator<ChunkKey> {
    for (const group of this.groups()) {
      for (let entry = 0; entry < group.count; entry++) {
        yield { volume: group.volume, layer: group.layer, chunk: group.chunk(entry) };
      }
    }
  }
}
