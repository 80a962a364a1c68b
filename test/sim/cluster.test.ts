import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { runWithCrew } from '../../src/sim/crew.ts';
import { faultKinds, usualWeights } from '../../src/sim/nemesis.ts';
import { parseOptions, replayCommand } from '../../src/sim/options.ts';
import type { SimOptions } from '../../src/sim/options.ts';
import type { RunReport } from '../../src/sim/run.ts';
import { runOnce } from '../../src/sim/run.ts';
import { runOptionsOf } from '../../src/sim/seeded.ts';
import { tellFailure, Totals } from '../../src/sim/tell.ts';

function optionsOf(...args: readonly string[]): SimOptions {
  const options = parseOptions(args);
  assert(typeof options !== 'string', 'the arguments are good');
  return options;
}

async function runAll(first: number, last: number, options: SimOptions): Promise<RunReport[]> {
  const seeds = Array.from({ length: last - first + 1 }, (_, at) => first + at).values();
  const reports: RunReport[] = [];
  await runWithCrew(seeds, Math.min(2, availableParallelism()), options, (report) => reports.push(report));
  return reports;
}

function expectNoViolation(reports: readonly RunReport[], options: SimOptions): void {
  for (const report of reports) {
    assert.equal(report.violations.length, 0, tellFailure(report, replayCommand(options, report.seed)));
    assert.equal(report.uncheckedRegisters, 0);
  }
}

// Whoever loses one of these loses data, or waits for ever: see docs/invariants.md. Fixed seeds, so that a red run is a
// change of the code; `npm run sim -- --minutes 60` looks for new ones.

const seeds = 500;
const operationsPerSeed = 2000;
/** Half the arcs of the usual run: the same promises, and more operations per second. */
const stormy = ['--ops', String(operationsPerSeed), '--arcs', '8', '--queue-depth', '3', '--faults-per-second', '10'];

test(`a cluster under every kind of fault keeps all its promises: ${seeds} seeds`, async (t) => {
  const options = optionsOf(...stormy);
  const reports = await runAll(1, seeds, options);
  const totals = new Totals();
  for (const report of reports) totals.add(report);
  t.diagnostic(totals.tell(reports.filter(({ violations }) => violations.length > 0).length));
  expectNoViolation(reports, options);
  const { operations, faults, durableChecks } = totals.figures();
  assert(operations >= seeds * operationsPerSeed, `${operations} operations`);
  const struck = Object.values(faults).reduce((sum, count) => sum + count, 0);
  assert(struck >= 20 * seeds, `${struck} faults`);
  assert(durableChecks > operations / 4, 'the media were asked for acknowledged writes');
  for (const kind of faultKinds) {
    if ((usualWeights[kind] ?? 0) > 0) assert((faults[kind] ?? 0) > 0, `no ${kind}: the seeds show less than they say`);
  }
});

const rareSeeds = { first: 19, last: 39 };
/** Kinds that are dear, or destroy: they come only when named. `suspend` stays out: docs/testing.md tells why. */
const withRareKinds = [...stormy, '--faults', faultKinds.filter((kind) => kind !== 'suspend').join(',')];

test(`a module that rots, lies, is put back or runs twice costs nobody a byte: seeds ${rareSeeds.first} to ${rareSeeds.last}`, async () => {
  const options = optionsOf(...withRareKinds);
  expectNoViolation(await runAll(rareSeeds.first, rareSeeds.last, options), options);
});

// Seeds that once were red, with their operations, by what they showed. 2, 12: see above.
const onceRed = [
  [32, 3000, 'a learner that a dead leader left behind stopped its arc from healing'],
  [60, 6000, 'a leader that had slept brought a life back that its replica had ended'],
  [
    136,
    3000,
    'a leader that had slept offered a copy to a life of a replica that was over, and its true one was dropped',
  ],
  [192, 3000, 'the same, for another arc'],
] as const;

for (const [seed, operations, story] of onceRed) {
  test(`seed ${seed} stays green: ${story}`, async () => {
    const options = optionsOf('--ops', String(operations), '--faults-per-second', '5');
    expectNoViolation([await runOnce(runOptionsOf(options, seed))], options);
  });
}

test('a blank module in the place of another becomes a full member, again and again', async () => {
  const options = optionsOf(
    '--faults',
    'blank',
    '--faults-per-second',
    '1',
    '--virtual-seconds',
    '20',
    '--ops',
    '1000000',
    '--hosts',
    '1',
  );
  const reports = await runAll(1, 2, options);
  expectNoViolation(reports, options);
  for (const report of reports) assert((report.faults['blank'] ?? 0) >= 2);
});

test('the whole cluster replays: the same seed gives the same trace', async () => {
  const options = optionsOf('--ops', '600', '--faults-per-second', '8');
  const first = await runOnce(runOptionsOf(options, 5));
  const second = await runOnce(runOptionsOf(options, 5));
  assert.equal(first.traceHash, second.traceHash);
  assert.equal(first.events, second.events);
});
