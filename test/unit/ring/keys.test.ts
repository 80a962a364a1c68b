import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { VolumeId } from '../../../src/base/ids.ts';
import { arcOf, arcOfKey, isArcCount } from '../../../src/ring/keys.ts';

const volume = (id: number): VolumeId => id as VolumeId;

test('keys are part of the format: pinned values, or every volume written before is lost', () => {
  assert.deepEqual(
    [
      arcOf(volume(1), 0, 256),
      arcOf(volume(1), 1, 256),
      arcOf(volume(0xffff_ffff_ffff), 1e9, 65_536),
      arcOf(volume(123_456_789_012), 7, 1024),
    ],
    [82, 173, 7447, 525],
  );
  assert.deepEqual([arcOfKey('volume/demo', 256), arcOfKey('', 256)], [199, 202]);
});

test('every arc is in range, and doubling the arcs splits each in two', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2 ** 48 - 1 }),
      fc.integer({ min: 0, max: 2 ** 33 }),
      fc.integer({ min: 0, max: 15 }),
      (id, chunk, bits) => {
        const arc = arcOf(volume(id), chunk, 2 ** bits);
        assert.ok(arc >= 0 && arc < 2 ** bits);
        assert.equal(arcOf(volume(id), chunk, 2 ** (bits + 1)) >> 1, arc);
      },
    ),
  );
});

test('chunks of volumes spread evenly over the arcs, so capacity and load do', () => {
  for (const id of [1, 2, 0x1_0000_0000, 0xabc_def0_1234]) {
    const counts = Array.from({ length: 256 }, () => 0);
    const perArc = 1000;
    for (let chunk = 0; chunk < 256 * perArc; chunk++) {
      const arc = arcOf(volume(id), chunk, 256);
      counts[arc] = (counts[arc] ?? 0) + 1;
    }
    // χ² with 255 degrees of freedom: mean 255, deviation 22.6.
    const chiSquare = counts.reduce((sum, count) => sum + (count - perArc) ** 2 / perArc, 0);
    assert.ok(chiSquare < 255 + 5 * 22.6, `volume ${id}: χ² ${chiSquare}`);
  }
});

test('metadata keys with numbered names spread too', () => {
  const seen = new Set<number>();
  for (let i = 0; i < 2000; i++) seen.add(arcOfKey(`volume/${i}`, 256));
  assert.equal(seen.size, 256);
});

test('only powers of two up to 65,536 are arc counts', () => {
  assert.deepEqual([0, 1, 2, 3, 256, 65_536, 131_072, 1.5].map(isArcCount), [
    false,
    true,
    true,
    false,
    true,
    true,
    false,
    false,
  ]);
  assert.throws(() => arcOf(volume(1), 0, 100));
});
