import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prng } from '../../../src/base/prng.ts';
import { SimFlash } from '../../../src/sim/flash.ts';
import { Store } from '../../../src/store/store.ts';
import { TestClock } from './test-ports.ts';
import {
  arcId,
  block,
  blockBytes,
  blocks,
  checkReadable,
  cluster,
  corelet,
  entryOf,
  mebibyte,
  openStore,
  Recorder,
  synced,
} from './workload.ts';

const clock = new TestClock();
const segmentBytes = 4 * mebibyte;

async function formatted(seed = 1): Promise<SimFlash> {
  const medium = new SimFlash(clock, new Prng(seed), { sizeBytes: 41 * mebibyte });
  await Store.format(medium.attach(), { cluster, corelet, founding: new Uint8Array(0), segmentBytes }, new Prng(seed));
  return medium;
}

/** Appends entries `from` … `to`, each in a batch of its own. Returns the position of each one's batch. */
async function append(store: Store, from: number, to: number, blocksEach = 2): Promise<number[]> {
  const batches: number[] = [];
  for (let index = from; index <= to; index++) {
    const position = store.appendEntry(entryOf({ index, data: blocks(index * 100, blocksEach) })) as number;
    batches.push(position - blockBytes);
    await synced(store);
  }
  return batches;
}

async function indexes(medium: SimFlash): Promise<{ store: Store; indexes: number[]; seen: Recorder }> {
  const { store, seen } = await openStore(medium.attach(), clock);
  return { store, indexes: seen.entries.map((entry) => entry.index), seen };
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

async function underWay(medium: SimFlash, writes: number): Promise<void> {
  while (medium.writes < writes) await new Promise((resolve) => setImmediate(resolve));
}

test('a torn tail is cut; the log goes on there, and what was torn never comes back', async () => {
  for (const part of ['head', 'data', 'tail'] as const) {
    const medium = await formatted();
    const first = await openStore(medium.attach(), clock);
    await append(first.store, 1, 3);
    const started = medium.writes;
    const headBytes = part === 'tail' ? 6000 : 20;
    const position = first.store.appendEntry(entryOf({ index: 4, data: blocks(400, 2), headBytes })) as number;
    await underWay(medium, started + 1);
    medium.crash({ keepFraction: 1 });
    const damaged = part === 'head' ? position - 4096 : part === 'data' ? position + 4096 : position + 8192;
    medium.poke(damaged + 512, new Uint8Array(512).fill(1));
    if (part === 'head') medium.poke(damaged, new Uint8Array(512));

    const second = await indexes(medium);
    assert.deepEqual(second.indexes, upTo(3), part);
    assert.deepEqual(second.seen.lostBatches, [], 'torn, not lost');
    assert.equal(second.store.recovery.torn !== undefined, part !== 'head', 'told, if anything of its head is left');
    await append(second.store, 4, 5);
    await second.store.close();
    const third = await indexes(medium);
    assert.deepEqual(third.indexes, upTo(5), part);
    await checkReadable(third.store, third.seen);
  }
});

test('an unacknowledged batch that is whole counts, and stays', async () => {
  const medium = await formatted();
  const first = await openStore(medium.attach(), clock);
  await append(first.store, 1, 3);
  const started = medium.writes;
  first.store.appendEntry(entryOf({ index: 4, data: blocks(400, 2) }));
  await underWay(medium, started + 1);
  medium.crash({ keepFraction: 1 });
  assert.deepEqual((await indexes(medium)).indexes, upTo(4));
  assert.deepEqual((await indexes(medium)).indexes, upTo(4));
});

test('a damaged batch with a later one is lost, and said so: of its arc nothing more is told until a state replaces it (INV-7)', async () => {
  const damages: readonly [string, (medium: SimFlash, position: number) => void][] = [
    ['header', (medium, position) => medium.rot(position, 120)],
    ['zeros', (medium, position) => medium.poke(position, new Uint8Array(4096))],
    ['meta', (medium, position) => medium.poke(position + 140, Uint8Array.of(255, 255))],
    ['unreadable', (medium, position) => medium.failRange(position, 512)],
  ];
  for (const [name, damage] of damages) {
    const medium = await formatted();
    const { store } = await openStore(medium.attach(), clock);
    const batches = await append(store, 1, 6);
    await store.close();
    damage(medium, batches[2] as number);
    const again = await indexes(medium);
    assert.deepEqual(again.indexes, [1, 2], name);
    assert.ok(again.store.loss?.concerns(arcId(1)), name);
    assert.equal(again.store.recovery.batches, 1 + 1 + 5, 'format, restart and all others were read');
    assert.equal(again.seen.lostBatches.length, 1, name);
    const lost = again.seen.lostBatches[0];
    assert.equal(lost?.position, batches[2], name);
    assert.equal(lost?.toSequence, lost?.fromSequence, name);
    assert.equal(lost?.reason, name === 'unreadable' ? 'unreadable' : 'invalid');
    assert.deepEqual(again.store.recovery.lost, again.seen.lostBatches);
    again.store.appendArcState(arcId(1), Uint8Array.of(7));
    await append(again.store, 7, 8);
    await again.store.acknowledgeLoss();
    await again.store.close();
    const third = await indexes(medium);
    assert.deepEqual(third.indexes, [1, 2, 7, 8], name);
    assert.equal(third.store.loss, undefined, 'dealt with, once and for all');
  }
});

test('rot in an older block is no reason to drop anything: that block alone is corrupt', async () => {
  const medium = await formatted();
  const { store } = await openStore(medium.attach(), clock);
  const batches = await append(store, 1, 4);
  await store.close();
  medium.rot((batches[1] as number) + 4096, 512);
  const again = await indexes(medium);
  assert.deepEqual(again.indexes, upTo(4));
  assert.deepEqual(again.store.recovery.lost, []);
  const entry = again.seen.entries[1];
  assert.ok(entry !== undefined);
  assert.equal(await again.store.readEntryData(entry), 'CORRUPT');
});

test('the head of a segment rots: its other batches and the segments behind it are found all the same', async () => {
  const medium = await formatted();
  const { store } = await openStore(medium.attach(), clock);
  const batches = await append(store, 1, 40, 100);
  await store.close();
  const whole = (await indexes(medium.clone())).store.recovery.batches;
  const heads = batches.filter((position) => (position - mebibyte) % segmentBytes === 0);
  assert.ok(heads.length >= 3);
  for (const head of heads) {
    const damaged = medium.clone();
    damaged.poke(head, new Uint8Array(4096));
    const again = await indexes(damaged);
    const missing = batches.indexOf(head) + 1;
    assert.deepEqual(again.indexes, upTo(missing - 1));
    assert.equal(again.store.recovery.batches, whole - 1);
    assert.equal(again.seen.lostBatches.length, 1);
  }
});

test('a whole segment gone in the middle: lost, said so, the rest served', async () => {
  const medium = await formatted();
  const { store } = await openStore(medium.attach(), clock);
  const batches = await append(store, 1, 40, 100);
  await store.close();
  const head = batches.filter((position) => (position - mebibyte) % segmentBytes === 0)[1] as number;
  const gone = batches.flatMap((position, i) => (position >= head && position < head + segmentBytes ? [i + 1] : []));
  const whole = (await indexes(medium.clone())).store.recovery.batches;
  medium.poke(head, new Uint8Array(segmentBytes));
  const again = await indexes(medium);
  assert.deepEqual(again.indexes, upTo((gone[0] as number) - 1));
  assert.equal(again.store.recovery.batches, whole - gone.length);
  assert.equal(again.seen.lostBatches.length, 1);
});

test('nothing whole left: CORRUPT, never an empty store', async () => {
  const medium = await formatted();
  medium.poke(mebibyte, new Uint8Array(segmentBytes));
  const opened = await Store.open(medium.attach(), { clock }, new Recorder());
  assert.equal(opened.ok ? 'ok' : opened.code, 'CORRUPT');
});

test('a batch torn at the head of the next segment is overwritten by the cut, and stays dead', async () => {
  const medium = await formatted();
  const first = await openStore(medium.attach(), clock);
  const batches = await append(first.store, 1, 10, 100);
  assert.ok((batches[9] as number) + 101 * 4096 + 101 * 4096 > mebibyte + segmentBytes, 'the next one will not fit');
  const started = medium.writes;
  const position = first.store.appendEntry(entryOf({ index: 11, data: blocks(7, 100) })) as number;
  assert.equal(position, mebibyte + segmentBytes + 4096);
  await underWay(medium, started + 1);
  medium.crash({ keepFraction: 1 });
  medium.poke(position + 50 * 4096, block(99));
  const second = await indexes(medium);
  assert.deepEqual(second.indexes, upTo(10));
  await append(second.store, 11, 13, 1);
  await second.store.close();
  assert.deepEqual((await indexes(medium)).indexes, upTo(13));
});

test('the data of another device, or of another place, is never taken for a batch', async () => {
  const medium = await formatted(1);
  const { store } = await openStore(medium.attach(), clock);
  const batches = await append(store, 1, 3);
  await store.close();
  const end = (batches[2] as number) + 3 * 4096;
  medium.poke(end, medium.peek(batches[1] as number, 3 * 4096));
  assert.deepEqual((await indexes(medium)).indexes, upTo(3), 'a batch copied elsewhere');

  const other = await formatted(2);
  const foreign = await openStore(other.attach(), clock);
  await append(foreign.store, 1, 5);
  await foreign.store.close();
  const bytes = other.peek(mebibyte, segmentBytes);
  const mine = await formatted(1);
  mine.poke(mebibyte + 4096, bytes.subarray(4096));
  assert.deepEqual((await indexes(mine)).indexes, [], 'what an earlier format left behind');
});

test('what was truncated and written anew comes back in the order in which it happened', async () => {
  const medium = await formatted();
  const { store } = await openStore(medium.attach(), clock);
  const old = [1, 2, 3].map((index) => entryOf({ index, term: 1, data: block(index) }));
  const replaced = [2, 3].map((index) => entryOf({ index, term: 2, data: block(index + 50) }));
  for (const record of old) store.appendEntry(record);
  store.appendTruncate(arcId(1), 2);
  for (const record of replaced) store.appendEntry(record);
  await synced(store);
  await store.close();
  const { seen } = await indexes(medium);
  const told = seen.happenings.map((happening) => {
    if (happening.type === 'entry') return `${happening.entry.term}:${happening.entry.index}`;
    return happening.type === 'truncated' ? `truncate ${happening.fromIndex}` : happening.type;
  });
  assert.deepEqual(told, ['1:1', '1:2', '1:3', 'truncate 2', '2:2', '2:3']);
});

test('what a restart did not count never counts later, even if the missing part turns up', async () => {
  const medium = await formatted();
  const first = await openStore(medium.attach(), clock);
  await append(first.store, 1, 3);
  const started = medium.writes;
  const position = first.store.appendEntry(entryOf({ index: 4, data: blocks(400, 2) })) as number;
  await underWay(medium, started + 1);
  medium.crash({ keepFraction: 1 });
  const late = medium.peek(position, 4096);
  medium.poke(position, new Uint8Array(4096));
  assert.deepEqual((await indexes(medium)).indexes, upTo(3));
  medium.crash();
  medium.poke(position, late);
  assert.deepEqual((await indexes(medium)).indexes, upTo(3));
});

test('a batch that the device wrote to a wrong place is not believed there', async () => {
  const medium = await formatted();
  const { store } = await openStore(medium.attach(), clock);
  const batches = await append(store, 1, 3);
  medium.misdirectNextWrite((batches[2] as number) + 64 * 4096);
  await append(store, 4, 4);
  await store.close();
  assert.deepEqual((await indexes(medium)).indexes, upTo(3));
});

test('what an earlier use of a segment left behind is not taken for the log', async () => {
  const now = await formatted();
  const start = await openStore(now.attach(), clock);
  await append(start.store, 1, 9, 100);
  await start.store.close();
  const earlier = now.clone();
  const other = await openStore(earlier.attach(), clock);
  await append(other.store, 10, 14, 100);
  await other.store.close();
  const left = earlier.peek(mebibyte + segmentBytes, segmentBytes);
  for (const count of [1, 2, 3, 8]) {
    const medium = now.clone();
    const { store } = await openStore(medium.attach(), clock);
    await append(store, 10, 9 + count, 1);
    await store.close();
    medium.poke(mebibyte + segmentBytes, left);
    const again = await indexes(medium);
    assert.deepEqual(again.indexes, upTo(9 + count));
    assert.deepEqual(again.store.recovery.lost, []);
  }
});

test('a damaged head before 8 MiB of zeros does not hide the batches behind it (INV-7)', async () => {
  const wide = 32 * mebibyte;
  const medium = new SimFlash(clock, new Prng(3), { sizeBytes: mebibyte + 4 * wide });
  const options = { cluster, corelet, founding: new Uint8Array(0), segmentBytes: wide };
  await Store.format(medium.attach(), options, new Prng(3));
  const { store } = await openStore(medium.attach(), clock);
  const zeros = new Uint8Array(mebibyte);
  const first = store.appendEntry(entryOf({ index: 1, data: zeros })) as number;
  for (let index = 2; index <= 8; index++) store.appendEntry(entryOf({ index, data: zeros }));
  await synced(store);
  await append(store, 9, 10);
  await store.close();
  medium.poke(first - blockBytes, new Uint8Array(blockBytes));
  const again = await indexes(medium);
  assert.deepEqual(again.indexes, []);
  assert.equal(again.store.recovery.records, 1 + 1 + 2, 'format, restart, and what follows');
  assert.equal(again.seen.lostBatches.length, 1);
});

test('copies of the superblock of two formats: refused, neither the past nor half of the present is served', async () => {
  const medium = await formatted(1);
  const { store } = await openStore(medium.attach(), clock);
  await append(store, 1, 3);
  await store.close();
  const former = medium.peek(0, blockBytes);
  const format = { cluster, corelet, founding: new Uint8Array(0), segmentBytes };
  await Store.format(medium.attach(), format, new Prng(2));
  medium.detach();
  medium.poke(0, former);
  const opened = await Store.open(medium.attach(), { clock }, new Recorder());
  assert.equal(opened.ok ? 'ok' : opened.code, 'CORRUPT');
});
