import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createClock } from '../../../src/platform/clock.ts';
import { openFlashFile } from '../../../src/platform/flash-file.ts';
import { cluster, corelet, DeviceWriter, formatDevice } from '../store/inspected-device.ts';

const program = join(import.meta.dirname, '../../../src/cli/main.ts');
const sizeBytes = 41 * 1024 * 1024;
let dir: string;
let device: string;
const positions: number[] = [];

async function opened(path: string) {
  const result = await openFlashFile(path, { create: true, sizeBytes });
  assert.ok(result.ok);
  return result.flash;
}

before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'corelet-inspect-'));
  device = join(dir, 'flash.img');
  const blank = await opened(device);
  await formatDevice(blank);
  await blank.close();
  const writer = await DeviceWriter.open(await opened(device), createClock());
  for (let chunk = 0; chunk < 30; chunk++) {
    positions.push(writer.write(chunk, 7, 1, chunk));
    await writer.synced();
  }
  await writer.store.checkpoint();
  await writer.store.close();
});
after(() => rmSync(dir, { recursive: true }));

interface Finished {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function inspect(...args: readonly string[]): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, 'device', 'inspect', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

/** A copy of the device with bytes changed at these places. */
async function damaged(name: string, places: readonly number[]): Promise<string> {
  const path = join(dir, name);
  copyFileSync(device, path);
  const file = await open(path, 'r+');
  for (const place of places) await file.write(Uint8Array.of(0x5a, 0xa5), 0, 2, place);
  await file.close();
  return path;
}

test('tells whose a device is and what is on it', async () => {
  const { code, out, err } = await inspect(device, '--segments');
  assert.deepEqual([code, err], [0, '']);
  assert.match(out, new RegExp(`^Corelet +${corelet}\\nCluster +${cluster}\\n`));
  assert.match(out, /^Device +file, 41 MiB, 10 segments of 4 MiB$/m);
  assert.match(out, /^In use +no$/m);
  assert.match(out, /^Superblock +2 copies, all whole$/m);
  assert.match(out, /^Checkpoint +1, whole/m);
  assert.match(out, /^Records .*\b30 entry\b/m);
  assert.match(out, /^Bad +nothing$/m);
  assert.match(out, /^SEGMENT +USE +LIVE/m);
});

test('--json is one object with a schema version and integers for bytes', async () => {
  const { code, out } = await inspect(device, '--json');
  assert.equal(code, 0);
  const report = JSON.parse(out) as Record<string, unknown>;
  const { schemaVersion, path, kind, inUse, deviceBytes, badCount, bad, formatVersion } = report;
  assert.deepEqual([schemaVersion, path, kind, inUse], [1, device, 'file', false]);
  assert.deepEqual([deviceBytes, badCount, bad, formatVersion], [sizeBytes, 0, [], 1]);
  assert.equal((report['segments'] as unknown[]).length, 10);
});

test('bad places are listed up to a limit, and the exit code says that there are some', async () => {
  const path = await damaged('bad.img', positions.slice(3, 9));
  const { code, out } = await inspect(path, '--limit', '2');
  assert.equal(code, 4);
  assert.match(out, /^Bad +6 places$/m);
  assert.match(out, /^ *\d+ +segment 0 +block corrupt +arc 0, volume 000000000abc, chunk 3, block 7$/m);
  assert.match(out, /^and 4 more$/m);
  assert.equal(out.match(/block corrupt/g)?.length, 2);
  const all = JSON.parse((await inspect(path, '--json')).out) as { bad: { position: number; what: string }[] };
  assert.deepEqual(
    all.bad.map(({ position, what }) => [position, what]),
    positions.slice(3, 9).map((position) => [position, 'block']),
  );
});

test('says when a Corelet holds the device, and reads it all the same', async () => {
  const writer = await DeviceWriter.open(await opened(device), createClock());
  try {
    const { code, out } = await inspect(device);
    assert.equal(code, 0);
    assert.match(out, /^In use +yes: a Corelet holds it/m);
  } finally {
    await writer.store.close();
  }
});

test('what is no device is refused with the reason and an exit code of its own', async () => {
  const blank = join(dir, 'blank.img');
  writeFileSync(blank, '');
  truncateSync(blank, sizeBytes);
  const foreign = join(dir, 'foreign.img');
  writeFileSync(foreign, 'something else'.repeat(100_000));
  const copies = [0, 128 * 1024];
  const version = await damaged(
    'version.img',
    copies.map((copy) => copy + 8),
  );
  const corrupt = await damaged(
    'corrupt.img',
    copies.map((copy) => copy + 33),
  );
  for (const [path, expected, says] of [
    [join(dir, 'none'), 3, /no such file/],
    [dir, 1, /no file or block device/],
    [blank, 6, /the device is blank/],
    [foreign, 6, /something else's data/],
    [version, 6, /store format 42330; this program reads format 1/],
    [corrupt, 1, /no copy of the superblock is whole/],
  ] as const) {
    const { code, out, err } = await inspect(path);
    assert.deepEqual([code, out], [expected, ''], path);
    assert.match(err, says);
    assert.equal(err.trimEnd().split('\n').length, 1, err);
  }
  assert.equal((await inspect()).code, 2);
  assert.match((await inspect('--help')).out, /Examples:\n {2}corelet device inspect /);
});
