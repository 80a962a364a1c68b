import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type DemoChassis, startChassis } from '../chassis.ts';

/**
 * A processor that gets hardly any time: its process stands still nine tenths of it, a turn at a time. Turns are of different lengths:
 * who asks it does so once a second, and would hit the moment in which it runs each time, or never.
 */
const standsStillMs = 180;
const runsMs = 20;

let chassis: DemoChassis | undefined;
let turn: NodeJS.Timeout | undefined;

function slowDown(pid: number): void {
  process.kill(pid, 'SIGSTOP');
  turn = setTimeout(
    () => {
      process.kill(pid, 'SIGCONT');
      turn = setTimeout(() => slowDown(pid), runsMs);
    },
    standsStillMs * (0.5 + Math.random()),
  );
}

after(async () => {
  clearTimeout(turn);
  await chassis?.stop();
});

test('a Corelet that answers slowly, with a sound flash, sits out, says why, and comes back when it is quick again', async () => {
  chassis = await startChassis({ slots: 4 });
  await chassis.full();
  const [, , slow] = chassis.slots();
  assert.ok(slow !== undefined);
  slowDown(slow.pid);
  const { slots, arcs } = await chassis.until('the slow one sits out', 90_000, (status) =>
    status.slots.some(({ slot, state }) => slot === slow.slot && state === 'sitting-out'),
  );
  assert.equal(arcs.unavailable, 0);
  const why = slots.find(({ slot }) => slot === slow.slot)?.slow;
  assert.ok(why?.answersMs !== undefined && why.answersUsualMs !== undefined, 'its answers are the cause');
  assert.ok(why.answersMs > why.answersUsualMs);
  assert.equal(why.flashMs, undefined, 'its flash is not');
  const told = await chassis.corelet(['why', String(slow.slot)]);
  assert.match(told.stdout, /sits out: its answers take [\d.]+ ms, where [\d.]+ ms are usual/);

  clearTimeout(turn);
  process.kill(slow.pid, 'SIGCONT');
  await chassis.until('it is back', 90_000, (status) =>
    status.slots.some(({ slot, state }) => slot === slow.slot && state === 'live'),
  );
});
