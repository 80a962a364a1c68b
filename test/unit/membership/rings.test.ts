import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Rings, ringsCount } from '../../../src/membership/rings.ts';
import { viewOf } from '../../../src/ring/view.ts';
import { memberOf } from './network.ts';

function ringsOfSize(count: number): { readonly rings: Rings; readonly ids: readonly string[] } {
  const view = viewOf(
    1,
    Array.from({ length: count }, (_, slot) => memberOf(slot)),
  );
  return { rings: new Rings(view), ids: view.members.map((member) => member.id) };
}

test('small views: everybody watches everybody', () => {
  for (const count of [1, 2, 3, 6, 11]) {
    const { rings, ids } = ringsOfSize(count);
    for (const id of ids) {
      assert.deepEqual(
        rings.observersOf(id as never),
        ids.filter((other) => other !== id),
      );
    }
  }
});

test('everybody has K distinct observers, and watches about as many: nobody is overlooked, nobody carries the load', () => {
  for (const count of [12, 24, 60, 200]) {
    const { rings, ids } = ringsOfSize(count);
    const watched = ids.map((id) => rings.subjectsOf(id as never).length);
    for (const id of ids) {
      const observers = rings.observersOf(id as never);
      assert.equal(new Set(observers).size, ringsCount);
      assert.ok(!observers.includes(id as never));
      for (const observer of observers) assert.ok(rings.subjectsOf(observer).includes(id as never));
    }
    assert.ok(Math.max(...watched) <= 3 * ringsCount && Math.min(...watched) >= 1, watched.join());
  }
});
