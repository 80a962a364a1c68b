import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Told, toldLimits } from '../../../src/arc/told.ts';

test('what is found over and over is told once a minute, and at once when it is another thing, or came back', () => {
  const told = new Told();
  let times = 0;
  for (let nowMs = 0; nowMs < 2 * toldLimits.againMs; nowMs += 100) {
    if (told.isNews('chunk 7', 'blocks 1 and 2', nowMs)) times++;
  }
  assert.equal(times, 2);
  const nowMs = 2 * toldLimits.againMs;
  assert.equal(told.isNews('chunk 7', 'blocks 1 to 3', nowMs - 50), true);
  assert.equal(told.isNews('chunk 8', 'blocks 1 to 3', nowMs - 50), true);
  told.forget('chunk 7');
  assert.equal(told.isNews('chunk 7', 'blocks 1 to 3', nowMs), true);
});

test('it remembers no more than so many names', () => {
  const told = new Told();
  for (let i = 0; i <= toldLimits.namesMax; i++) assert.equal(told.isNews(`chunk ${i}`, 'bad', 0), true);
  assert.equal(told.isNews(`chunk ${toldLimits.namesMax}`, 'bad', 1), false, 'the newest is remembered');
  assert.equal(told.isNews('chunk 0', 'bad', 1), true, 'the oldest is not');
});
