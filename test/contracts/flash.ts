import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Flash, FlashError } from '../../src/ports/flash.ts';

/** What the suite needs of a device: 1 MiB or more, all zeros. `reopen` is what a restart of the process does. */
export interface FlashUnderTest {
  readonly flash: Flash;
  reopen(): Promise<Flash>;
  dispose(): Promise<void>;
}

const mebibyte = 1024 * 1024;

export function pattern(lengthBytes: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  for (let i = 0; i < lengthBytes; i++) bytes[i] = (i * 31 + (i >>> 8) * 7 + seed * 13) & 255;
  return bytes;
}

async function readAt(flash: Flash, offset: number, lengthBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes).fill(0xee);
  await flash.read(offset, bytes);
  return bytes;
}

/** The Flash port's promises; every implementation runs them. `skip`: why this machine can't. */
export function flashContract(name: string, make: () => Promise<FlashUnderTest>, skip?: string): void {
  const check = (title: string, run: (device: FlashUnderTest) => Promise<void>): void => {
    test(`${name}: ${title}`, { skip: skip ?? false }, async () => {
      const device = await make();
      try {
        await run(device);
      } finally {
        await device.dispose();
      }
    });
  };

  check('what was never written reads as zeros', async ({ flash }) => {
    assert.deepEqual(await readAt(flash, 512 * 1024, 8192), new Uint8Array(8192));
  });

  check('a write of several pieces lands in one run, in order', async ({ flash }) => {
    const pieces = [pattern(4096, 1), pattern(100, 2), pattern(8092, 3), new Uint8Array(0), pattern(4096, 4)];
    await flash.writeDurably(8192, pieces);
    assert.deepEqual(Buffer.from(await readAt(flash, 8192, 16384)), Buffer.concat(pieces));
    assert.deepEqual(await readAt(flash, 4096, 4096), new Uint8Array(4096), 'what lies in front is untouched');
    assert.deepEqual(await readAt(flash, 24576, 4096), new Uint8Array(4096), 'what lies behind is untouched');
  });

  check('more pieces than one system call takes arrive whole', async ({ flash }) => {
    const pieces = Array.from({ length: 2500 }, (_, i) => pattern(256, i)).slice(0, 2496);
    await flash.writeDurably(0, pieces);
    assert.deepEqual(Buffer.from(await readAt(flash, 0, 2496 * 256)), Buffer.concat(pieces));
  });

  check('the last bytes of the device can be written and read', async ({ flash }) => {
    const block = pattern(4096, 9);
    await flash.writeDurably(flash.sizeBytes - 4096, [block]);
    assert.deepEqual(await readAt(flash, flash.sizeBytes - 4096, 4096), block);
  });

  check('reads beside a write are answered, and see it once it returned', async ({ flash }) => {
    const writes = Array.from({ length: 8 }, (_, i) => flash.writeDurably(i * 65536, [pattern(65536, i)]));
    const reads = Array.from({ length: 8 }, (_, i) => readAt(flash, mebibyte - 65536 + i * 4096, 4096));
    await Promise.all([...writes, ...reads]);
    for (let i = 0; i < 8; i++) assert.deepEqual(await readAt(flash, i * 65536, 65536), pattern(65536, i));
  });

  check('preparing space leaves its neighbours alone, and it can be written afterwards', async ({ flash }) => {
    await flash.writeDurably(0, [pattern(4096, 1)]);
    await flash.writeDurably(12288, [pattern(4096, 2)]);
    await flash.prepare(4096, 8192);
    assert.deepEqual(await readAt(flash, 0, 4096), pattern(4096, 1));
    assert.deepEqual(await readAt(flash, 12288, 4096), pattern(4096, 2));
    await flash.writeDurably(4096, [pattern(8192, 3)]);
    assert.deepEqual(await readAt(flash, 4096, 8192), pattern(8192, 3));
  });

  check('a write that returned is there after a restart', async (device) => {
    await device.flash.writeDurably(65536, [pattern(12288, 5)]);
    const again = await device.reopen();
    assert.equal(again.sizeBytes, device.flash.sizeBytes);
    assert.deepEqual(await readAt(again, 65536, 12288), pattern(12288, 5));
  });

  check('a closed device refuses with CLOSED', async ({ flash }) => {
    await flash.close();
    const closed = (error: unknown): boolean => error instanceof FlashError && error.code === 'CLOSED';
    await assert.rejects(flash.writeDurably(0, [pattern(4096, 1)]), closed);
    await assert.rejects(flash.read(0, new Uint8Array(4096)), closed);
    await flash.close();
  });

  check('a range outside the device, or not of whole sectors, is a bug of the caller', async ({ flash }) => {
    const refused = async (run: () => Promise<void>): Promise<void> => {
      await assert.rejects(async () => run(), { name: 'AssertionFailed' });
    };
    await refused(() => flash.read(flash.sizeBytes, new Uint8Array(4096)));
    await refused(() => flash.writeDurably(flash.sizeBytes - 4096, [pattern(8192, 1)]));
    await refused(() => flash.writeDurably(100, [pattern(4096, 1)]));
    await refused(() => flash.read(0, new Uint8Array(100)));
  });
}
