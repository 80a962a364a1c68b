import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoopTurns } from '../../../src/platform/loop-turns.ts';

test('a long turn that several watches tell of is counted once, the next one again', () => {
  const turns = new LoopTurns();
  turns.took(140, 1000);
  turns.took(135, 1001);
  turns.took(20, 1021);
  turns.took(110, 1131);
  assert.deepEqual({ longestMs: turns.longestMs, longCount: turns.longCount }, { longestMs: 140, longCount: 2 });
});
