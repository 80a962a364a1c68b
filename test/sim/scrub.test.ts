import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ScrubRound } from '../../src/healing/scrub.ts';
import { RepairRig } from './repair-rig.ts';

// Rot that nobody reads waits for the second failure: then there is no copy left to mend it from (design §6, §10.8).

const shape = { slots: 3, arcs: 4, copies: 3 };

/** Every Corelet reads all that it holds. */
async function scrubAll(rig: RepairRig): Promise<ScrubRound[]> {
  const rounds: ScrubRound[] = [];
  for (const { index } of rig.cluster.slots) {
    const answer = await rig.engine.settle(rig.cluster.handle(index)?.scrub() ?? Promise.resolve(undefined), 600_000);
    const scrubbed = answer?.value;
    assert(
      scrubbed?.ok === true && scrubbed.value.completed !== null,
      `slot ${index} scrubs to the end\n${rig.story()}`,
    );
    rounds.push(scrubbed.value.completed);
  }
  return rounds;
}

for (const how of ['flips', 'unreadable'] as const) {
  test(`a scrub finds what went bad at rest (${how}), mends it, and finds nothing the next time`, async () => {
    const rig = new RepairRig(how === 'flips' ? 31 : 32, shape, 1500);
    await rig.begin();
    await rig.work(60_000);
    await rig.converge();
    rig.rot(1, 300, how);
    const first = await scrubAll(rig);
    const bad = first[1]?.badBlocks ?? 0;
    assert(bad > 8, `rot was found where it was: ${JSON.stringify(first)}`);
    assert.equal(first[1]?.repairedBlocks, bad, `all of it was mended\n${rig.story()}`);
    for (const round of [first[0], first[2], ...(await scrubAll(rig))]) {
      assert.equal(round?.badBlocks, 0, JSON.stringify(round));
      assert.equal(round?.differing, 0, `copies are equal: ${JSON.stringify(round)}\n${rig.story()}`);
      assert.equal(round?.unsettled, 0, JSON.stringify(round));
    }
    assert(
      first.some(({ comparisons }) => comparisons > 0),
      'leaders compared digests',
    );
    await rig.judge();
    rig.end();
  });
}

test('a scrub under load, with rot that goes on, gives hosts no error and no wrong byte', async () => {
  const rig = new RepairRig(33, shape, 4000);
  await rig.begin();
  await rig.work(500);
  for (let round = 0; round < 6 && !rig.workload.done; round++) {
    rig.rot(2, 100, 'flips');
    await scrubAll(rig);
  }
  rig.workload.stop();
  await rig.converge();
  await scrubAll(rig);
  for (const round of await scrubAll(rig)) assert.equal(round.badBlocks + round.unsettled, 0, JSON.stringify(round));
  await rig.judge();
  rig.end();
});
