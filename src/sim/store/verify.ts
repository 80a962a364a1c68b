import { assert } from '../../base/assert.ts';
import { type ArcId, blockBytes, blocksPerChunk } from '../../base/ids.ts';
import type { MapSpace } from '../../store/map-space.ts';
import type { Store } from '../../store/store.ts';
import type { ChunkMap, StoredEntry } from '../../store/types.ts';
import { isFilled } from './content.ts';
import type { Replica } from './replica.ts';
import {
  type Appended,
  blockName,
  chunkName,
  countUpTo,
  type ExpectedChunk,
  type Life,
  type Witness,
} from './witness.ts';

/** What is looked at: the content of every block, or only what the newest records touched. */
export type Depth = 'all' | 'recent';

/** Records of each arc that count as recent. */
const recentRecords = 6;
const recentEntries = 3;
/** Of a large one, so many blocks spread over it. */
const blocksPerRecord = 8;

export interface Verified {
  readonly store: Store;
  readonly space: MapSpace;
  readonly replicas: ReadonlyMap<ArcId, Replica>;
  readonly serial: number;
}

/**
 * INV-1, INV-4: every block of every arc is what the witness knows it to be if `serial` was the last record: its version,
 * and its content to the last sector. Returns how many blocks were read.
 */
export async function verify(found: Verified, witness: Witness, depth: Depth): Promise<number> {
  let blocks = 0;
  for (let arc = 0; arc < witness.arcs.length; arc++) {
    // What it still has is of a life that is over; it isn't served.
    if (found.store.loss?.concerns(arc as ArcId) === true) continue;
    const life = witness.lifeAt(arc, found.serial);
    verifyChunkList(found, arc as ArcId, life, depth);
    if (life === undefined) continue;
    const recent = depth === 'recent' ? recentBlocks(witness.arc(arc).records, found.serial) : undefined;
    for (const [name, expected] of life.chunks) {
      const touched = recent?.get(name);
      if (recent !== undefined && touched === undefined) continue;
      blocks += await verifyChunk(found, witness, arc as ArcId, life, expected, touched);
    }
    const tail = found.replicas.get(arc as ArcId)?.tail ?? [];
    for (const entry of depth === 'all' ? tail : tail.slice(-recentEntries))
      await verifyEntry(found.store, life, entry, depth);
  }
  assert(found.space.damagedPages === 0 || witness.hasRotted, 'INV-7: a crash damages no map page');
  return blocks;
}

/** An entry that isn't applied can be sent and applied: its data is there. */
async function verifyEntry(store: Store, life: Life, entry: StoredEntry, depth: Depth): Promise<void> {
  const { arc, range, term, index } = entry;
  const data = await store.readEntryData(entry);
  assert(data instanceof Uint8Array, `INV-1: arc ${arc}: entry ${index} is ${String(data)}`);
  if (range === undefined) return;
  const author = { arc, generation: life.generation, term, index };
  const step = depth === 'all' ? 1 : Math.ceil(entry.crcs.length / blocksPerRecord);
  for (let i = 0; i < entry.crcs.length; i += step) {
    const right = isFilled(data, i * blockBytes, author, range.chunk, range.firstBlock + i);
    assert(right, `INV-4: arc ${arc}: the data of entry ${term}:${index} is another's`);
  }
}

/** No chunk came back, none is gone. */
function verifyChunkList(found: Verified, arc: ArcId, life: Life | undefined, depth: Depth): void {
  const map = found.space.of(arc);
  const expected = life?.chunks.size ?? 0;
  if (depth === 'all' || map.chunkCount !== expected) {
    for (const key of map.keys()) {
      assert(life?.chunks.has(chunkName(key)), `INV-1: arc ${arc}: chunk ${chunkName(key)} is there again`);
    }
  }
  assert(map.chunkCount === expected, `INV-1: arc ${arc} has ${map.chunkCount} chunks, not ${expected}`);
}

function recentBlocks(records: readonly Appended[], serial: number): Map<string, Set<number>> {
  const touched = new Map<string, Set<number>>();
  const end = countUpTo(records, serial);
  for (let i = Math.max(0, end - recentRecords); i < end; i++) {
    const record = records[i] as Appended;
    if (record.type === 'entry' && record.range !== undefined) {
      const { firstBlock, blockCount } = record.range;
      const blocks = blocksOf(touched, chunkName(record.range));
      const step = Math.ceil(blockCount / blocksPerRecord);
      for (let at = 0; at < blockCount; at += step) blocks.add(firstBlock + at);
      blocks.add(firstBlock + blockCount - 1);
    } else if (record.type === 'copy') {
      const blocks = blocksOf(touched, chunkName(record.key));
      const step = Math.ceil(record.blocks.length / blocksPerRecord);
      for (let at = 0; at < record.blocks.length; at += step) blocks.add(record.blocks[at] as number);
    }
  }
  return touched;
}

function blocksOf(touched: Map<string, Set<number>>, name: string): Set<number> {
  let blocks = touched.get(name);
  if (blocks === undefined) {
    blocks = new Set();
    touched.set(name, blocks);
  }
  return blocks;
}

async function verifyChunk(
  found: Verified,
  witness: Witness,
  arc: ArcId,
  life: Life,
  expected: ExpectedChunk,
  only: ReadonlySet<number> | undefined,
): Promise<number> {
  const page = await found.space.of(arc).load(expected.key);
  assert(page !== undefined, `INV-1: arc ${arc}: chunk ${chunkName(expected.key)} is gone`);
  verifyPage(arc, page, expected);
  const blocks: number[] = [];
  for (let block = 0; block < blocksPerChunk; block++) {
    if (expected.holds[block] === 1 && (only === undefined || only.has(block))) blocks.push(block);
  }
  if (blocks.length === 0) return 0;
  const positions = blocks.map((block) => page.positions[block] as number);
  const crcs = blocks.map((block) => page.crcs[block] as number);
  const into = new Uint8Array(blocks.length * blockBytes);
  const bad = await found.store.readEach(positions, crcs, into);
  const where = `arc ${arc}, chunk ${chunkName(expected.key)}`;
  for (const { block: at, code } of bad) {
    const block = blocks[at] as number;
    const name = blockName(arc, life.generation, expected.key, block);
    const mayBe = witness.mayBeBad(name, expected.versions[block] as number, found.serial);
    assert(mayBe, `INV-4: ${where}: block ${block} is ${code}`);
  }
  for (const [i, block] of blocks.entries()) {
    if (bad.some(({ block: at }) => at === i)) continue;
    const term = expected.terms[block] as number;
    const author = { arc, generation: life.generation, term, index: expected.versions[block] as number };
    const right = isFilled(into, i * blockBytes, author, expected.key.chunk, block);
    assert(right, `INV-4: ${where}, block ${block} is not what ${term}:${author.index} wrote`);
  }
  return blocks.length;
}

function verifyPage(arc: number, page: ChunkMap, expected: ExpectedChunk): void {
  for (let block = 0; block < blocksPerChunk; block++) {
    const version = page.versions[block] as number;
    const holds = page.positions[block] === 0 ? 0 : 1;
    if (version === expected.versions[block] && holds === expected.holds[block]) continue;
    const where = `arc ${arc}, chunk ${chunkName(expected.key)}, block ${block}`;
    const wanted = `${expected.versions[block]}${expected.holds[block] === 1 ? '' : ', empty'}`;
    assert(false, `INV-1: ${where} has version ${version}${holds === 1 ? '' : ', empty'}, not ${wanted}`);
  }
}
