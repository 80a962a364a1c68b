import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatBytes, formatSeconds, parseSize } from '../../../src/base/units.ts';

test('sizes are read as people write them', () => {
  const sizes: readonly (readonly [string, number])[] = [
    ['0', 0],
    ['1073741824', 2 ** 30],
    ['256MiB', 256 * 2 ** 20],
    ['1GiB', 2 ** 30],
    ['1.5 GiB', 1.5 * 2 ** 30],
    ['2tib', 2 * 2 ** 40],
    ['512B', 512],
  ];
  for (const [text, bytes] of sizes) assert.equal(parseSize(text), bytes, text);
});

test('what is no size is refused, never guessed: a volume of the wrong size is found out too late', () => {
  for (const text of [
    '',
    'GiB',
    '1GB',
    '1G',
    '-1',
    '1e3',
    '0x10',
    '1.3B',
    '1 2',
    '9007199254740993',
    '99999999PiB',
    'NaN',
    '١GiB',
  ]) {
    assert.equal(parseSize(text), undefined, text);
  }
});

test('a whole number of any unit survives the way out and back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1023 }), fc.constantFrom('B', 'KiB', 'MiB', 'GiB', 'TiB'), (count, unit) => {
      const bytes = parseSize(`${count}${unit}`);
      assert.ok(bytes !== undefined);
      assert.equal(parseSize(formatBytes(bytes)), bytes);
    }),
  );
});

test('times are told in two units at most', () => {
  const times: readonly (readonly [number, string])[] = [
    [0.85, '850 ms'],
    [12.4, '12 s'],
    [60, '1 min'],
    [200, '3 min 20 s'],
    [7500, '2 h 5 min'],
    [7199, '1 h 59 min'],
    [273_600, '3 d 4 h'],
  ];
  for (const [seconds, text] of times) assert.equal(formatSeconds(seconds), text);
});
