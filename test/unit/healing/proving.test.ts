import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreletId } from '../../../src/base/ids.ts';
import { Proving, provingMs } from '../../../src/healing/proving.ts';
import { type View, viewOf } from '../../../src/ring/view.ts';

// The data of a Corelet that comes and goes is moved away once, not back and away again with every time that it is taken back.

const [a, b, c] = ['a', 'b', 'c'].map((letter) => letter.repeat(32) as CoreletId) as [CoreletId, CoreletId, CoreletId];

const view = (number: number, ids: readonly CoreletId[]): View =>
  viewOf(
    number,
    ids.map((id, slot) => ({
      id,
      address: `unix:${slot}`,
      slot,
      zone: String(slot),
      weight: 1,
      place: slot,
      role: 'active',
    })),
  );

function proving(flapScore: (id: CoreletId) => number): { proving: Proving; clock: { ms: number } } {
  const clock = { ms: 1000 };
  return { proving: new Proving({ clock: { nowMs: () => clock.ms }, flapScore }), clock };
}

test('who was removed for silence and is back has to stay for a while', () => {
  const { proving: it, clock } = proving(() => 1);
  it.look(view(1, [a, b, c]));
  assert.equal(it.isOn(c), false, 'of the first view nobody knows who is new in it');
  it.look(view(2, [a, b]));
  it.look(view(3, [a, b, c]));
  assert.deepEqual([it.isOn(a), it.isOn(c)], [false, true]);
  clock.ms += provingMs - 1;
  assert.equal(it.isOn(c), true);
  clock.ms += 1;
  assert.equal(it.isOn(c), false, 'it stayed');
});

test('who is removed again begins anew', () => {
  const { proving: it, clock } = proving(() => 2);
  it.look(view(1, [a, b]));
  it.look(view(2, [a, b, c]));
  clock.ms += provingMs - 1;
  it.look(view(3, [a, b]));
  it.look(view(4, [a, b, c]));
  clock.ms += provingMs - 1;
  assert.equal(it.isOn(c), true);
});

test('who is new, left on purpose, or was lost long ago takes copies at once', () => {
  const { proving: it } = proving(() => 0.1);
  it.look(view(1, [a, b]));
  it.look(view(2, [a, b, c]));
  assert.equal(it.isOn(c), false);
});
