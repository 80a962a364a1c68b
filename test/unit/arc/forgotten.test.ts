import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CopyStanding, isForgotten } from '../../../src/arc/forgotten.ts';
import type { ArcId, CoreletId } from '../../../src/base/ids.ts';
import type { Route } from '../../../src/wire/peer/types.ts';

const [self, a, b, c] = ['5', 'a', 'b', 'c'].map((digit) => digit.repeat(32) as CoreletId) as [
  CoreletId,
  CoreletId,
  CoreletId,
  CoreletId,
];
const generation = 7;

/** A learner whose log ends with the configuration that made it one: of term 6 at index 560, not known to be committed. */
function learner(more: { commitIndex?: number; termUnknown?: boolean } = {}): CopyStanding {
  const { commitIndex = 557, termUnknown = false } = more;
  const term = termUnknown ? undefined : 6;
  const core = { configurationIndex: 560, commitIndex, termAt: (index: number) => (index === 560 ? term : undefined) };
  return { generation, installed: true, isLeader: false, isRemoved: false, core };
}

function route(term: number, configurationIndex: number, learners: Route['learners'] = []): Route {
  const voters = [a, b, c].map((id) => ({ id, generation: 1 }));
  const rest = { votersOutgoing: [], complete: 3, healBytesLeft: 0, waitsForRoom: false };
  return { arc: 2 as ArcId, term, leader: a, configurationIndex, voters, learners, ...rest };
}

test('a later configuration without it: forgotten; one that names it, or an older life of it: not, and forgotten', () => {
  assert.equal(isForgotten(learner(), route(6, 600), self), true);
  assert.equal(isForgotten(learner(), route(6, 600, [{ id: self, generation }]), self), false);
  assert.equal(isForgotten(learner(), route(6, 600, [{ id: self, generation: generation + 1 }]), self), true);
});

test('its own configuration was never committed, and a leader of a later term goes on with an earlier one: forgotten', () => {
  assert.equal(isForgotten(learner(), route(9, 365), self), true);
});

test('the same index holds another configuration, of a leader of a later term: forgotten; the very same one names it', () => {
  assert.equal(isForgotten(learner(), route(9, 560), self), true);
  assert.equal(isForgotten(learner(), route(9, 560, [{ id: self, generation }]), self), false);
  assert.equal(isForgotten(learner(), route(6, 560), self), false, 'told in the term of its own: it is that one');
});

test('an earlier configuration proves nothing where its own may be committed', () => {
  assert.equal(isForgotten(learner(), route(6, 365), self), false, 'told by the same leader before it was added');
  assert.equal(isForgotten(learner(), route(5, 365), self), false, 'an old word');
  assert.equal(isForgotten(learner({ commitIndex: 560 }), route(9, 365), self), false, 'known to be committed');
  assert.equal(isForgotten(learner({ termUnknown: true }), route(9, 365), self), false, 'of a term that is not known');
  assert.equal(isForgotten(learner(), undefined, self), false, 'nobody told anything');
});
