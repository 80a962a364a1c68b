import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { CoreletId } from '../../../src/base/ids.ts';
import { readChassis, type SlotRecord, writeChassis } from '../../../src/chassis/chassis-file.ts';
import { flashFile, shelvedFlashFile, slotFolder } from '../../../src/chassis/layout.ts';
import { findRunning, isRunning, lastLogLines, signal, stopAll, waitUntil } from '../../../src/chassis/process.ts';
import { insertSlot, pullSlot } from '../../../src/chassis/slots.ts';
import { watchSlots } from '../../../src/chassis/supervise.ts';
import { chassisOf } from './sample.ts';

const program = {
  through: [],
  node: process.execPath,
  nodeFlags: [],
  script: join(import.meta.dirname, 'module.fixture.ts'),
};
const limitMs = 20_000;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'corelet-slots-'));
  writeChassis(dir, chassisOf(3, { nbd: 28_809, iscsi: 28_600, nvme: 28_500, nvmeDiscovery: 28_700, admin: 28_400 }));
});
afterEach(async () => {
  await stopAll(dir, 5_000);
  rmSync(dir, { recursive: true, force: true });
});

function record(slot: number): SlotRecord {
  const read = readChassis(dir);
  assert.ok(read.ok);
  return read.chassis.slots[slot] as SlotRecord;
}

async function inserted(slot: number): Promise<number> {
  const result = await insertSlot(dir, slot, program);
  assert.ok(result.ok, JSON.stringify(result));
  const { pid } = result.record;
  assert.ok(pid !== null && (await waitUntil(() => lastLogLines(dir, slot, 1)[0] === 'module started', limitMs)));
  return pid;
}

test('a module is put in, drawn out without warning, and put back as the same one', async () => {
  const pid = await inserted(1);
  assert.equal(findRunning(dir).get(1), pid);
  const { id } = record(1);
  const pulled = await pullSlot(dir, 1);
  assert.ok(pulled.ok);
  assert.equal(isRunning(dir, 1, pid), false);
  assert.deepEqual([record(1).pid, record(1).pulled], [null, true], 'it stays out until somebody inserts it');
  await inserted(1);
  assert.equal(record(1).id, id);
  assert.equal(record(1).pulled, false);
});

test('empty, taken and absent slots are refused and nothing changes', async () => {
  const before = readChassis(dir);
  const empty = await pullSlot(dir, 0);
  assert.equal(empty.ok ? '' : empty.code, 'SLOT_EMPTY');
  const absent = await pullSlot(dir, 3);
  assert.equal(absent.ok ? '' : absent.code, 'SLOT_NOT_FOUND');
  assert.deepEqual(readChassis(dir), before);
  const pid = await inserted(0);
  const taken = await insertSlot(dir, 0, program);
  assert.equal(taken.ok ? '' : taken.code, 'SLOT_TAKEN');
  assert.ok(isRunning(dir, 0, pid));
});

test('a blank module gets a new id, and the old one is kept unless it is discarded', async () => {
  mkdirSync(join(dir, slotFolder(2)), { recursive: true });
  const old = record(2).id;
  writeFileSync(join(dir, flashFile(2)), 'old');
  const format = async (): Promise<void> => writeFileSync(join(dir, flashFile(2)), 'blank');
  const first = await insertSlot(dir, 2, program, { id: 'b'.repeat(32) as CoreletId, discardOld: false, format });
  assert.ok(first.ok);
  assert.equal(first.record.id, 'b'.repeat(32));
  assert.ok(existsSync(join(dir, shelvedFlashFile(2, old))));
  assert.ok((await pullSlot(dir, 2)).ok);
  const second = await insertSlot(dir, 2, program, { id: 'd'.repeat(32) as CoreletId, discardOld: true, format });
  assert.ok(second.ok);
  assert.ok(!existsSync(join(dir, shelvedFlashFile(2, 'b'.repeat(32)))));
});

test('a port that somebody else took is told before the module is touched', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(28_810, '127.0.0.1', resolve));
  const refused = await insertSlot(dir, 1, program);
  server.close();
  assert.ok(!refused.ok);
  assert.equal(refused.code, 'PORT_IN_USE');
  assert.match(refused.message, /28810/);
});

test('a module that ends by itself leaves its slot empty and is told; a pulled one is told as pulled', async () => {
  const told: string[] = [];
  const pid = await inserted(0);
  await inserted(1);
  const watcher = watchSlots(dir, {
    ended: ({ slot }) => told.push(`ended ${slot}`),
    pulled: ({ slot }) => told.push(`pulled ${slot}`),
    inserted: ({ slot }) => told.push(`inserted ${slot}`),
  });
  signal(pid, 'SIGKILL');
  assert.ok(await waitUntil(() => told.includes('ended 0'), limitMs));
  assert.deepEqual([record(0).pid, record(0).pulled], [null, false]);
  await pullSlot(dir, 1);
  assert.ok(await waitUntil(() => told.includes('pulled 1'), limitMs));
  await inserted(1);
  assert.ok(await waitUntil(() => told.includes('inserted 1'), limitMs));
  watcher.stop();
  assert.deepEqual(told, ['ended 0', 'pulled 1', 'inserted 1']);
});

test('a Corelet that does not end when asked is killed: Ctrl-C always comes to an end', async () => {
  process.env['CORELET_FIXTURE'] = 'stubborn';
  try {
    await inserted(0);
  } finally {
    delete process.env['CORELET_FIXTURE'];
  }
  await inserted(1);
  assert.equal(await stopAll(dir, 1_000), 1);
  assert.equal(findRunning(dir).size, 0);
});
