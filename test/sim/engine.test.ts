import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '../../src/sim/clock.ts';
import { SimEngine } from '../../src/sim/engine.ts';
import { simHardware } from '../../src/sim/hardware.ts';
import { type RunOptions, runOnce } from '../../src/sim/run.ts';
import { standInRun } from './stand-in-run.ts';

test('all promise work of an event is over before the next event, however long its chain', async () => {
  const engine = new SimEngine();
  const clock = new SimClock(engine, engine.world);
  const order: string[] = [];
  clock.after(1, () => {
    void (async () => {
      for (let step = 0; step < 1000; step++) await Promise.resolve();
      order.push('chain');
    })();
  });
  clock.after(1, () => order.push('next event'));
  await engine.run(10);
  assert.deepEqual(order, ['chain', 'next event']);
  assert.equal(engine.nowMs, 10);
});

test('soon runs at the end of the instant: after the promises of the event, before the next event', async () => {
  const engine = new SimEngine();
  const clock = new SimClock(engine, engine.world);
  const order: string[] = [];
  clock.after(1, () => {
    clock.soon(() => order.push('soon'));
    void Promise.resolve().then(() => order.push('promise'));
    order.push('event');
  });
  clock.after(1, () => order.push('next event'));
  await engine.run(10);
  assert.deepEqual(order, ['event', 'promise', 'soon', 'next event']);
});

test('a dead process does nothing any more: a crash in the simulator is as final as a real one', async () => {
  const engine = new SimEngine();
  const owner = engine.process('victim');
  const clock = new SimClock(engine, owner);
  let ran = 0;
  const wait = (delayMs: number) => new Promise<void>((resolve) => clock.after(delayMs, resolve));
  void (async () => {
    for (;;) {
      await wait(1);
      ran++;
    }
  })();
  engine.schedule(engine.world, 5.5, () => {
    clock.soon(() => ran++);
    engine.kill(owner);
  });
  await engine.run(20);
  assert.equal(ran, 5);
});

test('a paused process sees what it missed afterwards, in order, and timers it cancels first do not fire', async () => {
  const engine = new SimEngine();
  const owner = engine.process('sleeper');
  const clock = new SimClock(engine, owner);
  const order: string[] = [];
  const doomed = clock.after(4, () => order.push('cancelled'));
  clock.after(2, () => {
    order.push('first');
    doomed.cancel();
  });
  clock.after(3, () => order.push('second'));
  engine.schedule(engine.world, 1, () => engine.pause(owner));
  engine.schedule(engine.world, 10, () => engine.resume(owner));
  engine.schedule(owner, 10, () => order.push('new'));
  await engine.run(9);
  assert.deepEqual(order, []);
  await engine.run(20);
  assert.deepEqual(order, ['first', 'second', 'new']);
});

test('a clock that drifts fires early or late by its rate, and shows it', async () => {
  const engine = new SimEngine();
  const fast = new SimClock(engine, engine.world, { offsetMs: 100, rate: 2 });
  let firedAt = 0;
  fast.after(10, () => {
    firedAt = engine.nowMs;
  });
  await engine.run(50);
  assert.equal(firedAt, 5);
  assert.equal(fast.nowMs(), 200);
});

test('a loop that feeds itself without time passing is noticed, not waited for', async () => {
  const engine = new SimEngine();
  const again = () => engine.soon(engine.world, again);
  again();
  await assert.rejects(engine.run(1), /INV-8/);
});

test('an exception in an event ends the run: no bug is swallowed', async () => {
  const engine = new SimEngine();
  engine.schedule(engine.world, 1, () => {
    throw new Error('a bug');
  });
  await assert.rejects(engine.run(10), /a bug/);
});

/** The stand-in keeps its content elsewhere: nobody may look for it on these media. */
function opaque(make: RunOptions['hardware']): RunOptions['hardware'] {
  return (engine, random) => {
    const hardware = make(engine, random);
    return {
      wires: hardware.wires,
      makeMedium: (label) => {
        const medium = hardware.makeMedium(label);
        return {
          attach: () => medium.attach(),
          crash: () => medium.crash(),
          setSlowness: (factor) => medium.setSlowness(factor),
        };
      },
    };
  };
}

test('the same seed gives the same trace to the last event, frame and sector; another seed another', async () => {
  const run = (seed: number) => {
    const options = standInRun(seed);
    const nemesis = { ...options.nemesis, weights: { crash: 2, pause: 1, disorder: 1 } };
    return runOnce({ ...options, nemesis, hardware: opaque(simHardware(1 << 28)) });
  };
  const first = await run(9);
  const second = await run(9);
  const other = await run(8);
  assert.deepEqual(first.violations, []);
  assert((first.faults['crash'] ?? 0) > 1, 'devices crashed and were read again');
  assert.equal(first.traceHash, second.traceHash);
  assert.equal(first.events, second.events);
  assert.deepEqual(first.journal, second.journal);
  assert.notEqual(first.traceHash, other.traceHash);
});
