import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CopyPace, copyPaceLimits } from '../../../src/arc/copy-pace.ts';

const mib = 1024 * 1024;

/** Hosts' operations of so long, and looks at the pace, for a second of time. */
function aSecond(pace: CopyPace, fromMs: number, tookMs: number, copying: boolean, endangeredBytes = 0): number {
  for (let at = 0; at < 1000; at += 10) {
    pace.served(tookMs, fromMs + at);
    if (at % 100 === 0) pace.look(fromMs + at, copying, endangeredBytes);
  }
  return fromMs + 1000;
}

test('copies of safe arcs yield to hosts that suffer, and take what hosts leave', () => {
  const pace = new CopyPace();
  let now = 0;
  for (let i = 0; i < 5; i++) now = aSecond(pace, now, 2, false);
  for (let i = 0; i < 20; i++) now = aSecond(pace, now, 6, true);
  assert.equal(pace.rate(false), copyPaceLimits.safeRateMin, 'three times as slow: hosts come first');
  for (let i = 0; i < 10; i++) now = aSecond(pace, now, 2, true);
  assert(pace.rate(false) > 100 * mib, 'hosts are well: copies speed up');
});

test('without hosts copies go flat out', () => {
  const pace = new CopyPace();
  let now = aSecond(pace, 0, 2, false);
  now = aSecond(pace, now, 50, true);
  pace.look(now + copyPaceLimits.quietMs + 1, true, 0);
  assert.equal(pace.rate(false), copyPaceLimits.rateMax);
});

test('however hosts suffer, endangered arcs are out of danger in time; where that is not possible, flat out', () => {
  const pace = new CopyPace();
  let now = 0;
  for (let i = 0; i < 5; i++) now = aSecond(pace, now, 2, false);
  const bytes = 240 * mib;
  pace.look(now, true, bytes);
  for (let left = bytes, at = now; left > 0; at += 100) {
    pace.served(20, at);
    pace.look(at, true, left);
    left -= pace.rate(true) / 10;
    assert(at - now <= copyPaceLimits.endangeredMs, `done within its time, ${Math.round(left / mib)} MiB left`);
  }
  now += 60_000;
  for (let i = 0; i < 3; i++) now = aSecond(pace, now, 20, true, 2 ** 40);
  assert(pace.rate(true) > copyPaceLimits.rateMax, 'a terabyte in danger is not held back by hosts');
});

test('copies that begin while hosts work begin at their floor: a host that just lost a Corelet waits for no burst of them', () => {
  const pace = new CopyPace();
  const now = aSecond(pace, 0, 2, false);
  const bytes = 1024 * mib;
  pace.look(now, false, bytes);
  const floor = (bytes * 1000) / copyPaceLimits.endangeredMs;
  assert.equal(pace.rate(true), floor);
  let sent = 0;
  for (let at = now; at < now + 100; at += 1) if (pace.take(mib, true, at) === 0) sent += 1;
  assert(sent * mib <= floor / 10 + mib, `${sent} MiB in the first tenth of a second`);
});

test('what left too early is waited for: the rate holds over time', () => {
  const pace = new CopyPace();
  let now = 0;
  for (let i = 0; i < 5; i++) now = aSecond(pace, now, 2, false);
  for (let i = 0; i < 20; i++) now = aSecond(pace, now, 20, true);
  let sent = 0;
  for (let at = now; at < now + 10_000; at += 10) {
    if (pace.take(mib, false, at) === 0) sent += 1;
  }
  assert(sent >= 9 && sent <= 11, `${sent} MiB in ten seconds at 1 MiB/s`);
});
