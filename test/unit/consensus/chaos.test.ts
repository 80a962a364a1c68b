import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memberIds } from '../../../src/consensus/quorum.ts';
import { Chaos } from './chaos.ts';

const faultySteps = 2500;
const calmStepsMax = 4000;

function run(seed: number): Chaos {
  const chaos = new Chaos(seed);
  for (let i = 0; i < faultySteps; i++) chaos.step();
  chaos.calm();
  for (let i = 0; i < 100; i++) chaos.step();
  return chaos;
}

/** Work stops too: what is left must be finished, and told to everybody. */
function settle(chaos: Chaos): void {
  chaos.working = false;
  let steps = 0;
  while (!chaos.converged() || !chaos.idle()) {
    steps += 1;
    assert.ok(steps < calmStepsMax, `INV-9: not converged\n${chaos.describe()}`);
    chaos.step();
  }
}

const single = process.env['CHAOS_SEED'];
const first = single === undefined ? 0 : Number(single);
const count = single === undefined ? Number(process.env['CHAOS_SEEDS'] ?? 300) : 1;

test(`under ${count} schedules of faults no committed entry is lost or changed, and the group recovers`, () => {
  let committed = 0;
  let elections = 0;
  let reads = 0;
  for (let seed = first; seed < first + count; seed++) {
    try {
      const chaos = run(seed);
      settle(chaos);
      const leader = chaos.leader();
      assert.ok(leader !== undefined);
      for (const member of memberIds(leader.running.configuration)) {
        assert.deepEqual(
          chaos.replicas.get(member)?.bodies,
          leader.bodies,
          `INV-6: ${member} differs from ${leader.id}`,
        );
      }
      committed += chaos.checker.committed.length;
      elections += chaos.checker.elections;
      reads += chaos.checker.readsChecked;
    } catch (error) {
      throw new Error(`replay with CHAOS_SEED=${seed}: ${(error as Error).stack}`, { cause: error });
    }
  }
  // A schedule in which nothing happens proves nothing.
  assert.ok(committed > 50 * count && elections > 2 * count && reads > count, `${committed} ${elections} ${reads}`);
});
