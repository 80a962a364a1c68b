import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prng } from '../../src/base/prng.ts';
import { CrashExplorer, type Moment, usualThoroughness } from '../../src/sim/store/explorer.ts';
import { parseStoreOptions, storeReplayCommand, storeRunOptions } from '../../src/sim/store/options.ts';
import { blankWitness, formatted, StoreRig } from '../../src/sim/store/rig.ts';
import { runStore, type StoreRunReport, usualShape } from '../../src/sim/store/run.ts';
import { StoreTotals, tellStoreRun } from '../../src/sim/store/tell.ts';
import { StoreWorkload } from '../../src/sim/store/workload.ts';

// Whoever loses one of these loses acknowledged data at a power cut. Fixed seeds, so that a red run is a change of the
// code; `npm run sim -- --store --minutes 60` looks for new ones, and tries more at each moment.

const operations = 600;
const crashesWanted = 20_000;
/** A little less at each moment than `npm run sim -- --store` tries. */
const thoroughness = { ...usualThoroughness, subsetsPerPoint: 8, fullShare: 0.006, resumedShare: 0.002 };

function told(report: StoreRunReport): string {
  const { seed, failure } = report;
  if (failure === undefined) return '';
  const options = {
    plan: { kind: 'runs', count: 1 },
    operations,
    point: undefined,
    subset: undefined,
    json: false,
  } as const;
  return `${failure.message}\nreplay: ${storeReplayCommand(options, seed, failure)}`;
}

const totals = new StoreTotals();

for (const seed of [1, 2, 3]) {
  test(`a power loss at every write and sync of a busy store, with any part of it there: all that was told stands, nothing else is there (seed ${seed})`, async (t) => {
    const report = await runStore({ seed, operations, thoroughness });
    assert.equal(report.failure, undefined, told(report));
    totals.add(report);
    t.diagnostic(tellStoreRun(report));
  });
}

test('the crash points that were tried are many, and of every kind', (t) => {
  const sum = totals.figures();
  t.diagnostic(
    `${sum.crashes} crash points, ${sum.nested} of them with a second crash, ${sum.afterReuse} after cleaning had reused ` +
      `segments, ${sum.betweenCheckpoints} where the newest checkpoint knew nothing of that`,
  );
  assert(sum.crashes >= crashesWanted, `${sum.crashes} crash points, ${crashesWanted} wanted`);
  const some = ['nested', 'resumed', 'severalUnderWay', 'afterReuse', 'full', 'restarts'] as const;
  for (const figure of some) assert(sum[figure] > 0, `no crash point is ${figure}: the seeds show less than they say`);
});

test('the same seed does the same, whether crashes are tried on the way or not: a failure replays', async () => {
  const plain = await runStore({ seed: 11, operations: 60, plain: true });
  const explored = await runStore({ seed: 11, operations: 60 });
  const only = await runStore({ seed: 11, operations: 60, only: { point: explored.moments, subset: 0 } });
  assert.equal(explored.failure, undefined, told(explored));
  assert.equal(explored.traceHash, plain.traceHash);
  assert.equal(only.crashes, 1);
  assert.equal(only.records, plain.records);
});

test('space comes back, and is used again, between two checkpoints; also on a device that is full most of the time', async (t) => {
  const sums = new StoreTotals();
  for (let seed = 21; seed <= 24; seed++) {
    const report = await runStore({ seed, operations: 1500, plain: true });
    assert.equal(report.failure, undefined, told(report));
    sums.add(report);
  }
  t.diagnostic(sums.tell(0));
  const { segmentsReused, reusedBetweenCheckpoints, full, replacedWhenFull, runs } = sums.figures();
  assert(segmentsReused > runs * usualShape.segments, 'each segment was used many times');
  assert(reusedBetweenCheckpoints > 0, 'without waiting for checkpoints');
  assert(full > 0 && replacedWhenFull > 0, 'also when the device was full');
});

/** A store at work, and what a power loss would find now. */
async function momentAfter(seed: number, count: number): Promise<{ rig: StoreRig; moment: () => Moment }> {
  const random = new Prng(seed, 'moment');
  const rig = new StoreRig(await formatted(usualShape, seed), blankWitness(usualShape), usualShape, random.fork('rig'));
  const workload = new StoreWorkload(rig, random.fork('workload'), { arcs: usualShape.arcs, ends: false });
  const work = async (): Promise<void> => {
    await rig.open();
    await workload.run(count);
  };
  await rig.engine.settle(work(), Number.MAX_SAFE_INTEGER);
  const moment = (): Moment => ({
    point: 1,
    medium: rig.device.medium,
    underWay: [],
    witness: rig.witness,
    reused: false,
    betweenCheckpoints: false,
  });
  return { rig, moment };
}

async function verdict(moment: Moment): Promise<string> {
  const explorer = new CrashExplorer(1, usualShape, { ...usualThoroughness, fullShare: 1 });
  return (await explorer.explore(moment))?.message ?? 'ok';
}

test('the explorer sees what it is there to see: a write that was told and is not there, and a wrong byte', async () => {
  const { rig, moment } = await momentAfter(5, 40);
  assert.equal(await verdict(moment()), 'ok');

  // A device that told a write durable and lost it: as if power had failed a moment ago.
  const earlier = rig.device.medium.clone();
  const work = async (): Promise<void> => {
    rig.model.vote(0);
    await rig.model.synced();
  };
  await rig.engine.settle(work(), Number.MAX_SAFE_INTEGER);
  assert.equal(await verdict(moment()), 'ok');
  assert.match(await verdict({ ...moment(), medium: earlier }), /INV-1: record \d+ was told durable/);

  const rotten = rig.device.medium.clone();
  const { model } = rig;
  const [arc, chunk, block] = firstBlockOf(rig);
  const page = await rig.engine.settle(Promise.resolve(model.space.of(arc as never).load(chunk)), 1000);
  const position = page?.value?.positions[block] as number;
  const byte = new Uint8Array(1);
  rotten.read(position + 700, byte);
  rotten.write(position + 700, Uint8Array.of((byte[0] as number) ^ 1));
  assert.match(await verdict({ ...moment(), medium: rotten }), /INV-4: .* is CORRUPT|INV-1/);
});

function firstBlockOf(rig: StoreRig): [number, { volume: never; layer: number; chunk: number }, number] {
  for (const [arc, { life }] of rig.witness.arcs.entries()) {
    for (const { key, holds } of life?.chunks.values() ?? []) {
      const block = holds.indexOf(1);
      if (block >= 0) return [arc, key as never, block];
    }
  }
  throw new Error('nothing was written');
}

test('a replay command means the same crash; bad arguments get one clear line', () => {
  const asked = parseStoreOptions(['--seed', '7', '--ops', '50']);
  assert(typeof asked !== 'string');
  const command = storeReplayCommand(asked, 7, { point: 31, subset: 2, message: '' });
  const words = command.replace('npm run sim -- --store ', '').split(' ');
  const again = parseStoreOptions(words);
  assert(typeof again !== 'string');
  assert.deepEqual(storeRunOptions(again, 7), { seed: 7, operations: 50, only: { point: 31, subset: 2 } });
  const bad = [
    ['--point', '3', '--seeds', '1..2'],
    ['--subset', '1', '--seed', '1'],
    ['--ops', 'many'],
    ['--slots', '5'],
    ['--seed', 'x'],
    ['seed'],
  ];
  for (const args of bad) assert.equal(typeof parseStoreOptions(args), 'string', args.join(' '));
});
