import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prng } from '../../../src/base/prng.ts';
import { type Timed, Wheel } from '../../../src/arc/wheel.ts';
import type { Clock, Timer } from '../../../src/ports/clock.ts';

const stepMs = 2;

/** Time that goes from one timer to the next. */
class HandClock implements Clock {
  now = 0;
  #timers: { readonly atMs: number; readonly run: () => void }[] = [];

  nowMs(): number {
    return this.now;
  }
  wallMs(): number {
    return this.now;
  }
  soon(run: () => void): void {
    run();
  }
  after(delayMs: number, run: () => void): Timer {
    const timer = { atMs: this.now + delayMs, run };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }
  get waiting(): number {
    return this.#timers.length;
  }
  /** False: nothing is left to wait for. */
  next(): boolean {
    const [first] = this.#timers.sort((a, b) => a.atMs - b.atMs);
    if (first === undefined) return false;
    this.#timers.shift();
    this.now = first.atMs;
    first.run();
    return true;
  }
}

class Arc implements Timed {
  deadlineMs = Number.POSITIVE_INFINITY;
  readonly tickedMs: number[] = [];
  readonly #clock: HandClock;
  onTick = () => {
    this.deadlineMs = Number.POSITIVE_INFINITY;
  };

  constructor(clock: HandClock) {
    this.#clock = clock;
  }
  tick(): void {
    this.tickedMs.push(this.#clock.now);
    this.onTick();
  }
}

function rig() {
  const clock = new HandClock();
  const wheel = new Wheel(clock, stepMs);
  const arm = (arc: Arc, deadlineMs: number) => {
    arc.deadlineMs = deadlineMs;
    wheel.arm(arc, deadlineMs);
  };
  return { clock, wheel, arm };
}

test('each arc is ticked at its own deadline; when none waits, no timer does', () => {
  const { clock, arm } = rig();
  const [late, early] = [new Arc(clock), new Arc(clock)];
  arm(late, 50);
  arm(early, 20);
  while (clock.next());
  assert.deepEqual(early.tickedMs, [20]);
  assert.deepEqual(late.tickedMs, [50]);
  assert.equal(clock.waiting, 0);
});

test('a deadline that comes nearer is kept; one that moves away isn’t ticked before it comes', () => {
  const { clock, arm } = rig();
  const [nearer, farther] = [new Arc(clock), new Arc(clock)];
  arm(nearer, 100);
  arm(farther, 30);
  arm(nearer, 10);
  farther.deadlineMs = 80;
  while (clock.next());
  assert.deepEqual(nearer.tickedMs, [10]);
  assert.deepEqual(farther.tickedMs, [80]);
});

test('an arc that is due again at once doesn’t keep the others, or the process, from their turn', () => {
  const { clock, arm } = rig();
  const [restless, other] = [new Arc(clock), new Arc(clock)];
  restless.onTick = () => {
    restless.deadlineMs = restless.tickedMs.length < 5 ? clock.now : Number.POSITIVE_INFINITY;
  };
  arm(restless, 0);
  arm(other, 5);
  while (clock.next());
  assert.deepEqual(restless.tickedMs, [2, 4, 6, 8, 10]);
  assert.deepEqual(other.tickedMs, [6]); // with the turn that was next
});

test('what is dropped or stopped is ticked no more', () => {
  const { clock, wheel, arm } = rig();
  const [dropped, last] = [new Arc(clock), new Arc(clock)];
  arm(dropped, 10);
  arm(last, 20);
  wheel.forget(dropped);
  assert.ok(clock.next());
  wheel.stop();
  arm(last, 30);
  while (clock.next());
  assert.deepEqual([dropped.tickedMs, last.tickedMs], [[], []]);
});

test('with deadlines that come and go at random nobody is ticked early, or later than a step', () => {
  const { clock, arm } = rig();
  const draw = new Prng(7);
  const arcs = Array.from({ length: 40 }, () => new Arc(clock));
  let ticks = 0;
  for (const arc of arcs) {
    arc.onTick = () => {
      ticks += 1;
      assert.ok(clock.now >= arc.deadlineMs && clock.now <= arc.deadlineMs + stepMs);
      if (ticks < 2000) arm(arcs[draw.below(arcs.length)] as Arc, clock.now + draw.between(0, 30));
      arm(arc, ticks < 2000 ? clock.now + draw.between(0, 30) : Number.POSITIVE_INFINITY);
    };
    arm(arc, draw.between(0, 30));
  }
  while (clock.next());
  assert.ok(ticks >= 2000);
});
