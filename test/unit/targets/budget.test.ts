import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Budget } from '../../../src/targets/budget.ts';

/** Somebody who takes what it wants as soon as it is told that there is room. */
function taker(budget: Budget, bytes: number) {
  const one = {
    has: false,
    wake: (): void => {
      one.has = budget.take(bytes, false, one.wake);
    },
  };
  one.wake();
  return one;
}

test('whoever wants more than was given back is not asked for ever: the event loop of the Corelet goes on', () => {
  const budget = new Budget(100);
  budget.hold(60);
  budget.hold(40);
  const large = taker(budget, 80);
  budget.give(40);
  assert.equal(large.has, false);
  budget.give(60);
  assert.equal(large.has, true);
});

test('a small request does not overtake a large one for ever', () => {
  const budget = new Budget(100);
  budget.hold(90);
  const large = taker(budget, 50);
  const small = taker(budget, 20);
  budget.give(20);
  assert.deepEqual([large.has, small.has], [false, false]);
  budget.give(40);
  assert.deepEqual([large.has, small.has], [true, true]);
});

test('whoever is alone gets more than there is, and whoever is gone nothing', () => {
  const budget = new Budget(100);
  assert.equal(taker(budget, 150).has, true);
  assert.equal(budget.isOver, true);
  const gone = taker(budget, 10);
  budget.forget(gone.wake);
  budget.give(150);
  assert.equal(gone.has, false);
});
