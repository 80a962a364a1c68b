import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClock } from '../../src/platform/clock.ts';
import { createRandom } from '../../src/platform/random.ts';

test('soon runs after the work at hand, in order, and before timers: a batch is whole when it is sent', async () => {
  const clock = createClock();
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    clock.after(0, () => {
      clock.after(0, () => {
        order.push('timer');
        resolve();
      });
      clock.soon(() => {
        order.push('first');
        clock.soon(() => order.push('asked by the first'));
      });
      clock.soon(() => order.push('second'));
      queueMicrotask(() => order.push('promise work'));
      order.push('work at hand');
    });
  });
  assert.deepEqual(order, ['work at hand', 'promise work', 'first', 'second', 'asked by the first', 'timer']);
});

test('a callback that always asks again doesn’t keep timers and I/O from their turn', async () => {
  const clock = createClock();
  let running = true;
  const again = (): void => {
    if (running) clock.soon(again);
  };
  clock.soon(again);
  await new Promise<void>((resolve) => clock.after(1, resolve));
  running = false;
});

test('a cancelled timer never runs', async () => {
  const clock = createClock();
  let ran = false;
  clock.after(1, () => (ran = true)).cancel();
  await new Promise<void>((resolve) => clock.after(5, resolve));
  assert.equal(ran, false);
});

test('random numbers stay in their ranges and two Corelets don’t draw the same ids', () => {
  const [one, two] = [createRandom(), createRandom()];
  const seen = new Set<number>();
  for (let i = 0; i < 5000; i++) {
    const u32 = one.u32();
    const fraction = one.fraction();
    assert.ok(Number.isInteger(u32) && u32 >= 0 && u32 < 2 ** 32);
    assert.ok(fraction >= 0 && fraction < 1);
    seen.add(one.u48()).add(two.u48());
  }
  assert.equal(seen.size, 10_000);
  assert.ok([...seen].every((value) => Number.isSafeInteger(value) && value < 2 ** 48));
  assert.notDeepEqual(one.bytes(16), two.bytes(16));
  assert.equal(one.bytes(5).length, 5);
});
