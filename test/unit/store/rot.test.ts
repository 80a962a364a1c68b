import assert from 'node:assert/strict';
import { test } from 'node:test';
import { usualThoroughness } from '../../../src/sim/store/explorer.ts';
import { storeReplayCommand } from '../../../src/sim/store/options.ts';
import { runStore } from '../../../src/sim/store/run.ts';
import { StoreTotals, tellStoreRun } from '../../../src/sim/store/tell.ts';

// A module with a bad sector goes on. Whoever loses one of these has arcs that take part with a gap in their log, or blocks
// that were mended and are bad again. `npm run sim -- --store --rot --minutes 60` looks for new seeds.

const operations = 150;
/** Fewer remainders of each write than where only power fails, more of what follows. */
const thoroughness = {
  ...usualThoroughness,
  subsetsPerPoint: 2,
  nestedShare: 0.2,
  fullShare: 0.03,
  resumedShare: 0.02,
};
const totals = new StoreTotals();

for (const seed of [3, 5]) {
  test(`rot in the log and in blocks, and a power loss at every write since: what is lost is said until it is dealt with, all else stands (seed ${seed})`, async (t) => {
    const report = await runStore({ seed, operations, thoroughness, rots: true });
    const plan = { kind: 'runs', count: 1 } as const;
    const options = { plan, operations, point: undefined, subset: undefined, rot: true, json: false };
    const { failure } = report;
    assert.equal(
      failure,
      undefined,
      failure && `${failure.message}\nreplay: ${storeReplayCommand(options, seed, failure)}`,
    );
    totals.add(report);
    t.diagnostic(tellStoreRun(report));
  });
}

test('enough was lost and mended that this says something', () => {
  const { losses, mended, crashes, nested, resumed } = totals.figures();
  assert.ok(
    losses >= 3 && mended >= 4 && crashes >= 800,
    `${losses} losses, ${mended} mended, ${crashes} crash points`,
  );
  assert.ok(nested > 0 && resumed > 0);
});

test('a device that rots again and again goes on: nothing is served wrong, nothing lost without a word', async () => {
  const sum = new StoreTotals();
  for (let seed = 101; seed <= 106; seed++) {
    const report = await runStore({ seed, operations: 400, rots: true, plain: true });
    assert.equal(report.failure, undefined, `seed ${seed}: ${report.failure?.message}`);
    sum.add(report);
  }
  const { losses, mended } = sum.figures();
  assert.ok(losses >= 10 && mended >= 50, `${losses} losses, ${mended} mended`);
});
