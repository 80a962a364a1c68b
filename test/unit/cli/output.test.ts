import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mergeEvents } from '../../../src/cli/merge-events.ts';
import { neverScrubbed } from '../../../src/healing/scrub.ts';
import { statusText } from '../../../src/cli/status-text.ts';
import { slotStatus, statusOf } from '../admin/fake-corelet.ts';

const plain = { colour: false, interactive: false };

test('status says the margin and, while rebuilding, a range: no green that lies', () => {
  const whole = statusText(statusOf(6), plain, 0);
  assert.match(whole, /6 of 6 Corelets live/);
  assert.match(whole, /all 256 full/);
  assert.match(whole, /Survives 1 more loss\./);
  const hurt = statusText(
    statusOf(6, {
      slots: [
        slotStatus(0),
        slotStatus(1, { state: 'gone', safeToPull: false, why: '14 arcs would lose their majority' }),
      ],
      arcs: { total: 256, full: 200, reduced: 56, noRedundancy: 14, unavailable: 0, waitingForRoom: 0 },
      rebuild: { bytesLeft: 100 * 2 ** 20, bytesPerSecond: 2 ** 20, secondsLeft: 100 },
      lossesSurvivable: 0,
    }),
    plain,
    0,
  );
  assert.match(hurt, /200 of 256 full, 56 reduced, 14 with no redundancy/);
  assert.match(hurt, /100 MiB left at 1 MiB\/s, full again in 1 min 20 s to 2 min 30 s/);
  assert.match(hurt, /The next loss makes data unavailable/);
  assert.match(hurt, /✕ gone .*no: 14 arcs would lose their majority/);
  const waiting = statusOf(6, {
    arcs: { total: 256, full: 200, reduced: 56, noRedundancy: 14, unavailable: 0, waitingForRoom: 0 },
    rebuild: { bytesLeft: 0, bytesPerSecond: 0, secondsLeft: null },
  });
  assert.match(statusText(waiting, plain, 0), /nothing is being copied now/);
  assert.match(whole, /nothing to rebuild/);
  assert.doesNotMatch(whole, /room|quarantine/);
  const braked = statusOf(6, {
    arcs: { total: 256, full: 200, reduced: 56, noRedundancy: 0, unavailable: 0, waitingForRoom: 56 },
    scrub: { ...neverScrubbed, quarantinedBlocks: 2 },
  });
  const told = statusText(braked, plain, 0);
  assert.match(told, /56 arcs wait for room: .* Insert a module, or delete or trim volumes; healing goes on by itself/);
  assert.match(told, /2 blocks in quarantine in slot \d+: two valid contents of one version/);
  assert.ok(!hurt.includes('\u001b'), 'no colour where there is no terminal');
});

test('what several Corelets tell of one fact is one line, in order of time', () => {
  const told = (slot: number, ...events: { atWallMs: number; text: string }[]) => ({
    schemaVersion: 1 as const,
    answeredBy: { id: String(slot), slot },
    events: events.map((event) => ({ kind: 'view.removed', slot: 3, ...event })),
  });
  const merged = mergeEvents([
    told(2, { atWallMs: 1_000, text: 'gone' }, { atWallMs: 90_000, text: 'gone' }),
    told(0, { atWallMs: 1_200, text: 'gone' }, { atWallMs: 500, text: 'silent' }),
  ]);
  assert.deepEqual(
    merged.map(({ text, slots, atWallMs }) => [atWallMs, text, slots]),
    [
      [500, 'silent', [0]],
      [1_000, 'gone', [0, 2]],
      [90_000, 'gone', [2]],
    ],
  );
});
