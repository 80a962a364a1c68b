import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreletId } from '../../../src/base/ids.ts';
import { lossWindowMs } from '../../../src/membership/losses.ts';
import { Swarm } from './swarm.ts';

// A network that goes piece by piece must not make a view of each remnant: the last few would heal all data onto themselves.

const members = 7;
/** Past the grace of a start. */
const warmMs = 4000;

/** Three of seven are gone, and then another one. */
function shrunk(seed: number) {
  const swarm = new Swarm(seed, members);
  swarm.runUntil(() => false, warmMs);
  const [one, two, three, next, ...rest] = swarm.ids as readonly [
    CoreletId,
    CoreletId,
    CoreletId,
    CoreletId,
    ...CoreletId[],
  ];
  swarm.kill([one, two, three]);
  swarm.runUntil(() => swarm.agreed([next, ...rest]), 10_000);
  assert.equal(swarm.evicted.size, 3, 'a majority of the seven stays: they are removed');
  return { swarm, next, rest };
}

test('after three of seven, a fourth stays a member for a minute, the view says why, and then it is removed', () => {
  const { swarm, next, rest } = shrunk(1);
  const beganMs = swarm.nowMs;
  swarm.kill([next]);
  swarm.runUntil(() => swarm.evicted.has(next), lossWindowMs - 5000);
  assert(!swarm.evicted.has(next));
  for (const id of rest) {
    const { frozen, reason } = swarm.core(id).frozen;
    assert(frozen);
    assert.match(reason, /3 of 7 members were lost within a minute, and 1 more is silent/);
  }
  swarm.runUntil(() => swarm.evicted.has(next), 20_000);
  assert(swarm.evicted.has(next), `${swarm.nowMs - beganMs} ms after it was lost`);
});

test('after what was lost is made good, the next loss is one of its own', () => {
  const { swarm, next, rest } = shrunk(2);
  for (const id of [next, ...rest]) swarm.core(id).losses.madeGood();
  swarm.kill([next]);
  swarm.runUntil(() => swarm.evicted.has(next), 10_000);
  assert(swarm.evicted.has(next));
});
