import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { readChassis, withSlot, writeChassis, writeFounding } from '../../../src/chassis/chassis-file.ts';
import { acquireLock } from '../../../src/chassis/lock.ts';
import { chassisOf } from './sample.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'corelet-chassis-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const codeOf = (folder: string): string => {
  const read = readChassis(folder);
  return read.ok ? 'OK' : read.code;
};

test('what is written is read back, and nothing else lies around', () => {
  const chassis = withSlot(chassisOf(6), 3, { pid: 4711, pulled: false });
  writeChassis(dir, chassis);
  const read = readChassis(dir);
  assert.ok(read.ok);
  assert.deepEqual(read.chassis, chassis);
  assert.deepEqual(readdirSync(dir), ['chassis.json']);
});

test("an absent, an empty and an interrupted first start may be begun; somebody else's folder may not", () => {
  assert.equal(codeOf(join(dir, 'nothing')), 'ABSENT');
  assert.equal(codeOf(dir), 'ABSENT');
  writeFounding(dir);
  mkdirSync(join(dir, 'slots'));
  assert.equal(codeOf(dir), 'FOUNDING');
  rmSync(join(dir, 'founding.json'));
  assert.equal(codeOf(dir), 'FOREIGN');
  writeFileSync(join(dir, 'file'), '');
  assert.equal(codeOf(join(dir, 'file')), 'FOREIGN');
});

test('other versions, damaged files and strangers are told apart and refused', () => {
  const file = join(dir, 'chassis.json');
  const write = (value: unknown): void =>
    writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value));
  write({ formatVersion: 999, slots: [] });
  assert.equal(codeOf(dir), 'VERSION');
  write({ ...chassisOf(3), formatVersion: undefined });
  assert.equal(codeOf(dir), 'VERSION');
  write('{"formatVersion": 1, "slo');
  assert.equal(codeOf(dir), 'DAMAGED');
  write({ wheels: 4 });
  assert.equal(codeOf(dir), 'FOREIGN');
  for (const change of [
    { cluster: 'x' },
    { slots: [] },
    { arcs: -1 },
    { volume: null },
    { slots: chassisOf(3).slots.slice(1) },
  ]) {
    write({ ...chassisOf(3), ...change });
    assert.equal(codeOf(dir), 'DAMAGED', JSON.stringify(change));
  }
});

test('two commands never change the same chassis at once, and a lock ends with its holder', async () => {
  const first = await acquireLock(dir, 'change', 0);
  assert.ok(first);
  assert.equal(await acquireLock(dir, 'change', 0), undefined);
  const other = await acquireLock(dir, 'chassis', 0);
  assert.ok(other, 'the locks are independent');
  const waiting = acquireLock(dir, 'change', 10_000);
  first.release();
  const second = await waiting;
  assert.ok(second);
  second.release();
  other.release();
});
