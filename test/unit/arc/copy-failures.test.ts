import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memberId } from '../../../src/arc/members.ts';
import type { ArcId, CoreletId } from '../../../src/base/ids.ts';
import { CopyFailures, copyRetryLimits } from '../../../src/arc/copy-failures.ts';

const arc = 7 as ArcId;
const to = memberId('a' as CoreletId, 1);
const another = memberId('b' as CoreletId, 1);

/** Tries as soon as it may, looking ten times a second: the times of all tries within `spanMs`, and which were told. */
function tries(failures: CopyFailures, reason: string, spanMs: number) {
  const tried: number[] = [];
  const told: number[] = [];
  for (let nowMs = 0; nowMs < spanMs; nowMs += 100) {
    if (failures.waits(arc, to, nowMs)) continue;
    tried.push(nowMs);
    const { count, isNews } = failures.note(arc, to, reason, nowMs);
    if (isNews) told.push(count);
  }
  return { tried, told };
}

test('a copy that goes on failing for one reason is tried at once, then more and more seldom, and told a few times', () => {
  const { tried, told } = tries(new CopyFailures(), 'a block could not be read here', 60_000);
  assert.deepEqual(tried.slice(0, 3), [0, 100, 200]);
  const last = tried.slice(-2);
  assert.equal((last[1] as number) - (last[0] as number), copyRetryLimits.maxMs);
  assert.deepEqual(told, [1, 2, 4, 8, 16]);
});

test('another reason is told; a copy that succeeds, or a failure long after, begins anew', () => {
  const failures = new CopyFailures();
  failures.note(arc, to, 'leadership moved', 0);
  failures.note(arc, to, 'leadership moved', 100);
  assert.deepEqual(failures.note(arc, to, 'the receiver is silent', 200), { count: 3, isNews: true });
  assert.deepEqual(failures.note(arc, another, 'leadership moved', 200), { count: 1, isNews: true });
  failures.succeeded(arc, to);
  assert.equal(failures.waits(arc, to, 200), false);
  assert.deepEqual(failures.note(arc, to, 'the receiver is silent', 300), { count: 1, isNews: true });
  assert.equal(failures.note(arc, to, 'the receiver is silent', 100_000).count, 1);
});
