import assert from 'node:assert/strict';
import { crc32c } from '../../../src/base/crc32c.ts';
import type { ArcId, ClusterId, CoreletId, VolumeId } from '../../../src/base/ids.ts';
import type { Prng } from '../../../src/base/prng.ts';
import type { Flash } from '../../../src/ports/flash.ts';
import { Store } from '../../../src/store/store.ts';
import type {
  BlockRange,
  ChunkCopyRecord,
  EntryRecord,
  LostBatches,
  RecoveryVisitor,
  StoredChunkCopy,
  StoredEntry,
} from '../../../src/store/types.ts';
import type { TestClock } from './test-ports.ts';

export const cluster = '0123456789abcdef0123456789abcdef' as ClusterId;
export const corelet = 'fedcba9876543210fedcba9876543210' as CoreletId;
export const volume = 0xabcdef012345 as VolumeId;
export const blockBytes = 4096;
export const mebibyte = 1024 * 1024;

export function arcId(arc: number): ArcId {
  return arc as ArcId;
}

export function rangeOf(chunk: number, firstBlock: number, blockCount: number): BlockRange {
  return { volume, layer: 0, chunk, firstBlock, blockCount };
}

/** A block whose content tells `seed`. */
export function block(seed: number): Uint8Array {
  const bytes = new Uint8Array(blockBytes);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < blockBytes; at += 512) view.setUint32(at, (seed * 2654435761 + at) >>> 0);
  return bytes;
}

export function crcsOf(data: Uint8Array): Uint32Array {
  const crcs = new Uint32Array(data.length / blockBytes);
  for (let i = 0; i < crcs.length; i++) crcs[i] = crc32c(data.subarray(i * blockBytes, (i + 1) * blockBytes));
  return crcs;
}

export function blocks(seed: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count * blockBytes);
  for (let i = 0; i < count; i++) bytes.set(block(seed + i), i * blockBytes);
  return bytes;
}

export interface EntryOptions {
  readonly arc?: number;
  readonly index: number;
  readonly term?: number;
  readonly data?: Uint8Array;
  readonly pieces?: readonly Uint8Array[];
  readonly chunk?: number;
  readonly firstBlock?: number;
  readonly headBytes?: number;
}

export function entryOf(options: EntryOptions): EntryRecord {
  const data = options.data ?? new Uint8Array(0);
  const count = data.length / blockBytes;
  return {
    arc: arcId(options.arc ?? 1),
    term: options.term ?? 1,
    index: options.index,
    kind: 2,
    commit: options.index - 1,
    head: new Uint8Array(options.headBytes ?? 20).fill(options.index & 255),
    range: count === 0 ? undefined : rangeOf(options.chunk ?? 0, options.firstBlock ?? 0, count),
    crcs: crcsOf(data),
    data: options.pieces ?? (count === 0 ? [] : [data]),
  };
}

/** What happened, in a form that can be compared: positions aside, which depend on batching. */
export type Happening =
  | { readonly type: 'entry'; readonly entry: Omit<StoredEntry, 'position'> }
  | { readonly type: 'truncated'; readonly arc: number; readonly fromIndex: number }
  | { readonly type: 'hardState' | 'arcState'; readonly arc: number; readonly state: Uint8Array }
  | { readonly type: 'chunkCopy'; readonly copy: Omit<StoredChunkCopy, 'position'> };

/** Remembers what a restart told. */
export class Recorder implements RecoveryVisitor {
  readonly happenings: Happening[] = [];
  readonly entries: StoredEntry[] = [];
  readonly copies: StoredChunkCopy[] = [];
  readonly registers = new Map<string, Uint8Array>();
  readonly lostBatches: LostBatches[] = [];

  entry(entry: StoredEntry): void {
    const { position: _, ...rest } = entry;
    this.entries.push(entry);
    this.happenings.push({ type: 'entry', entry: rest });
  }
  truncated(arc: ArcId, fromIndex: number): void {
    this.happenings.push({ type: 'truncated', arc, fromIndex });
  }
  hardState(arc: ArcId, state: Uint8Array): void {
    this.happenings.push({ type: 'hardState', arc, state });
  }
  arcState(arc: ArcId, state: Uint8Array): void {
    this.happenings.push({ type: 'arcState', arc, state });
  }
  chunkCopy(copy: StoredChunkCopy): void {
    const { position: _, ...rest } = copy;
    this.copies.push(copy);
    this.happenings.push({ type: 'chunkCopy', copy: rest });
  }
  register(name: string, value: Uint8Array): void {
    this.registers.set(name, value);
  }
  lost(batches: LostBatches): void {
    this.lostBatches.push(batches);
  }
}

export async function openStore(flash: Flash, clock: TestClock): Promise<{ store: Store; seen: Recorder }> {
  const seen = new Recorder();
  const opened = await Store.open(flash, { clock }, seen);
  assert.ok(opened.ok, opened.ok ? '' : `${opened.code}: ${opened.message}`);
  return { store: opened.store, seen };
}

export function synced(store: Store): Promise<void> {
  return new Promise((resolve, reject) => {
    store.onFailed(reject);
    store.afterSync(resolve);
  });
}

/** Appends one random record; returns what a restart has to tell of it. */
export function appendRandom(store: Store, random: Prng, number: number): Happening {
  const arc = arcId(random.below(3));
  const pick = random.fraction();
  if (pick < 0.6) {
    const data = blocks(number * 1000, random.fraction() < 0.1 ? 0 : 1 + random.below(4));
    const cut = random.below(data.length + 1);
    const pieces = [data.subarray(0, cut), data.subarray(cut)];
    const headBytes = random.fraction() < 0.1 ? 5000 : random.below(100);
    const record = entryOf({ arc, index: number, data, pieces, chunk: random.below(5), firstBlock: 7, headBytes });
    store.appendEntry(record);
    const { data: _, ...entry } = record;
    return { type: 'entry', entry };
  }
  if (pick < 0.7) {
    store.appendTruncate(arc, number);
    return { type: 'truncated', arc, fromIndex: number };
  }
  if (pick < 0.85) {
    const state = new Uint8Array(random.fraction() < 0.2 ? 9000 : 24).fill(number & 255);
    const type = random.fraction() < 0.5 ? 'hardState' : 'arcState';
    if (type === 'hardState') store.appendHardState(arc, state);
    else store.appendArcState(arc, state);
    return { type, arc, state };
  }
  const data = blocks(number * 1000, 2);
  const record: ChunkCopyRecord = {
    arc,
    key: { volume, layer: 0, chunk: 3 },
    blocks: Uint16Array.of(4, 200),
    versions: Float64Array.of(number, number + 1),
    crcs: crcsOf(data),
    data: [data],
    emptyBlocks: Uint16Array.of(9),
    emptyVersions: Float64Array.of(number),
  };
  store.appendChunkCopy(record);
  const { data: _, ...copy } = record;
  return { type: 'chunkCopy', copy };
}

/** Every entry and copy that a restart told of can be read, and has the content that its CRCs say. */
export async function checkReadable(store: Store, seen: Recorder): Promise<void> {
  for (const entry of seen.entries) assert.ok((await store.readEntryData(entry)) instanceof Uint8Array);
  for (const copy of seen.copies) {
    const positions = [...copy.blocks.keys()].map((i) => (copy.position as number) + i * blockBytes);
    const read = await store.readBlocks(positions, copy.crcs, new Uint8Array(positions.length * blockBytes));
    assert.deepEqual(read, { ok: true });
  }
}
