import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EndedLives } from '../../../src/arc/ended-lives.ts';
import type { ArcId } from '../../../src/base/ids.ts';
import type { Store } from '../../../src/store/store.ts';

const arc = 7 as ArcId;

/** The registers of a store, and nothing else of it. */
function registersOnly(): { readonly store: Store; readonly registers: Map<string, Uint8Array> } {
  const registers = new Map<string, Uint8Array>();
  const store = { setRegister: (name: string, value: Uint8Array) => void registers.set(name, value) };
  return { store: store as unknown as Store, registers };
}

test('a life of a replica that ended stays known over restarts: it would vote twice in a term (INV-10)', () => {
  const { store, registers } = registersOnly();
  const before = new EndedLives(store, registers);
  before.add(arc, 100);
  before.add(arc, 200);
  const after = new EndedLives(store, registers);
  assert.deepEqual([after.has(arc, 100), after.has(arc, 200), after.has(arc, 300)], [true, true, false]);
  assert.equal(after.has(8 as ArcId, 100), false);
});

test('memory for ended lives is bounded: the oldest is forgotten', () => {
  const { store, registers } = registersOnly();
  const lives = new EndedLives(store, registers);
  for (let life = 1; life <= 40; life++) lives.add(arc, life);
  assert.equal(lives.has(arc, 40), true);
  assert.equal(lives.has(arc, 1), false);
  assert.equal(new EndedLives(store, registers).has(arc, 40), true);
});
