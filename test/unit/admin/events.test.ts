import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { EventLog, eventsMax } from '../../../src/admin/events.ts';

test('what was seen before a restart is still told after it, a line that a crash cut short is not', () => {
  const dir = mkdtempSync(join(tmpdir(), 'corelet-events-'));
  try {
    const path = join(dir, 'events.jsonl');
    const first = new EventLog(path, () => 5);
    first.record({ kind: 'view.changed', slot: 2, text: 'View 2 dropped slot 2.' });
    first.closeSync();
    appendFileSync(path, '{"atWallMs":6,"kind":"vie');
    const second = new EventLog(path, () => 7);
    assert.deepEqual(second.query({ slot: 2, limit: 10 }), [
      { atWallMs: 5, kind: 'view.changed', slot: 2, text: 'View 2 dropped slot 2.' },
    ]);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('memory stays bounded, the newest events stay (INV-8)', () => {
  const log = new EventLog(undefined, () => 1);
  for (let i = 0; i < eventsMax + 10; i++) log.record({ kind: 'k', text: String(i) });
  const all = log.query({ limit: eventsMax * 2 });
  assert.equal(all.length, eventsMax);
  assert.equal(all[0]?.text, '10');
  assert.equal(all[all.length - 1]?.text, String(eventsMax + 9));
});
