import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prng } from '../../../src/base/prng.ts';
import { SimFlash } from '../../../src/sim/flash.ts';
import { Store } from '../../../src/store/store.ts';
import { readSuperblock } from '../../../src/store/superblock.ts';
import { storeLimits } from '../../../src/store/types.ts';
import { TestClock } from './test-ports.ts';
import {
  arcId,
  block,
  blockBytes,
  blocks,
  checkReadable,
  cluster,
  corelet,
  crcsOf,
  entryOf,
  mebibyte,
  openStore,
  rangeOf,
  Recorder,
  synced,
} from './workload.ts';

const clock = new TestClock();
const founding = Uint8Array.of(1, 2, 3);

function blankMedium(sizeBytes = 40 * mebibyte, seed = 1): SimFlash {
  return new SimFlash(clock, new Prng(seed), { sizeBytes });
}

async function formatted(sizeBytes = 40 * mebibyte, seed = 1): Promise<SimFlash> {
  const medium = blankMedium(sizeBytes, seed);
  const options = { cluster, corelet, founding, arcs: 256, segmentBytes: 4 * mebibyte };
  await Store.format(medium.attach(), options, new Prng(seed, 'format'));
  return medium;
}

test('a formatted device says whose it is; any other is refused with what it is', async () => {
  const medium = await formatted();
  const read = await readSuperblock(medium.attach());
  assert.ok(read.ok);
  assert.equal(read.superblock.cluster, cluster);
  assert.equal(read.superblock.corelet, corelet);
  assert.equal(read.superblock.arcs, 256);
  assert.deepEqual(read.superblock.founding, founding);

  const code = async (change: (medium: SimFlash) => void): Promise<string> => {
    const other = medium.clone();
    change(other);
    const opened = await Store.open(other.attach(), { clock }, new Recorder());
    return opened.ok ? 'ok' : opened.code;
  };
  const pages = (at: number, bytes: Uint8Array): ((other: SimFlash) => void) => {
    return (other) => {
      other.poke(at, bytes);
      other.poke(128 * 1024 + at, bytes);
    };
  };
  assert.equal(await code(() => {}), 'ok');
  assert.equal(await code((other) => other.rot(0, 4096)), 'ok', 'the second copy serves');
  assert.equal(await code((other) => other.failRange(0, 4096)), 'ok');
  assert.equal(await code(pages(0, new Uint8Array(4096))), 'UNFORMATTED');
  assert.equal(await code(pages(0, block(1))), 'FOREIGN');
  assert.equal(await code(pages(8, Uint8Array.of(2))), 'VERSION');
  assert.equal(await code(pages(40, Uint8Array.of(1, 1, 1))), 'CORRUPT');
  assert.equal(await code((other) => other.erase()), 'UNFORMATTED');
});

test('a copy of the superblock that rots is written anew from what was read at the start: the device opens when the other one rots later', async () => {
  const medium = await formatted();
  const opened = await Store.open(medium.attach(), { clock }, new Recorder());
  assert.ok(opened.ok);
  assert.equal((await opened.store.mendOwn(false)).superblocks, 0, 'nothing is written while both are whole');
  for (const position of [0, 128 * 1024]) {
    medium.poke(position + 20, Uint8Array.of(0xa5, 0x5a));
    assert.equal((await opened.store.mendOwn(false)).superblocks, 1);
  }
  await opened.store.close();
  const read = await readSuperblock(medium.attach());
  assert.ok(read.ok);
  assert.deepEqual([read.superblock.cluster, read.superblock.corelet], [cluster, corelet]);
});

test('an interrupted format leaves no device that could be taken for formatted', async () => {
  const options = { cluster, corelet, founding, segmentBytes: 4 * mebibyte };
  const whole = await formatted();
  const writes = whole.writes;
  for (let crashAt = 1; crashAt <= writes; crashAt++) {
    const medium = whole.clone();
    const flash = medium.attach();
    void Store.format(flash, options, new Prng(9)).catch(() => {});
    while (medium.writes < crashAt) await new Promise((resolve) => setImmediate(resolve));
    medium.crash({ keepFraction: 0.5 });
    const opened = await Store.open(medium.attach(), { clock }, new Recorder());
    if (crashAt < writes - 1)
      assert.ok(!opened.ok || opened.superblock.deviceTag !== 0, 'refused, or the old one whole');
    if (crashAt > 2 && crashAt < writes - 1) assert.equal(opened.ok, false);
  }
});

test('a file too small to be a device at all is told as such', async () => {
  const medium = new SimFlash(clock, new Prng(1), { sizeBytes: 0 });
  const read = await readSuperblock(medium.attach());
  assert.equal(read.ok ? '' : read.code, 'FOREIGN');
});

test('what is too small is refused', async () => {
  const flash = blankMedium(8 * mebibyte).attach();
  await assert.rejects(Store.format(flash, { cluster, corelet, founding }, new Prng(1)), RangeError);
});

test('every kind of record comes back in the order of appending, with its data', async () => {
  const medium = await formatted();
  const { store } = await openStore(medium.attach(), clock);
  const data = blocks(7, 3);
  const pieces = [data.subarray(0, 100), data.subarray(100, 8000), data.subarray(8000)];
  const position = store.appendEntry(entryOf({ index: 1, data, pieces, firstBlock: 250 }));
  store.appendTruncate(arcId(1), 2);
  store.appendHardState(arcId(2), Uint8Array.of(5));
  store.setRegister('view', Uint8Array.of(1));
  store.setRegister('view', Uint8Array.of(2));
  const large = new Uint8Array(3 * mebibyte).fill(3);
  store.appendArcState(arcId(2), large);
  assert.equal(store.appendEntry(entryOf({ index: 2 })), undefined, 'an entry without data has no position');
  await synced(store);
  await store.close();

  const { store: again, seen } = await openStore(medium.attach(), clock);
  assert.deepEqual(
    seen.happenings.map((happening) => happening.type),
    ['entry', 'truncated', 'hardState', 'arcState', 'entry'],
  );
  assert.equal(seen.entries[0]?.position, position);
  assert.deepEqual(seen.entries[0]?.range, rangeOf(0, 250, 3));
  assert.deepEqual(seen.registers, new Map([['view', Uint8Array.of(2)]]));
  const state = seen.happenings[3];
  assert.ok(state?.type === 'arcState');
  assert.deepEqual(state.state, large);
  const entry = seen.entries[0];
  assert.ok(entry !== undefined);
  assert.deepEqual(await again.readEntryData(entry), data);
});

test('what was appended can be read at once, while it is written, and afterwards', async () => {
  const medium = await formatted();
  const { store } = await openStore(medium.attach(), clock);
  const data = blocks(100, 4);
  const odd = [data.subarray(0, 5000), data.subarray(5000, 5001), data.subarray(5001)];
  const position = store.appendEntry(entryOf({ index: 1, data, pieces: odd }));
  assert.ok(position !== undefined);
  const positions = [0, 3, 1, 2].map((i) => position + i * blockBytes);
  const crcs = [0, 3, 1, 2].map((i) => crcsOf(data)[i] as number);
  const expected = Buffer.concat([0, 3, 1, 2].map((i) => data.subarray(i * blockBytes, (i + 1) * blockBytes)));
  const check = async (): Promise<void> => {
    const into = new Uint8Array(4 * blockBytes);
    assert.deepEqual(await store.readBlocks(positions, crcs, into), { ok: true });
    assert.deepEqual(Buffer.from(into), expected);
  };
  const readsBefore = medium.reads;
  await check();
  assert.equal(medium.reads, readsBefore, 'nothing was asked of the device');
  await new Promise<void>((resolve) => queueMicrotask(resolve));
  await check();
  await synced(store);
  await check();
  assert.ok(medium.reads > readsBefore);
});

test('neighbouring blocks cost one read; holes read as zeros and cost none', async () => {
  const medium = await formatted();
  const { store } = await openStore(medium.attach(), clock);
  const data = blocks(5, 16);
  const position = store.appendEntry(entryOf({ index: 1, data })) as number;
  await synced(store);
  const before = medium.reads;
  const positions = Float64Array.from({ length: 18 }, (_, i) => (i > 15 ? 0 : position + i * blockBytes));
  const crcs = new Uint32Array(18);
  crcs.set(crcsOf(data));
  const into = new Uint8Array(18 * blockBytes).fill(1);
  assert.deepEqual(await store.readBlocks(positions, crcs, into), { ok: true });
  assert.equal(medium.reads - before, 1);
  assert.deepEqual(into.subarray(0, data.length), data);
  assert.deepEqual(into.subarray(data.length), new Uint8Array(2 * blockBytes));
});

test('a rotten or unreadable block is never handed out, and is told apart and counted (INV-4, INV-7)', async () => {
  const medium = await formatted();
  const { store } = await openStore(medium.attach(), clock);
  const data = blocks(5, 4);
  const position = store.appendEntry(entryOf({ index: 1, data })) as number;
  await synced(store);
  const positions = [0, 1, 2, 3].map((i) => position + i * blockBytes);
  const into = new Uint8Array(4 * blockBytes);
  medium.rot(position + 2 * blockBytes, 512);
  assert.deepEqual(await store.readBlocks(positions, crcsOf(data), into), { ok: false, code: 'CORRUPT', block: 2 });
  medium.failRange(position + blockBytes, 512);
  assert.deepEqual(await store.readBlocks(positions, crcsOf(data), into), { ok: false, code: 'UNREADABLE', block: 1 });
  assert.equal(store.health().badReads, 2);
});

test('a block that moved while it was read is checked against what the map said when the read began', async () => {
  const medium = await formatted();
  const { store } = await openStore(medium.attach(), clock);
  const map = store.map(arcId(1));
  const first = entryOf({ index: 1, data: block(1) });
  map.set(rangeOf(0, 0, 1), store.appendEntry(first) as number, 1, first.crcs);
  await synced(store);
  const chunk = map.get(rangeOf(0, 0, 1));
  assert.ok(chunk !== undefined);
  const into = new Uint8Array(blockBytes);
  const read = store.readBlocks(chunk.positions.subarray(0, 1), chunk.crcs.subarray(0, 1), into);
  const second = entryOf({ index: 2, data: block(2) });
  map.set(rangeOf(0, 0, 1), store.appendEntry(second) as number, 2, second.crcs);
  assert.deepEqual(await read, { ok: true });
  assert.deepEqual(into, block(1));
});

test('one turn is one write; what comes while it runs is the next; callbacks run in order, and only then', async () => {
  const medium = await formatted();
  const { store } = await openStore(medium.attach(), clock);
  const before = medium.writes;
  const order: string[] = [];
  for (let i = 1; i <= 50; i++) {
    store.appendEntry(entryOf({ arc: i, index: 1, data: block(i) }));
    store.afterSync(() => order.push(`first ${i}`));
  }
  assert.equal(order.length, 0);
  await new Promise((resolve) => queueMicrotask(() => resolve(undefined)));
  await Promise.resolve();
  assert.equal(medium.writes - before, 1);
  for (let i = 1; i <= 30; i++) store.appendEntry(entryOf({ arc: i, index: 2, data: block(i) }));
  store.afterSync(() => order.push('second'));
  assert.equal(medium.writes - before, 1, 'nothing of the next batch goes before the first is durable');
  await synced(store);
  assert.equal(medium.writes - before, 2);
  assert.deepEqual(order, [...Array.from({ length: 50 }, (_, i) => `first ${i + 1}`), 'second']);
  let ran = false;
  store.afterSync(() => {
    ran = true;
  });
  assert.ok(ran, 'with nothing pending there is nothing to wait for');
});

test('batches never span segments, and a log of many segments comes back whole', async () => {
  const medium = await formatted();
  const { store } = await openStore(medium.attach(), clock);
  const data = blocks(3, 200);
  for (let i = 1; i <= 25; i++) {
    store.appendEntry(entryOf({ index: i, data }));
    if (i % 3 === 0) await synced(store);
  }
  await synced(store);
  await store.close();
  const { store: again, seen } = await openStore(medium.attach(), clock);
  assert.deepEqual(
    seen.entries.map((entry) => entry.index),
    Array.from({ length: 25 }, (_, i) => i + 1),
  );
  await checkReadable(again, seen);
  for (const entry of seen.entries) {
    const position = entry.position as number;
    const segment = Math.floor((position - mebibyte) / (4 * mebibyte));
    assert.equal(Math.floor((position + data.length - 1 - mebibyte) / (4 * mebibyte)), segment);
  }
});

test('too much that is not durable: busy; only the reserve left: full, yet small records still go', async () => {
  const medium = await formatted(29 * mebibyte);
  const { store } = await openStore(medium.attach(), clock);
  assert.equal(store.roomFor(mebibyte), 'ok');
  assert.equal(store.roomFor(storeLimits.pendingBytesMax + 1), 'full');
  const data = blocks(3, 256);
  let index = 1;
  while (store.roomFor(data.length) !== 'full') {
    store.appendEntry(entryOf({ index: index++, data }));
    await synced(store);
  }
  assert.ok(index > 15, `${index} MiB went in`);
  store.appendHardState(arcId(1), Uint8Array.of(1));
  store.appendTruncate(arcId(1), index);
  await synced(store);
  await store.close();
  const { store: again } = await openStore(medium.attach(), clock);
  assert.equal(again.roomFor(data.length), 'full');
  assert.ok(again.health().freeSegments <= 1);
});

test('with nothing left at all the store fails as a whole; nobody is told anything', async () => {
  const medium = await formatted(17 * mebibyte);
  const { store } = await openStore(medium.attach(), clock);
  let failure: Error | undefined;
  store.onFailed((error) => {
    failure = error;
  });
  let told = 0;
  const data = blocks(3, 256);
  for (let i = 1; i <= 32 && failure === undefined; i++) {
    store.appendEntry(entryOf({ index: i, data }));
    store.afterSync(() => told++);
    for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(failure?.message, 'no segment is free');
  assert.ok(told <= 16);
  assert.equal(store.appendEntry(entryOf({ index: 99, data })), undefined);
  assert.equal(store.roomFor(1), 'busy');
});

test('after a failed write nothing is told durable any more, and the owner hears of it once', async () => {
  const medium = await formatted();
  const { store } = await openStore(medium.attach(), clock);
  const failures: string[] = [];
  store.onFailed((error) => failures.push(error.message));
  let told = false;
  medium.broken = true;
  store.appendEntry(entryOf({ index: 1, data: block(1) }));
  store.afterSync(() => {
    told = true;
  });
  while (failures.length === 0) await new Promise((resolve) => setImmediate(resolve));
  medium.broken = false;
  store.appendEntry(entryOf({ index: 2, data: block(1) }));
  store.afterSync(() => {
    told = true;
  });
  await store.close();
  assert.equal(told, false);
  assert.deepEqual(failures, ['the device is broken']);
  assert.ok(store.health().failed);
});

test('the log is prepared a little ahead while it grows by small writes, and what was written stays', async () => {
  const medium = await formatted();
  const { store } = await openStore(medium.attach(), clock);
  const entries = 900;
  for (let i = 1; i <= entries; i++) {
    store.appendEntry(entryOf({ index: i, data: blocks(i, 4) }));
    await synced(store);
  }
  await store.close();
  const { store: again, seen } = await openStore(medium.attach(), clock);
  assert.equal(seen.entries.length, entries);
  await checkReadable(again, seen);
});
