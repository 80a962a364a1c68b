import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { deviceNumber } from '../../../src/platform/flash-file-device.ts';
import { findSensors, readSensors, watchSensors } from '../../../src/platform/sensors.ts';

// A sysfs on paper, in which the file system that holds this folder lies on the device under test.
let sysfs: string;
beforeEach(() => {
  sysfs = mkdtempSync(join(tmpdir(), 'sensors-'));
  mkdirSync(join(sysfs, 'dev/block'), { recursive: true });
});
afterEach(() => rmSync(sysfs, { recursive: true }));

function put(path: string, text: string): void {
  mkdirSync(join(sysfs, path, '..'), { recursive: true });
  writeFileSync(join(sysfs, path), `${text}\n`);
}

function liesOn(folder: string): void {
  mkdirSync(join(sysfs, folder), { recursive: true });
  symlinkSync(join(sysfs, folder), join(sysfs, 'dev/block', deviceNumber(statSync(sysfs).dev)));
}

const readings = () => readSensors(findSensors(sysfs, sysfs));

test('an NVMe drive tells its temperature by its controller, to a partition as well', async () => {
  put('nvme0n1/device/hwmon3/temp1_input', '41850');
  put('nvme0n1/nvme0n1p2/partition', '2');
  liesOn('nvme0n1/nvme0n1p2');
  assert.deepEqual(await readings(), { temperatureCelsius: 41.85 });
});

test('a SATA drive, by drivetemp, below zero too; and power where there is any', async () => {
  put('sda/device/hwmon/hwmon0/temp1_input', '-5000');
  put('sda/device/hwmon/hwmon0/power1_average', '2500000');
  liesOn('sda');
  assert.deepEqual(await readings(), { temperatureCelsius: -5, powerWatts: 2.5 });
});

test('an eMMC tells how much of its life is used, in steps: the upper end of the worse one', async () => {
  put('mmcblk0/device/life_time', '0x02 0x04');
  liesOn('mmcblk0');
  assert.deepEqual(await readings(), { wearPercent: 40 });
  put('mmcblk0/device/life_time', '0x00 0x00');
  assert.deepEqual(await readings(), {}, 'not told');
});

test('the disk below a mapped device is found if there is one only', async () => {
  put('sda/device/hwmon/hwmon0/temp1_input', '30000');
  mkdirSync(join(sysfs, 'dm-0/slaves'), { recursive: true });
  symlinkSync(join(sysfs, 'sda'), join(sysfs, 'dm-0/slaves/sda'));
  liesOn('dm-0');
  assert.deepEqual(await readings(), { temperatureCelsius: 30 });
  mkdirSync(join(sysfs, 'dm-0/slaves/sdb'));
  assert.deepEqual(await readings(), {}, 'of which of the two?');
});

test('what isn’t known is left out: no figure is better than a wrong one', async () => {
  assert.deepEqual(await readings(), {}, 'a file system without a device');
  put('sda/device/hwmon/hwmon0/temp1_input', 'asleep');
  liesOn('sda');
  assert.deepEqual(await readings(), {});
  assert.deepEqual(watchSensors(join(sysfs, 'nothing here')).readings(), {});
});
