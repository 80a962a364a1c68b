import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blockBytes, chunkBytes } from '../../src/base/ids.ts';
import type { IoResult } from '../../src/volume/block-device.ts';
import { SimClock } from '../../src/sim/clock.ts';
import { SimCluster } from '../../src/sim/cluster.ts';
import { coreletProgram } from '../../src/sim/corelet-program.ts';
import { SimEngine } from '../../src/sim/engine.ts';
import { SimNetwork } from '../../src/sim/fabric.ts';
import { SimFlash } from '../../src/sim/flash.ts';
import type { SimMedium } from '../../src/sim/program.ts';
import { SimRandom } from '../../src/sim/random.ts';

// On one machine all Corelets share its cores. Here each has a flash of its own, as in a chassis: whether a rebuild is
// many to many shows in virtual time, which is the same on every machine.

const copies = 3;
const arcs = 256;
const chunks = 2048;
/** Of each chunk: enough for the flashes to be what takes the time, little enough to be simulated quickly. */
const blocksWritten = 16;
const flashBytes = 512 * 1024 * 1024;
const flashBytesPerMs = 8_000;
const writesAtOnce = 16;
const victim = 3;
/**
 * Placement deals whole arcs: with few of them on each Corelet, one has more than its share; and some tenths of a second go by
 * while voters change, however little there is to copy. So one doubling may do less than halve it, both together may not.
 */
const oneDoublingAtMost = 0.7;
const bothDoublingsAtMost = 0.3;

/** Virtual milliseconds from the moment the module is out of the view until every arc is full again. */
async function rebuildMs(slots: number): Promise<{ tookMs: number; copiedBytes: number }> {
  const engine = new SimEngine();
  const random = new SimRandom(7);
  const clock = new SimClock(engine, engine.world);
  const wires = new SimNetwork(clock, random.stream('network'), {});
  const makeMedium = (label: string): SimMedium => {
    const options = { sizeBytes: flashBytes, bytesPerMs: flashBytesPerMs };
    const flash = new SimFlash(clock, random.stream(`flash of ${label}`), options);
    return {
      attach: () => flash.attach(),
      crash: () => flash.crash(),
      setSlowness: (factor) => {
        flash.slowFactor = factor;
      },
    };
  };
  const shape = { slots, arcs, copies };
  const cluster = new SimCluster(engine, random, coreletProgram({ flashBytes }), { wires, makeMedium }, shape);
  assert(await engine.settle(cluster.found(), 30_000), 'the cluster starts');
  const first = cluster.handle(0);
  assert(first !== undefined);
  const until = async (what: string, holds: () => boolean): Promise<void> => {
    for (const endMs = engine.nowMs + 120_000; !holds(); ) {
      assert(engine.nowMs < endMs, what);
      await engine.run(engine.nowMs + 10);
    }
  };
  const isFull = (): boolean => first.status().arcs.full === arcs;
  await until('all arcs are served', isFull);
  await fill(engine, cluster);
  await until('all copies are complete', isFull);
  await engine.run(engine.nowMs + 1000);
  const used = (): number =>
    first
      .status()
      .slots.filter(({ slot }) => slot !== victim)
      .reduce((sum, { usedBytes }) => sum + usedBytes, 0);
  const usedBefore = used();
  cluster.crash(victim);
  await until('the others noticed', () => first.status().view.members === slots - 1);
  const beganMs = engine.nowMs;
  await until('all arcs are full again', isFull);
  const tookMs = engine.nowMs - beganMs;
  await engine.run(engine.nowMs + 1000);
  const copiedBytes = used() - usedBefore;
  assert.deepEqual(cluster.violations, []);
  for (const { index } of cluster.slots) cluster.crash(index);
  return { tookMs, copiedBytes };
}

/** Some blocks of every chunk of a new volume. */
async function fill(engine: SimEngine, cluster: SimCluster): Promise<void> {
  const handle = cluster.handle(0);
  const request = { name: 'data', sizeBytes: chunks * chunkBytes, copies };
  const made = await engine.settle(handle?.volumes.create(request) ?? Promise.reject(), 10_000);
  assert(made?.value.ok === true, 'the volume is made');
  const opened = await engine.settle(handle?.catalog.open('data') ?? Promise.reject(), 10_000);
  assert(opened !== undefined && typeof opened.value === 'object', 'the volume opens');
  const device = opened.value;
  const content = new Uint8Array(blocksWritten * blockBytes).fill(7);
  for (let chunk = 0; chunk < chunks; chunk += writesAtOnce) {
    const writes: Promise<IoResult>[] = [];
    for (let i = 0; i < writesAtOnce; i++) writes.push(device.write((chunk + i) * chunkBytes, [content]));
    const results = await engine.settle(Promise.all(writes), 30_000);
    assert(results?.value.every(({ ok }) => ok) === true, 'it takes the data');
  }
}

test('the same data on twice the Corelets is whole again in about half the time', async (t) => {
  const took: number[] = [];
  for (const slots of [6, 12, 24]) {
    const { tookMs, copiedBytes } = await rebuildMs(slots);
    took.push(tookMs);
    t.diagnostic(`${slots} slots: ${Math.round(tookMs)} ms, ${(copiedBytes / 2 ** 20).toFixed(1)} MiB copied`);
  }
  const [six = 0, twelve = 0, twentyFour = 0] = took;
  const story = `milliseconds: ${took.join(', ')}`;
  assert(twelve <= oneDoublingAtMost * six && twentyFour <= oneDoublingAtMost * twelve, story);
  assert(twentyFour <= bothDoublingsAtMost * six, story);
});
