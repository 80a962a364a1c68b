import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { blockDeviceShape, deviceNumber, whoHolds } from '../../src/platform/flash-file-device.ts';
import { flashInUse, openFlashFile } from '../../src/platform/flash-file.ts';
import type { Flash } from '../../src/ports/flash.ts';
import { pattern } from './flash.ts';
import { isAttached, type LoopDevice, makeLoopDevice, noLoopDevices } from './loop-device.ts';

const sizeBytes = 24 * 1024 * 1024 + 512; // no whole number of 4 KiB sectors

/** A test on a loop device that is there before and gone after it, whatever happens in between. */
function onDevice(title: string, run: (loop: LoopDevice) => Promise<void>, lacks?: string): void {
  test(`loop device: ${title}`, { skip: noLoopDevices ?? lacks ?? false }, async () => {
    const loop = makeLoopDevice(sizeBytes);
    try {
      await run(loop);
    } finally {
      loop.dispose();
    }
    assert.equal(isAttached(loop.path), false, 'it went with its last user');
  });
}

async function opened(path: string, options: Parameters<typeof openFlashFile>[1] = {}): Promise<Flash> {
  const result = await openFlashFile(path, options);
  assert.ok(result.ok, result.ok ? '' : result.message);
  assert.equal(result.kind, 'block device');
  return result.flash;
}

async function refused(path: string): Promise<readonly [code: string, message: string]> {
  const result = await openFlashFile(path, {});
  if (result.ok) await result.flash.close();
  return result.ok ? ['ok', ''] : [result.code, result.message];
}

onDevice('its size is the device’s, in whole sectors, and sizes asked for change nothing', async ({ path }) => {
  for (const options of [{}, { create: true, sizeBytes: 1 << 30 }, { readOnly: true }]) {
    const flash = await opened(path, options);
    assert.equal(flash.sizeBytes, 24 * 1024 * 1024);
    await flash.close();
  }
});

onDevice('one user at a time: two Corelets on one device would destroy each other’s log', async ({ path }) => {
  const flash = await opened(path);
  await flash.writeDurably(0, [pattern(4096, 1)]);
  assert.deepEqual(await refused(path), ['IN_USE', `${path} is in use by another process`]);
  assert.equal(await flashInUse(path), true);
  const look = await opened(path, { readOnly: true });
  const seen = new Uint8Array(4096);
  await look.read(0, seen);
  assert.deepEqual(seen, pattern(4096, 1), 'a look at it is allowed');
  await look.close();
  await flash.close();
  assert.equal(await flashInUse(path), false);
  await (await opened(path)).close();
});

const noMkfs =
  spawnSync('mkfs.ext4', ['-V']).status === 0 ? undefined : 'did not run: needs mkfs.ext4 for something to mount';

async function mountedIsRefused({ path }: LoopDevice): Promise<void> {
  execFileSync('mkfs.ext4', ['-q', path], { stdio: 'pipe' });
  const folder = mkdtempSync(join(tmpdir(), 'mounted here '));
  try {
    execFileSync('mount', [path, folder]);
    try {
      assert.deepEqual(await refused(path), ['IN_USE', `${path} is mounted at ${folder}`]);
    } finally {
      execFileSync('umount', [folder]);
    }
    await (await opened(path)).close();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

onDevice('one that is mounted is refused, and the refusal says where', mountedIsRefused, noMkfs);

const holder = `
import { openFlashFile } from ${JSON.stringify(new URL('../../src/platform/flash-file.ts', import.meta.url).href)};
const opened = await openFlashFile(process.argv[2], {});
console.log(opened.ok ? 'held' : opened.code);
setInterval(() => {}, 1000);
`;

onDevice('a killed process leaves no lock behind', async ({ path }) => {
  const folder = mkdtempSync(join(tmpdir(), 'flash-'));
  try {
    const script = join(folder, 'holder.mjs');
    writeFileSync(script, holder);
    const child = spawn(process.execPath, [script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    try {
      const [said] = (await once(child.stdout, 'data')) as [Buffer];
      assert.equal(said.toString().trim(), 'held');
      assert.equal((await refused(path))[0], 'IN_USE');
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
    await (await opened(path)).close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

onDevice('a name that leads to it serves as well: the lock is the device’s', async ({ path }) => {
  const folder = mkdtempSync(join(tmpdir(), 'flash-'));
  try {
    const name = join(folder, 'flash.img');
    symlinkSync(path, name);
    const flash = await opened(name);
    assert.equal((await refused(path))[0], 'IN_USE');
    await flash.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a pipe is refused, not waited for', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'flash-'));
  try {
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    assert.equal((await refused(join(folder, 'pipe')))[0], 'INVALID');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('device numbers beyond eight bits name the right folder', () => {
  assert.equal(deviceNumber(0x0801), '8:1');
  assert.equal(deviceNumber(0x1_0305), '259:5');
  assert.equal(deviceNumber(0x10_082c), '8:300');
  assert.equal(deviceNumber(0x1000_1113_8870), '5000:70000');
});

/** A machine on paper: a disk with two partitions, the second one mounted, and an array that the disk beside it is part of. */
function paperMachine(run: (sysfs: string, proc: string) => void): void {
  const root = mkdtempSync(join(tmpdir(), 'sysfs-'));
  const put = (path: string, text: string): void => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), `${text}\n`);
  };
  const device = (path: string, number: string, sectors: number): void => {
    put(`${path}/size`, String(sectors));
    put(`${path}/dev`, number);
    mkdirSync(join(root, 'dev/block'), { recursive: true });
    symlinkSync(join(root, path), join(root, 'dev/block', number));
  };
  try {
    device('devices/sda', '8:0', 4096);
    put('devices/sda/queue/logical_block_size', '4096');
    device('devices/sda/sda1', '8:1', 1024);
    put('devices/sda/sda1/partition', '1');
    device('devices/sda/sda2', '8:2', 2048);
    put('devices/sda/sda2/partition', '2');
    device('devices/sdb', '8:16', 4096);
    put('devices/sdb/queue/logical_block_size', '512');
    mkdirSync(join(root, 'devices/sdb/holders/md0'), { recursive: true });
    device('devices/sdc', '8:32', 4096);
    put('proc/self/mountinfo', '36 35 8:2 / /srv/my\\040files rw - ext4 /dev/sda2 rw');
    put('proc/swaps', 'Filename\tType\tSize\n/dev/sda1 partition 512');
    run(root, join(root, 'proc'));
  } finally {
    rmSync(root, { recursive: true });
  }
}

test('what a device is and who has it, as sysfs tells it', () => {
  paperMachine((sysfs, proc) => {
    assert.deepEqual(blockDeviceShape(0x0800, sysfs), { sizeBytes: 2 << 20, logicalBlockBytes: 4096 });
    const partition = { sizeBytes: 1 << 20, logicalBlockBytes: 4096 };
    assert.deepEqual(blockDeviceShape(0x0802, sysfs), partition, 'the unit of a partition is its disk’s');
    assert.equal(blockDeviceShape(0x0899, sysfs), undefined);
    assert.equal(whoHolds(0x0802, sysfs, proc), 'is mounted at /srv/my files');
    assert.equal(whoHolds(0x0801, sysfs, proc), 'is swap space');
    assert.match(
      whoHolds(0x0800, sysfs, proc),
      /^is (?:swap space|mounted at \/srv\/my files) \(its partition sda[12]\)$/,
    );
    assert.equal(whoHolds(0x0810, sysfs, proc), 'is part of md0');
    assert.equal(whoHolds(0x0820, sysfs, proc), 'is in use by another process');
  });
});
