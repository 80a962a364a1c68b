import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foldArcs } from '../../../src/cli/fold-arcs.ts';

const at = (atWallMs: number, kind: string, arc: number, slots = [0], slot = 4) => ({
  atWallMs,
  slot,
  kind,
  arc,
  slots,
  text: `Arc ${arc}.`,
  data: { blocks: 2 },
});

test('a loss of many arcs is told in a line, not in a hundred', () => {
  const events = [
    at(0, 'arc.copied', 1),
    at(100, 'arc.copied', 2, [3]),
    at(200, 'view.changed', 0),
    at(300, 'arc.copied', 9),
  ];
  const folded = foldArcs(events);
  assert.deepEqual(
    folded.map(({ kind, count, untilWallMs, slots }) => ({ kind, count, untilWallMs, slots })),
    [
      { kind: 'arc.copied', count: 3, untilWallMs: 300, slots: [0, 3] },
      { kind: 'view.changed', count: 1, untilWallMs: 200, slots: [0] },
    ],
  );
  assert.equal(folded[0]?.text, '3 arcs (1, 2, 9) were copied to slot 4, checksums verified. 6 blocks in all.');
});

test('copies in two slots are two lines, each with its own slot', () => {
  const events = [1, 2, 3, 4].map((arc) => at(arc, 'arc.voter-removed', arc, [0], arc % 2));
  assert.deepEqual(
    foldArcs(events).map(({ text }) => text),
    [
      '2 arcs (1, 3) go on without the copy in slot 1. 4 blocks in all.',
      '2 arcs (2, 4) go on without the copy in slot 0. 4 blocks in all.',
    ],
  );
});

test('what happened much later is another line', () => {
  assert.equal(foldArcs([at(0, 'arc.copied', 1), at(60_000, 'arc.copied', 2)]).length, 2);
});
