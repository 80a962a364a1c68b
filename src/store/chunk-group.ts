import { assert } from '../base/assert.ts';
import type { VolumeId } from '../base/ids.ts';
import type { Chunk } from './chunk.ts';
import { pageBytes } from './layout.ts';
import type { TableRef } from './records.ts';

/** Chunks of one volume whose numbers differ in the low 16 bits only stand together. */
export const chunksPerGroup = 65_536;
// Per chunk, sorted by the first field: u16 low bits of its number · u16 mapped blocks of its page · u32 + u16 the page's
// place on the device, in pages (0: never written) · u16 + u32 newest of that page
export const chunkEntryBytes = 16;
const entriesFirst = 4;
const growth = 1.25;
const two32 = 0x1_0000_0000;

/**
 * The chunk table of one group: 16 bytes per chunk in one piece of memory off the JavaScript heap, and just as it is
 * stored. Tells where each chunk's map page is; what changed since is in `cached`.
 */
export class ChunkGroup {
  readonly volume: VolumeId;
  readonly layer: number;
  /** Chunk number of the first, divided by `chunksPerGroup`. */
  readonly group: number;
  /** Chunks that have something in memory, by the low bits of their number. */
  readonly cached = new Map<number, Chunk>();
  count = 0;
  /** Changed since it was stored. */
  dirty = true;
  /** Where it was stored last. */
  stored: TableRef | undefined;
  #bytes = new Uint8Array(entriesFirst * chunkEntryBytes);
  #view = new DataView(this.#bytes.buffer);

  constructor(volume: VolumeId, layer: number, group: number) {
    this.volume = volume;
    this.layer = layer;
    this.group = group;
  }

  /** Takes the stored image of a group. */
  load(image: Uint8Array): void {
    assert(image.length % chunkEntryBytes === 0, 'whole entries');
    this.#bytes = image.slice();
    this.#view = new DataView(this.#bytes.buffer);
    this.count = image.length / chunkEntryBytes;
    this.dirty = false;
  }

  /** As stored; valid until the next change. */
  image(): Uint8Array {
    return this.#bytes.subarray(0, this.count * chunkEntryBytes);
  }

  /** The entry of a chunk, or −1 − the place where it would be. */
  find(low: number): number {
    let from = 0;
    let to = this.count;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const there = this.#view.getUint16(middle * chunkEntryBytes, true);
      if (there === low) return middle;
      if (there < low) from = middle + 1;
      else to = middle;
    }
    return -1 - from;
  }

  /** Makes an entry for a chunk that has none, and returns it. */
  insert(low: number): number {
    const at = -1 - this.find(low);
    assert(at >= 0, 'a chunk has one entry');
    const used = this.count * chunkEntryBytes;
    if (used === this.#bytes.length) this.#grow();
    const from = at * chunkEntryBytes;
    this.#bytes.copyWithin(from + chunkEntryBytes, from, used);
    this.#bytes.fill(0, from, from + chunkEntryBytes);
    this.#view.setUint16(from, low, true);
    this.count++;
    this.dirty = true;
    return at;
  }

  #grow(): void {
    const entries = Math.min(chunksPerGroup, Math.ceil((this.#bytes.length / chunkEntryBytes) * growth) + 1);
    const bytes = new Uint8Array(entries * chunkEntryBytes);
    bytes.set(this.#bytes);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }

  remove(entry: number): void {
    const from = entry * chunkEntryBytes;
    this.#bytes.copyWithin(from, from + chunkEntryBytes, this.count * chunkEntryBytes);
    this.count--;
    this.dirty = true;
  }

  /** The chunk's page was written. */
  set(entry: number, position: number, mapped: number, newest: number): void {
    const at = entry * chunkEntryBytes;
    const page = position / pageBytes;
    this.#view.setUint16(at + 2, mapped, true);
    this.#view.setUint32(at + 4, page >>> 0, true);
    this.#view.setUint16(at + 8, Math.floor(page / two32), true);
    this.#view.setUint16(at + 10, Math.floor(newest / two32), true);
    this.#view.setUint32(at + 12, newest >>> 0, true);
    this.dirty = true;
  }

  low(entry: number): number {
    return this.#view.getUint16(entry * chunkEntryBytes, true);
  }
  chunk(entry: number): number {
    return this.numberOf(this.low(entry));
  }
  /** Of the chunk with these low bits. */
  numberOf(low: number): number {
    return this.group * chunksPerGroup + low;
  }
  mapped(entry: number): number {
    return this.#view.getUint16(entry * chunkEntryBytes + 2, true);
  }
  /** Of the chunk's map page; 0: none was written yet. */
  position(entry: number): number {
    const at = entry * chunkEntryBytes;
    return (this.#view.getUint16(at + 8, true) * two32 + this.#view.getUint32(at + 4, true)) * pageBytes;
  }
  /** Of the page that was written. */
  newest(entry: number): number {
    const at = entry * chunkEntryBytes;
    return this.#view.getUint16(at + 10, true) * two32 + this.#view.getUint32(at + 12, true);
  }

  /** Memory of the table, without what is cached. */
  get tableBytes(): number {
    return this.#bytes.length;
  }
}
