import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memberId } from '../../../src/arc/members.ts';
import type { CoreletId } from '../../../src/base/ids.ts';
import { type ArcFacts, fullTargets, planStep } from '../../../src/healing/plan.ts';

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
    hasRoom: () => true,
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

test('no copy is begun where there is no room; of two that are wanted, the one with room is', () => {
  const configuration = { voters: voters.slice(0, 1), votersOutgoing: [], learners: [] };
  const full = facts({ configuration, hasRoom: () => false });
  assert.deepEqual([planStep(full), fullTargets(full)], [{ kind: 'none' }, [b, c]]);
  const half = facts({ configuration, hasRoom: (id) => id === c });
  assert.deepEqual([planStep(half), fullTargets(half)], [{ kind: 'addLearner', id: c }, []]);
});

test('nothing waits for room that lacks nothing, or whose copy is on its way', () => {
  assert.deepEqual(fullTargets(facts({ hasRoom: () => false })), []);
  const configuration = { voters: voters.slice(0, 2), votersOutgoing: [], learners: [memberId(c, 9)] };
  assert.deepEqual(fullTargets(facts({ configuration, hasRoom: () => false })), []);
});
