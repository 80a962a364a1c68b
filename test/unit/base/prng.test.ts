import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prng } from '../../../src/base/prng.ts';

const draws = (prng: Prng, count = 64) => Array.from({ length: count }, () => prng.u32());

test('the same seed and label give the same numbers for ever: a printed seed replays its run', () => {
  assert.deepEqual(draws(new Prng(42, 'x')), draws(new Prng(42, 'x')));
  assert.equal(
    new Prng(1, 'pinned').u32(),
    4_163_584_183,
    'a change of the generator makes every recorded seed worthless',
  );
});

test('neighbouring seeds, labels and forks share no numbers', () => {
  const streams = [
    new Prng(1),
    new Prng(2),
    new Prng(1, 'a'),
    new Prng(2 ** 32 + 1),
    new Prng(1).fork('a'),
    new Prng(1).fork('b').fork('a'),
  ];
  const all = streams.flatMap((prng) => draws(prng));
  assert(new Set(all).size > all.length - 2);
});

test('what one part draws never shifts another part', () => {
  const root = new Prng(9);
  const before = draws(root.fork('flash'));
  draws(root, 1000);
  assert.deepEqual(draws(root.fork('flash')), before);
});

test('numbers are uniform and in range', () => {
  const prng = new Prng(3);
  const counts = Array.from({ length: 16 }, () => 0);
  for (let draw = 0; draw < 160_000; draw++) {
    const bucket = prng.below(16);
    counts[bucket] = (counts[bucket] as number) + 1;
  }
  for (const count of counts) assert(Math.abs(count - 10_000) < 500, `a bucket of ${count}`);
  for (let draw = 0; draw < 1000; draw++) {
    const wide = prng.u48();
    assert(Number.isSafeInteger(wide) && wide >= 0 && wide < 2 ** 48);
    const between = prng.between(5, 6);
    assert(between >= 5 && between < 6);
  }
  assert.equal(prng.bytes(33).length, 33);
});
