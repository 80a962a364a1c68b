import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { writeChassis } from '../../../src/chassis/chassis-file.ts';
import { readHardware, soundHardware, writeHardware } from '../../../src/chassis/hardware.ts';
import { HardwareWatch } from '../../../src/cli/hardware-watch.ts';
import { SlowedFlash } from '../../../src/platform/slowed-flash.ts';
import type { Flash } from '../../../src/ports/flash.ts';
import { chassisOf } from '../chassis/sample.ts';

const program = join(import.meta.dirname, '../../../src/cli/main.ts');
let dir: string;

before(() => {
  dir = mkdtempSync(join(tmpdir(), 'corelet-hardware-'));
  writeChassis(dir, chassisOf(3));
});
after(() => rmSync(dir, { recursive: true, force: true }));

const corelet = (...args: readonly string[]) =>
  spawnSync(process.execPath, [program, ...args, '--data', dir], { encoding: 'utf8' });

test('the last supply is not taken by accident, and each part can be mended', () => {
  assert.equal(corelet('chassis', 'fail', 'psu', '1').status, 0);
  assert.equal(corelet('chassis', 'fail', 'heat', '70').status, 0);
  assert.deepEqual(readHardware(dir), { ...soundHardware, failedSupplies: [1], inletCelsius: 70 });
  const last = corelet('chassis', 'fail', 'psu', '2');
  assert.equal(last.status, 4, last.stderr);
  assert.deepEqual(readHardware(dir).failedSupplies, [1], 'nothing was changed');
  assert.equal(corelet('chassis', 'fail', 'psu', '1', '--mend').status, 0);
  assert.deepEqual(readHardware(dir).failedSupplies, []);
  assert.equal(corelet('chassis', 'fail', 'door', '1').status, 2);
  writeHardware(dir, soundHardware);
});

test('a Corelet sees its chassis as its own health, records what changes, and knows when the power goes', async () => {
  const told: string[] = [];
  const watch = new HardwareWatch(dir, 2, { record: ({ text }) => told.push(text) });
  assert.equal(watch.readings({}).suppliesFailed, 0);
  writeHardware(dir, { ...soundHardware, failedSupplies: [1, 2], inletCelsius: 50, slowness: { 2: 10, 1: 3 } });
  assert.match(await watch.brownOut, /no power supply/);
  assert.equal(watch.readings({}).suppliesFailed, 2);
  assert(Number(watch.readings({}).temperatureCelsius) > 50);
  assert.equal(
    watch.readings({ temperatureCelsius: 33 }).temperatureCelsius,
    33,
    'what the machine knows itself counts',
  );
  assert.equal(watch.slowness(), 10);
  assert.equal(told.length, 4, told.join('\n'));
  writeHardware(dir, soundHardware);
});

test('a slowed flash answers late, with the same answers', async () => {
  let factor = 1;
  const asked: string[] = [];
  const flash: Flash = {
    sizeBytes: 8192,
    sectorBytes: 4096,
    writeDurably: async () => void asked.push('write'),
    read: async (_, into) => void into.fill(7),
    prepare: async () => void asked.push('prepare'),
    close: async () => void asked.push('close'),
  };
  const slowed = new SlowedFlash(flash, () => factor);
  await slowed.writeDurably(0, []);
  factor = 50;
  const into = new Uint8Array(4);
  const read = slowed.read(0, into).then(() => 'read');
  assert.equal(await Promise.race([read, setTimeout(1, 'timer')]), 'timer', '0.2 ms at least, fifty times');
  await read;
  assert.deepEqual([...into], [7, 7, 7, 7]);
  await slowed.prepare(0, 4096);
  await slowed.close();
  assert.deepEqual(asked, ['write', 'prepare', 'close']);
});
