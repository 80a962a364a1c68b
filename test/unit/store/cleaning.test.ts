import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blockBytes, blocksPerChunk, type VolumeId } from '../../../src/base/ids.ts';
import { Prng } from '../../../src/base/prng.ts';
import { sectorsOf } from '../../../src/sim/store/device.ts';
import type { RigShape, StoreRig } from '../../../src/sim/store/rig.ts';
import { randomFates } from '../../../src/sim/store/subsets.ts';
import { onRig, verifyAll } from './on-rig.ts';

const shape: RigShape = { segments: 24, arcs: 2, mapBytes: 200_000 };
const waitsMax = 20_000;

/** Waits for room as a host would that is told to try again. */
async function room(rig: StoreRig, bytes: number, purpose: 'new' | 'replacing' = 'new'): Promise<'ok' | 'full'> {
  for (let waits = 0; waits < waitsMax; waits++) {
    const answer = rig.model.store.roomFor(bytes, purpose);
    if (answer !== 'busy') return answer;
    await rig.pause(1);
  }
  throw new Error(`still no room: ${JSON.stringify(rig.model.store.health())}`);
}

function rangeOn(rig: StoreRig, arc: number, chunk: number, firstBlock: number, blockCount: number) {
  return { volume: rig.model.replica(arc).volumes[0] as VolumeId, layer: 0, chunk, firstBlock, blockCount };
}

async function overwrite(rig: StoreRig, random: Prng, writes: number, chunks: number): Promise<void> {
  for (let i = 0; i < writes; i++) {
    const count = 1 + random.below(8);
    assert.equal(await room(rig, count * blockBytes), 'ok');
    const arc = random.below(2);
    rig.model.write(arc, rangeOn(rig, arc, random.below(chunks), random.below(257 - count), count), 'commits');
    if (i % 8 === 7) await rig.model.synced();
  }
  await rig.model.synced();
}

function settleDoomed(rig: StoreRig): void {
  for (const { arc, doomedFrom } of rig.model.replicas.values()) {
    if (doomedFrom !== Number.POSITIVE_INFINITY) rig.model.truncateDoomed(arc);
  }
}

test('many times the size of the device is written: space comes back, and every block is what was told', async () => {
  await onRig(shape, 1, async (rig) => {
    const random = new Prng(5);
    for (let life = 0; life < 4; life++) {
      await overwrite(rig, random, 3000, 16);
      const { badReads } = rig.model.store.health();
      assert.equal(badReads, 0);
      rig.crash(randomFates(sectorsOf(rig.device.underWay), random));
      await rig.open();
      settleDoomed(rig);
      assert.ok((await verifyAll(rig)) > 1000);
    }
    assert.ok(rig.model.store.health().segmentUsesMax > 2, 'segments were used again');
  });
});

test('space comes back without a checkpoint, and a power loss at any time is no harm', async (t) => {
  await onRig({ ...shape, segments: 10 }, 3, async (rig) => {
    const random = new Prng(8);
    let freedAlone = 0;
    for (let round = 1; round <= 240; round++) {
      const before = rig.model.store.health();
      await overwrite(rig, random, 40, 6);
      const after = rig.model.store.health();
      if (after.checkpoint === before.checkpoint) freedAlone += after.freedSegments - before.freedSegments;
      if (round % 20 !== 0) continue;
      rig.crash(randomFates(sectorsOf(rig.device.underWay), random));
      await rig.open();
      settleDoomed(rig);
      await verifyAll(rig);
    }
    t.diagnostic(
      `${freedAlone} segments were freed with no checkpoint meanwhile; ${rig.segmentsReused} were used again, ` +
        `${rig.reusedBetweenCheckpoints} of them before the next checkpoint`,
    );
    assert.ok(freedAlone > 10, 'nobody waited for a checkpoint');
    assert.ok(rig.segmentsReused > 10, 'what was freed was used again');
  });
});

test('a full device refuses new data; overwrites, trims and deletes go on, and bring space back', async () => {
  await onRig({ ...shape, segments: 16 }, 2, async (rig) => {
    const { store } = rig.model;
    let held = 0;
    while ((await room(rig, blocksPerChunk * blockBytes)) === 'ok') {
      rig.model.write(held % 2, rangeOn(rig, held % 2, held >> 1, 0, blocksPerChunk), 'commits');
      held++;
    }
    assert.ok(held > 10, `${held} MiB fit`);
    await rig.model.synced();
    for (let i = 0; i < 4 * held; i++) {
      const chunk = i % held;
      assert.equal(await room(rig, 64 * blockBytes, 'replacing'), 'ok', 'what replaces goes on');
      rig.model.write(chunk % 2, rangeOn(rig, chunk % 2, chunk >> 1, (i * 64) % blocksPerChunk, 64), 'commits');
    }
    await rig.model.synced();
    assert.equal(store.roomFor(blocksPerChunk * blockBytes), 'full', 'full as before');
    await verifyAll(rig);
    for (let chunk = 0; chunk < 4; chunk++) rig.model.trim(0, rangeOn(rig, 0, chunk, 0, blocksPerChunk), 'commits');
    rig.model.drop(1, rangeOn(rig, 1, 0, 0, 1).volume, 'commits');
    await rig.model.synced();
    for (let waits = 0; (await room(rig, blocksPerChunk * blockBytes)) !== 'ok'; waits++) {
      assert.ok(waits < waitsMax, `what was trimmed and deleted is space again: ${JSON.stringify(store.health())}`);
      await rig.pause(1);
    }
    await verifyAll(rig);
  });
});
