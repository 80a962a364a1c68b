import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memberId } from '../../../src/arc/members.ts';
import type { CoreletId } from '../../../src/base/ids.ts';
import { type ArcFacts, planStep } from '../../../src/healing/plan.ts';

// An arc whose copy came back under a new generation has one vote less until this plan has replaced it (INV-9, INV-10).

const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(32) as CoreletId) as [
  CoreletId,
  CoreletId,
  CoreletId,
  CoreletId,
];
const voters = [memberId(a, 1), memberId(b, 1), memberId(c, 1)];

function facts(changes: Partial<ArcFacts>): ArcFacts {
  return {
    self: a,
    configuration: { voters, votersOutgoing: [], learners: [] },
    target: [a, b, c],
    copies: 3,
    home: undefined,
    settled: true,
    isAlive: () => true,
    inView: () => true,
    isCaughtUp: () => true,
    isEnded: () => false,
    isStuck: () => false,
    ...changes,
  };
}
const isEnded = (member: string) => member === memberId(b, 1);

test('a voter whose life is over comes back as a learner, on the same Corelet', () => {
  assert.deepEqual(planStep(facts({ isEnded })), { kind: 'addLearner', id: b });
});

test('caught up, it takes the place of its own former life: one voter in a change, none lost', () => {
  const learner = memberId(b, 7);
  const configuration = { voters, votersOutgoing: [], learners: [learner] };
  assert.deepEqual(planStep(facts({ configuration, isEnded })), { kind: 'replace', learner, victim: memberId(b, 1) });
});

test('until it is caught up, nothing changes: its blocks of before are no vote', () => {
  const configuration = { voters, votersOutgoing: [], learners: [memberId(b, 7)] };
  assert.deepEqual(planStep(facts({ configuration, isEnded, isCaughtUp: () => false })), { kind: 'none' });
});

test('a learner whose life ended as well makes room for the next', () => {
  const learner = memberId(b, 7);
  const configuration = { voters, votersOutgoing: [], learners: [learner] };
  const step = planStep(facts({ configuration, isEnded, isStuck: (member) => member === learner }));
  assert.deepEqual(step, { kind: 'removeLearner', learner });
});

test('where placement wants another Corelet, the life that is over goes before a good voter', () => {
  const learner = memberId(d, 5);
  const configuration = { voters, votersOutgoing: [], learners: [learner] };
  const step = planStep(facts({ configuration, isEnded, target: [a, b, d] }));
  assert.deepEqual(step, { kind: 'replace', learner, victim: memberId(b, 1) });
});
