import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreletId } from '../../../src/base/ids.ts';
import { Swarm } from './swarm.ts';

/** `CORELET_SEEDS=1000` for a sweep, in pieces with `CORELET_FIRST_SEED=250`; `npm test` looks at some. */
const seeds = Number(process.env.CORELET_SEEDS ?? 6);
const firstSeed = Number(process.env.CORELET_FIRST_SEED ?? 0);
const members = 24;
/** Past the grace of a start. */
const warmMs = 4000;

/** What is wrong with the member; `atMs` since the fault began. */
type Loss = (from: CoreletId, to: CoreletId, faulty: CoreletId, atMs: number) => number;

/** Rapid's three hard cases (Suresh et al., ATC 2018, §7). */
const cases: readonly (readonly [name: string, seconds: number, loss: Loss])[] = [
  ['a member that hears nobody, though all hear it', 15, (_, to, faulty) => (to === faulty ? 1 : 0)],
  [
    'a member that is cut off for 20 s, there for 20 s, and so on',
    42,
    (from, to, faulty, atMs) => ((from === faulty || to === faulty) && Math.floor(atMs / 20_000) % 2 === 0 ? 1 : 0),
  ],
  ['a member that loses four of five messages', 25, (from, to, faulty) => (from === faulty || to === faulty ? 0.8 : 0)],
];

for (const [name, seconds, loss] of cases) {
  test(`nobody else is evicted because of ${name}`, () => {
    let evicted = 0;
    let views = 0;
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const swarm = new Swarm(seed, members);
      swarm.runUntil(() => false, warmMs);
      const faulty = swarm.ids[seed % members] as CoreletId;
      const beganMs = swarm.nowMs;
      swarm.loses = (from, to) => loss(from, to, faulty, swarm.nowMs - beganMs);
      swarm.runUntil(() => false, 1000 * seconds);
      const wrong = [...swarm.evicted].filter((id) => id !== faulty);
      assert.deepEqual(wrong, [], `seed ${seed}: wrongly evicted`);
      if (swarm.evicted.has(faulty)) evicted++;
      views += swarm.views.size - 1;
    }
    console.log(`${name}: evicted in ${evicted} of ${seeds} runs, ${(views / seeds).toFixed(1)} decisions each`);
    assert.equal(evicted, seeds, 'who can not do its part goes');
  });
}

test('of 200 members ten are killed at once: one decision, agreed by all within 3 s', () => {
  const times: number[] = [];
  for (let seed = firstSeed; seed < firstSeed + Math.max(1, seeds / 10); seed++) {
    const swarm = new Swarm(seed, 200);
    swarm.runUntil(() => false, warmMs);
    const lost = Array.from({ length: 10 }, (_, i) => swarm.ids[(seed * 13 + i * 19) % 200] as CoreletId);
    const rest = swarm.ids.filter((id) => !lost.includes(id));
    swarm.kill(lost);
    times.push(swarm.runUntil(() => swarm.agreed(rest), 30_000));
    assert.equal(swarm.views.size, 2, 'one decision after the founding view');
    assert.deepEqual([...swarm.evicted].toSorted(), lost.toSorted());
  }
  console.log(`200 members without 10: agreed after ${times.map(Math.round).join(', ')} ms`);
  assert.ok(Math.max(...times) <= 3000);
});
