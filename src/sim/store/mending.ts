import { assert } from '../../base/assert.ts';
import { type ArcId, blockBytes, blocksPerChunk } from '../../base/ids.ts';
import type { Prng } from '../../base/prng.ts';
import type { ChunkKey, ChunkMap } from '../../store/types.ts';
import { flip } from './damage.ts';
import type { StoreModel } from './model.ts';
import type { StoreRig } from './rig.ts';
import { blockName } from './witness.ts';

/** Blocks of one chunk that went bad. */
export interface Rotten {
  readonly key: ChunkKey;
  readonly blocks: readonly number[];
}

/** Lets a few blocks rot that the arc has, and sees that a read finds every one of them. */
export async function rotBlocks(rig: StoreRig, arc: number, random: Prng): Promise<Rotten | undefined> {
  const { model } = rig;
  await model.synced();
  // Rot in the newest batch looks torn: only peers can tell that it isn't.
  model.vote(arc);
  await model.synced();
  const { generation, chunks } = model.witness.life(arc);
  const held = [...chunks.values()].filter(({ holds }) => holds.includes(1));
  const expected = held[random.below(Math.max(1, held.length))];
  if (expected === undefined) return undefined;
  const { key } = expected;
  const page = await model.space.of(arc as ArcId).load(key);
  const from = expected.holds.indexOf(1, random.below(blocksPerChunk));
  if (page === undefined || from < 0) return undefined;
  const blocks = [from, from + 1, from + 5].filter((block) => expected.holds[block] === 1);
  const positions = positionsOf(page, blocks);
  // What is kept to be sent again is read as it lies there.
  if (positions.some((position) => model.holds(position, position + blockBytes))) return undefined;
  for (const [i, block] of blocks.entries()) {
    const name = blockName(arc, generation, key, block);
    const version = page.versions[block] as number;
    // Rotten twice, it would be right again.
    const isRotten = model.witness.mayBeBad(name, version, model.witness.serial);
    if (!isRotten) flip(rig.device.medium, (positions[i] as number) + random.below(blockBytes));
    model.witness.bad.set(name, { version, mended: 0 });
  }
  const bad = await readEach(model, page, blocks, positions);
  assert(bad === blocks.length, `INV-4: ${blocks.length} blocks rotted, ${bad} are found`);
  return { key, blocks };
}

/** Stores them anew, as a peer has them; from then on they are good. */
export async function mendBlocks(rig: StoreRig, arc: number, { key, blocks }: Rotten, waits: boolean): Promise<void> {
  const { model } = rig;
  model.mend(arc, key, blocks);
  if (waits) await model.synced();
  const page = await model.space.of(arc as ArcId).load(key);
  assert(page !== undefined, 'what is mended is there');
  const bad = await readEach(model, page, blocks, positionsOf(page, blocks));
  assert(bad === 0, 'INV-7: what was mended is whole');
}

function positionsOf(page: ChunkMap, blocks: readonly number[]): number[] {
  return blocks.map((block) => page.positions[block] as number);
}

async function readEach(
  model: StoreModel,
  page: ChunkMap,
  blocks: readonly number[],
  positions: readonly number[],
): Promise<number> {
  const crcs = blocks.map((block) => page.crcs[block] as number);
  return (await model.store.readEach(positions, crcs, new Uint8Array(blocks.length * blockBytes))).length;
}
