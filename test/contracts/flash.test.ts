import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Prng } from '../../src/base/prng.ts';
import { openFlashFile } from '../../src/platform/flash-file.ts';
import type { Flash } from '../../src/ports/flash.ts';
import { SimFlash } from '../../src/sim/flash.ts';
import { TestClock } from '../unit/store/test-ports.ts';
import { flashContract, pattern } from './flash.ts';
import { makeLoopDevice, noLoopDevices } from './loop-device.ts';

const sizeBytes = 8 * 1024 * 1024;

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'flash-'));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function opened(path: string, options: Parameters<typeof openFlashFile>[1]): Promise<Flash> {
  const result = await openFlashFile(path, options);
  assert.ok(result.ok, result.ok ? '' : result.message);
  return result.flash;
}

flashContract('file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'flash-'));
  const path = join(folder, 'flash');
  let flash = await opened(path, { sizeBytes, create: true });
  return {
    flash,
    reopen: async () => {
      await flash.close();
      flash = await opened(path, {});
      return flash;
    },
    dispose: async () => {
      await flash.close();
      await rm(folder, { recursive: true });
    },
  };
});

flashContract(
  'loop device',
  async () => {
    const loop = makeLoopDevice(sizeBytes);
    let flash: Flash;
    try {
      flash = await opened(loop.path, {});
    } catch (error) {
      loop.dispose();
      throw error;
    }
    return {
      flash,
      reopen: async () => {
        await flash.close();
        flash = await opened(loop.path, {});
        return flash;
      },
      dispose: async () => {
        await flash.close();
        loop.dispose();
      },
    };
  },
  noLoopDevices,
);

flashContract('simulated', async () => {
  const medium = new SimFlash(new TestClock(), new Prng(1), { sizeBytes });
  return {
    flash: medium.attach(),
    reopen: async () => {
      medium.crash();
      return medium.attach();
    },
    dispose: async () => medium.detach(),
  };
});

test('file: a new one is sparse and has the size asked for', async () => {
  await inFolder(async (folder) => {
    const path = join(folder, 'flash');
    const flash = await opened(path, { sizeBytes: 1 << 30, create: true });
    assert.equal(flash.sizeBytes, 1 << 30);
    assert.ok((await stat(path)).blocks * 512 < 1 << 20, 'space is taken when it is written');
    await flash.close();
  });
});

test('file: what is no device is refused, nothing is made', async () => {
  await inFolder(async (folder) => {
    const missing = await openFlashFile(join(folder, 'none'), {});
    assert.equal(missing.ok ? '' : missing.code, 'NOT_FOUND');
    const directory = await openFlashFile(folder, {});
    assert.equal(directory.ok ? '' : directory.code, 'INVALID');
    await assert.rejects(stat(join(folder, 'none')));
  });
});

test('file: one process at a time; a look at it without the lock is allowed', async () => {
  await inFolder(async (folder) => {
    const path = join(folder, 'flash');
    const flash = await opened(path, { sizeBytes, create: true });
    await flash.writeDurably(0, [pattern(4096, 1)]);
    const second = await openFlashFile(path, {});
    assert.equal(second.ok ? '' : second.code, 'IN_USE');
    const look = await opened(path, { readOnly: true });
    const seen = new Uint8Array(4096);
    await look.read(0, seen);
    assert.deepEqual(seen, pattern(4096, 1));
    await look.close();
    await flash.close();
    await (await opened(path, {})).close();
  });
});

const holder = `
import { openFlashFile } from ${JSON.stringify(new URL('../../src/platform/flash-file.ts', import.meta.url).href)};
const opened = await openFlashFile(process.argv[2], {});
console.log(opened.ok ? 'held' : opened.code);
setInterval(() => {}, 1000);
`;

test('file: a killed process leaves no lock behind', async () => {
  await inFolder(async (folder) => {
    const path = join(folder, 'flash');
    await (await opened(path, { sizeBytes, create: true })).close();
    const script = join(folder, 'holder.mjs');
    await writeFile(script, holder);
    const child = spawn(process.execPath, [script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    const [said] = (await once(child.stdout, 'data')) as [Buffer];
    assert.equal(said.toString().trim(), 'held');
    const refused = await openFlashFile(path, {});
    assert.equal(refused.ok ? '' : refused.code, 'IN_USE');
    child.kill('SIGKILL');
    await ended;
    await (await opened(path, {})).close();
  });
});

test('simulated: a crash keeps what was durable, any part of what was under way, and answers nobody', async () => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 40; seed++) {
    const medium = new SimFlash(new TestClock(), new Prng(seed), { sizeBytes, sectorBytes: 512 });
    const flash = medium.attach();
    await flash.writeDurably(0, [pattern(4096, 1)]);
    let answered = false;
    void flash.writeDurably(4096, [pattern(1024, 2), new Uint8Array(3072)]).then(() => {
      answered = true;
    });
    medium.crash({ tear: seed % 2 === 0 });
    const again = medium.attach();
    const seen = new Uint8Array(8192);
    await again.read(0, seen);
    assert.deepEqual(seen.subarray(0, 4096), pattern(4096, 1));
    const sectors = [0, 1].map((sector) => {
      const got = Buffer.from(seen.subarray(4096 + sector * 512, 4608 + sector * 512));
      if (got.equals(Buffer.alloc(512))) return 'lost';
      return got.equals(Buffer.from(pattern(1024, 2).subarray(sector * 512, sector * 512 + 512))) ? 'kept' : 'torn';
    });
    outcomes.add(sectors.join());
    assert.equal(answered, false);
  }
  for (const outcome of ['kept,kept', 'kept,lost', 'lost,kept', 'lost,lost']) assert.ok(outcomes.has(outcome), outcome);
  assert.ok([...outcomes].some((outcome) => outcome.includes('torn')));
});

test('simulated: the faults that a device has', async () => {
  const medium = new SimFlash(new TestClock(), new Prng(3), { sizeBytes });
  const flash = medium.attach();
  const read = async (offset: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(4096);
    await flash.read(offset, bytes);
    return bytes;
  };
  await flash.writeDurably(0, [pattern(4096, 1)]);
  medium.rot(512, 512);
  const rotten = await read(0);
  assert.notDeepEqual(rotten, pattern(4096, 1));
  assert.deepEqual(rotten.subarray(0, 512), pattern(4096, 1).subarray(0, 512));
  medium.loseNextWrite();
  await flash.writeDurably(8192, [pattern(4096, 2)]);
  assert.deepEqual(await read(8192), new Uint8Array(4096));
  medium.misdirectNextWrite(16384);
  await flash.writeDurably(8192, [pattern(4096, 3)]);
  assert.deepEqual(await read(8192), new Uint8Array(4096));
  assert.deepEqual(await read(16384), pattern(4096, 3));
  medium.failRange(8192, 4096);
  await assert.rejects(read(8192), { code: 'EIO' });
  await assert.rejects(flash.writeDurably(4096, [pattern(8192, 1)]), { code: 'EIO' });
  medium.healRanges();
  medium.fullAtBytes = 65536;
  await assert.rejects(flash.writeDurably(65536, [pattern(4096, 1)]), { code: 'ENOSPC' });
  const copy = medium.clone();
  await flash.writeDurably(0, [pattern(4096, 7)]);
  assert.notDeepEqual(copy.peek(0, 4096), medium.peek(0, 4096), 'a clone goes its own way');
});

test('simulated: bytes changed while they are under way are noticed', async () => {
  const medium = new SimFlash(new TestClock(), new Prng(3), { sizeBytes });
  const bytes = pattern(4096, 1);
  void medium.attach().writeDurably(0, [bytes]);
  bytes[17] = 0;
  assert.throws(() => medium.crash({ keepFraction: 1 }), { name: 'AssertionFailed' });
});
