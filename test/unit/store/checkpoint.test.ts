import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prng } from '../../../src/base/prng.ts';
import { sectorsOf } from '../../../src/sim/store/device.ts';
import type { RigShape, StoreRig } from '../../../src/sim/store/rig.ts';
import { randomFates } from '../../../src/sim/store/subsets.ts';
import { StoreWorkload } from '../../../src/sim/store/workload.ts';
import type { Flash } from '../../../src/ports/flash.ts';
import { anchorPositions } from '../../../src/store/checkpoint.ts';
import { anchorsIn, loadCheckpoint, readAnchorPages } from '../../../src/store/checkpoint-load.ts';
import { markOf } from '../../../src/store/format.ts';
import { MapSpace } from '../../../src/store/map-space.ts';
import { readSuperblock } from '../../../src/store/superblock.ts';
import { onRig, verifyAll } from './on-rig.ts';

const shape: RigShape = { segments: 64, arcs: 3, mapBytes: 30_000 };

function workOn(rig: StoreRig, random: Prng): StoreWorkload {
  return new StoreWorkload(rig, random, { arcs: shape.arcs, ends: false });
}

test('a restart begins from the newest checkpoint, reads only what came later, and is what it was', async () => {
  await onRig(shape, 1, async (rig) => {
    const workload = workOn(rig, new Prng(7));
    await workload.run(200);
    await rig.model.store.checkpoint();
    const { checkpoint } = rig.model.store.health();
    for (let i = 0; i < 20; i++) rig.model.vote(0);
    await rig.model.synced();
    rig.crash(new Uint8Array(sectorsOf(rig.device.underWay)));
    await rig.open();
    const { recovery } = rig.model.store;
    assert.equal(recovery.checkpoint, checkpoint);
    assert.ok(recovery.records < 150, `${recovery.records} records were read again`);
    assert.ok((await verifyAll(rig)) > 100);
  });
});

test('many checkpoints, restarts and crashes at any time, with little memory for the map', async () => {
  for (let seed = 1; seed <= 6; seed++) {
    await onRig(shape, seed, async (rig) => {
      const random = new Prng(seed, 'many');
      for (let life = 0; life < 6; life++) {
        const workload = workOn(rig, random.fork(`life ${life}`));
        await workload.run(40 + random.below(60));
        const pass = random.chance(0.8) ? rig.model.store.checkpoint() : undefined;
        await workload.run(random.below(60));
        if (random.chance(0.5)) await pass;
        rig.crash(randomFates(sectorsOf(rig.device.underWay), random));
        await rig.open();
        await verifyAll(rig);
      }
      assert.ok(rig.model.store.recovery.checkpoint > 0);
    });
  }
});

/** Where every copy of every piece of the newest checkpoint lies, as the device tells. */
async function piecesOn(rig: StoreRig): Promise<number[]> {
  const read = async (position: number, into: Uint8Array): Promise<void> => rig.device.medium.read(position, into);
  const flash = { sizeBytes: rig.device.sizeBytes, read } as Flash;
  const found = await readSuperblock(flash);
  assert.ok(found.ok);
  const loaded = await loadCheckpoint(
    flash,
    anchorsIn(await readAnchorPages(flash, markOf(found.superblock))),
    new MapSpace(),
  );
  assert.ok(loaded !== undefined);
  const { anchor, checkpoint, groups } = loaded;
  const refs = [anchor.table, checkpoint.segments];
  for (const { state, root } of checkpoint.arcs) refs.push(state, ...(root === undefined ? [] : [root]));
  for (const parts of groups.values()) refs.push(...parts.map(({ table }) => table));
  return [...refs.flatMap(({ position, mirror }) => [position, mirror]), ...(anchorPositions[anchor.number % 2] ?? [])];
}

test('a checkpoint that rots in both copies while the store runs is written anew when somebody looks: a restart finds all of it', async () => {
  await onRig(shape, 1, async (rig) => {
    await workOn(rig, new Prng(7)).run(200);
    const { store } = rig.model;
    await store.checkpoint();
    assert.deepEqual(await store.mendOwn(false), { superblocks: 0, tables: 0 });
    const { checkpoint } = store.health();
    const pieces = await piecesOn(rig);
    for (const position of pieces) rig.device.medium.write(position + 9, Uint8Array.of(0xa5, 0x5a, 0xa5));
    assert.deepEqual(await store.mendOwn(false), { superblocks: 0, tables: pieces.length });
    assert.deepEqual(await store.mendOwn(false), { superblocks: 0, tables: 0 }, 'all is whole again');
    rig.crash(new Uint8Array(sectorsOf(rig.device.underWay)));
    await rig.open();
    assert.ok(rig.model.store.recovery.checkpoint > checkpoint);
    assert.equal(rig.losses, 0, 'nothing was lost');
    assert.ok((await verifyAll(rig)) > 100);
  });
});
