import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prng } from '../../../src/base/prng.ts';
import { SimFlash } from '../../../src/sim/flash.ts';
import { Store } from '../../../src/store/store.ts';
import { Model } from './model.ts';
import { TestClock } from './test-ports.ts';
import { cluster, corelet, mebibyte } from './workload.ts';

const clock = new TestClock();

async function formatted(seed: number, sizeBytes = 65 * mebibyte): Promise<SimFlash> {
  const medium = new SimFlash(clock, new Prng(seed), { sizeBytes, sectorBytes: 4096 });
  const format = { cluster, corelet, founding: new Uint8Array(0), segmentBytes: 4 * mebibyte };
  await Store.format(medium.attach(), format, new Prng(seed, 'format'));
  return medium;
}

async function work(model: Model, random: Prng, steps: number): Promise<void> {
  for (let step = 0; step < steps; step++) {
    const pick = random.fraction();
    const arc = random.below(3);
    const first = random.below(250);
    if (pick < 0.9) model.write(arc, random.below(6), first, 1 + random.below(4));
    else if (pick < 0.97) model.trim(arc, random.below(6), first, 1 + random.below(6));
    else model.vote(arc);
    if (random.fraction() < 0.1) await new Promise((resolve) => setImmediate(resolve));
  }
  await model.synced();
}

test('a restart begins from the newest checkpoint, reads only what came later, and is what it was', async () => {
  const medium = await formatted(1);
  const random = new Prng(7);
  let model = await Model.open(medium.attach(), clock, { arcs: 3 });
  await work(model, random, 300);
  await model.store.checkpoint();
  await work(model, random, 20);
  const { seen } = model;
  medium.crash();
  model = await Model.open(medium.attach(), clock, { arcs: 3, seen });
  assert.equal(model.store.recovery.checkpoint, 1);
  assert.ok(model.store.recovery.records < 150, `${model.store.recovery.records} records were read again`);
  assert.ok((await model.verify()) > 100);
});

test('many checkpoints, restarts and crashes at any time, with little memory for the map', async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const medium = await formatted(seed, 257 * mebibyte);
    const random = new Prng(seed, 'many');
    let model = await Model.open(medium.attach(), clock, { arcs: 3, mapBytes: 30_000 });
    for (let life = 0; life < 6; life++) {
      await work(model, random, 40 + random.below(100));
      const pass = random.fraction() < 0.8 ? model.store.checkpoint() : undefined;
      await work(model, random, random.below(60));
      if (random.fraction() < 0.5) await pass;
      medium.crash({ tear: true });
      model = await Model.open(medium.attach(), clock, { arcs: 3, seen: model.seen, mapBytes: 30_000 });
      assert.deepEqual(model.lostBatches, []);
      await model.verify();
    }
    assert.ok(model.store.recovery.checkpoint > 0);
  }
});
