import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  changesBetween,
  isBrownOut,
  readHardware,
  readingsOf,
  soundHardware,
  writeHardware,
} from '../../../src/chassis/hardware.ts';

test('one of two supplies may fail; without the second all modules must say that they go', () => {
  const one = { ...soundHardware, failedSupplies: [1] };
  const both = { ...soundHardware, failedSupplies: [1, 2] };
  assert.equal(isBrownOut(one), false);
  assert.equal(isBrownOut(both), true);
  assert.deepEqual(changesBetween(one, both), ['Power supply 2 failed; 0 of 2 are left.']);
  assert.deepEqual(changesBetween(both, one), ['Power supply 2 works again.']);
});

test('a fan that stands still and warm air show as the temperature of the module', () => {
  const sound = readingsOf(soundHardware);
  const warm = readingsOf({ ...soundHardware, failedFans: [2], inletCelsius: 60 });
  assert(warm.temperatureCelsius > sound.temperatureCelsius + 36, 'warmer than the air alone makes it');
  assert.equal(warm.fansFailed, 1);
});

test('a hardware file that is damaged, or of another version, is no alarm', () => {
  const dir = mkdtempSync(join(tmpdir(), 'corelet-hardware-'));
  try {
    assert.deepEqual(readHardware(dir), soundHardware);
    writeHardware(dir, { ...soundHardware, failedSupplies: [2], slowness: { 5: 10 } });
    assert.deepEqual(readHardware(dir).failedSupplies, [2]);
    assert.deepEqual(readHardware(dir).slowness, { 5: 10 });
    for (const text of ['{"formatVersion": 1, "failedSup', '{"formatVersion": 99}', '']) {
      writeFileSync(join(dir, 'hardware.json'), text);
      assert.deepEqual(readHardware(dir), soundHardware);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
