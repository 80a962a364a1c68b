import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prng } from '../../../src/base/prng.ts';
import { SimFlash } from '../../../src/sim/flash.ts';
import { Store } from '../../../src/store/store.ts';
import { Model } from './model.ts';
import { TestClock } from './test-ports.ts';
import { cluster, corelet, mebibyte } from './workload.ts';

const clock = new TestClock();

async function formatted(seed: number, segments: number): Promise<SimFlash> {
  const sizeBytes = (1 + 4 * segments) * mebibyte;
  const medium = new SimFlash(clock, new Prng(seed), { sizeBytes, sectorBytes: 4096 });
  const format = { cluster, corelet, founding: new Uint8Array(0), segmentBytes: 4 * mebibyte };
  await Store.format(medium.attach(), format, new Prng(seed, 'format'));
  return medium;
}

/** Waits for room as a host would that is told to try again. */
async function room(model: Model, bytes: number): Promise<'ok' | 'full'> {
  for (let tries = 0; tries < 5000; tries++) {
    const answer = model.store.roomFor(bytes);
    if (answer !== 'busy') return answer;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`still no room: ${JSON.stringify(model.store.health())}`);
}

async function overwrite(model: Model, random: Prng, writes: number, chunks: number): Promise<number> {
  let full = 0;
  for (let i = 0; i < writes; i++) {
    const count = 1 + random.below(8);
    if ((await room(model, count * 4096)) === 'full') {
      full++;
      model.trim(random.below(2), random.below(chunks), 0, 64);
      await model.synced();
      continue;
    }
    model.write(random.below(2), random.below(chunks), random.below(256 - count), count);
    if (i % 8 === 7) await model.synced();
  }
  await model.synced();
  return full;
}

test('many times the size of the device is written: space comes back, and every block is what was told', async () => {
  const medium = await formatted(1, 24);
  const random = new Prng(5);
  let model = await Model.open(medium.attach(), clock, { arcs: 2, mapBytes: 200_000 });
  for (let life = 0; life < 4; life++) {
    await overwrite(model, random, 3000, 16);
    medium.crash({ tear: true });
    model = await Model.open(medium.attach(), clock, { arcs: 2, mapBytes: 200_000, seen: model.seen });
    assert.deepEqual(model.lostBatches, []);
    assert.ok((await model.verify()) > 1000);
  }
  const health = model.store.health();
  assert.ok(health.segmentUsesMax > 2, 'segments were used again');
  assert.equal(health.badReads, 0);
});

test('a full device refuses new data, still trims, and takes new data again', async () => {
  const medium = await formatted(2, 16);
  const random = new Prng(6);
  const model = await Model.open(medium.attach(), clock, { arcs: 2 });
  const full = await overwrite(model, random, 4000, 40);
  assert.ok(full > 0, 'it was full');
  for (let chunk = 0; chunk < 20; chunk++) for (const arc of [0, 1]) model.trim(arc, chunk, 0, 256);
  await model.synced();
  assert.equal(await room(model, 4096), 'ok', 'what was trimmed is space again');
  await model.verify();
});
