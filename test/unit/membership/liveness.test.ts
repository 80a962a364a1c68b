import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreletId } from '../../../src/base/ids.ts';
import { PairLiveness } from '../../../src/membership/liveness.ts';
import { memberOf } from './network.ts';

const a = memberOf(1).id;
const b = memberOf(2).id;

/** Ticks every 50 ms from `fromMs` to `toMs`, hearing `alive` each time; what happened, with its time. */
function run(pairs: PairLiveness, fromMs: number, toMs: number, alive: readonly CoreletId[]): string[] {
  const seen: string[] = [];
  for (let nowMs = fromMs; nowMs <= toMs; nowMs += 50) {
    for (const id of alive) pairs.heard(id, nowMs);
    const { lapsed, returned } = pairs.tick(nowMs);
    for (const id of lapsed) seen.push(`${nowMs} lapsed ${id.slice(-1)}`);
    for (const id of returned) seen.push(`${nowMs} returned ${id.slice(-1)}`);
  }
  return seen;
}

test('a peer that falls silent lapses after 300 ms, and returns with its next message', () => {
  const pairs = new PairLiveness();
  pairs.setPeers([a, b], 0);
  assert.deepEqual(run(pairs, 0, 200, [a, b]), ['0 returned 2', '0 returned 3']);
  assert.deepEqual(run(pairs, 250, 1000, [a]), ['500 lapsed 3']);
  assert.ok(pairs.isLive(a) && !pairs.isLive(b));
  assert.deepEqual(run(pairs, 1050, 1200, [a, b]), ['1050 returned 3']);
});

test('a reset lapses at once: elections need not wait for silence', () => {
  const pairs = new PairLiveness();
  pairs.setPeers([a], 0);
  run(pairs, 0, 100, [a]);
  pairs.reset(a);
  assert.deepEqual(run(pairs, 150, 400, []), ['150 lapsed 2']);
});

test('each peer is sent to once per interval, whatever the ticks', () => {
  for (const stepMs of [10, 33, 50]) {
    const pairs = new PairLiveness();
    pairs.setPeers([a, b], 0);
    let sends = 0;
    for (let nowMs = 0; nowMs < 10_000; nowMs += stepMs) sends += pairs.tick(nowMs).due.length;
    assert.ok(Math.abs(sends - 200) <= 4, `${sends} messages in 10 s to two peers at ticks of ${stepMs} ms`);
  }
});

test('after a stall of our own no peer lapses by it, and the stall is told', () => {
  const pairs = new PairLiveness();
  pairs.setPeers([a, b], 0);
  run(pairs, 0, 1000, [a, b]);
  const step = pairs.tick(6000);
  assert.deepEqual(step.lapsed, []);
  assert.ok(step.stalledMs > 4500);
  assert.deepEqual(run(pairs, 6050, 7000, [a]), ['6200 lapsed 3']);
});

test('a peer that was never heard is not live, and lapses once', () => {
  const pairs = new PairLiveness();
  pairs.setPeers([a], 0);
  assert.equal(pairs.isLive(a), false);
  assert.equal(pairs.heardMs(a), undefined);
  assert.deepEqual(run(pairs, 0, 2000, []), ['300 lapsed 2']);
  pairs.setPeers([b], 2000);
  assert.equal(pairs.isLive(a), false);
  pairs.heard(a, 2000);
  assert.deepEqual(run(pairs, 2000, 2100, [b]), ['2000 returned 3']);
});
