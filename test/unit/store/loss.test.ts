import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ArcId } from '../../../src/base/ids.ts';
import { Prng } from '../../../src/base/prng.ts';
import { SimFlash } from '../../../src/sim/flash.ts';
import { type Gap, LossBook } from '../../../src/store/loss.ts';
import { Store } from '../../../src/store/store.ts';
import type { ArcCheckpoint, StoreOwner } from '../../../src/store/types.ts';
import { TestClock } from './test-ports.ts';
import {
  arcId,
  blockBytes,
  blocks,
  cluster,
  corelet,
  crcsOf,
  entryOf,
  mebibyte,
  openStore,
  rangeOf,
  synced,
} from './workload.ts';

const clock = new TestClock();
const segmentBytes = 4 * mebibyte;
const arc = arcId(1);
const other = arcId(2);

async function formatted(seed = 1): Promise<SimFlash> {
  const medium = new SimFlash(clock, new Prng(seed), { sizeBytes: 41 * mebibyte });
  await Store.format(medium.attach(), { cluster, corelet, founding: new Uint8Array(0), segmentBytes }, new Prng(seed));
  return medium;
}

/** Appends entries `from` … `to` of arc 1, each in a batch of its own. Where each batch begins. */
async function append(store: Store, from: number, to: number): Promise<number[]> {
  const batches: number[] = [];
  for (let index = from; index <= to; index++) {
    const position = store.appendEntry(entryOf({ index, data: blocks(index * 100, 2) })) as number;
    batches.push(position - blockBytes);
    await synced(store);
  }
  return batches;
}

const zeros = new Uint8Array(blockBytes);
const open = (medium: SimFlash) => openStore(medium.attach(), clock);

/** Owns two arcs that never change. */
class TwoArcs implements StoreOwner {
  arcs = (): Iterable<ArcId> => [arc, other];
  checkpointMark = (of: ArcId): string => `${of}`;
  checkpoint = (): ArcCheckpoint => ({ state: Uint8Array.of(1), hardState: Uint8Array.of(1), tail: [] });
  appliedIndex = (): number => 0;
  holds = (): boolean => false;
  freed(): void {}
}

test('a loss is told at every restart until the owner has dealt with it: a forgotten vote must not be cast again (INV-10)', async () => {
  const medium = await formatted();
  const first = await open(medium);
  const batches = await append(first.store, 1, 5);
  await first.store.close();
  medium.poke(batches[2] as number, zeros);
  for (let restart = 1; restart <= 3; restart++) {
    const { store } = await open(medium);
    assert.ok(store.loss?.concerns(arc) && store.loss.concerns(arcId(77)), 'of any arc there may have been something');
    if (restart === 2) medium.crash();
    else await store.close();
  }
  const last = await open(medium);
  last.store.appendArcState(arc, Uint8Array.of(9));
  await last.store.acknowledgeLoss();
  medium.crash();
  const { store, seen } = await open(medium);
  assert.equal(store.loss, undefined);
  assert.equal(seen.lostBatches.length, 1, 'the gap is there, and was dealt with');
  assert.deepEqual(
    seen.happenings.map(({ type }) => type),
    ['entry', 'entry', 'arcState'],
  );
});

test('a checkpoint doesn’t bury a loss that nobody dealt with', async () => {
  const medium = await formatted();
  const first = await open(medium);
  const batches = await append(first.store, 1, 5);
  await first.store.close();
  medium.poke(batches[2] as number, zeros);
  const second = await open(medium);
  second.store.attach(new TwoArcs());
  await second.store.checkpoint();
  await second.store.close();
  const third = await open(medium);
  assert.deepEqual(third.seen.lostBatches, [], 'the log is read from behind the gap');
  assert.ok(third.store.loss?.concerns(arc));
  third.store.attach(new TwoArcs());
  await third.store.acknowledgeLoss();
  await third.store.close();
  assert.equal((await open(medium)).store.loss, undefined);
});

test('what is lost after it was dealt with is a loss of its own, even next to the old one', async () => {
  const medium = await formatted();
  const first = await open(medium);
  const batches = await append(first.store, 1, 6);
  await first.store.close();
  medium.poke(batches[2] as number, zeros);
  const second = await open(medium);
  await second.store.acknowledgeLoss();
  await second.store.close();
  medium.poke(batches[1] as number, zeros);
  const third = await open(medium);
  assert.ok(third.store.loss?.concerns(arc));
});

test('arcs of which the checkpoint took the state behind the gap are whole: they needn’t be copied anew', async () => {
  const medium = await formatted();
  const first = await open(medium);
  const position = first.store.appendEntry(entryOf({ index: 1, data: blocks(100, 1) })) as number;
  await synced(first.store);
  // So many pages are written in several turns, before the other arc's state is taken.
  for (let chunk = 0; chunk < 100; chunk++) {
    first.store.map(arc).set(rangeOf(chunk, 0, 1), position, 1, crcsOf(blocks(100, 1)));
  }
  first.store.attach(new TwoArcs());
  const passing = first.store.checkpoint();
  const [, inBetween] = await append(first.store, 2, 3);
  await passing;
  await append(first.store, 4, 4);
  await first.store.close();
  medium.poke(inBetween as number, zeros);
  const { store, seen } = await open(medium);
  assert.equal(seen.lostBatches.length, 1);
  assert.ok(store.loss?.concerns(arc), 'its state was taken before');
  assert.equal(store.loss?.concerns(other), false, 'its state was taken behind');
});

test('an unreadable end of the log: it goes on elsewhere, and what can be read again later doesn’t take the place of what came since', async () => {
  const medium = await formatted();
  const first = await open(medium);
  const batches = await append(first.store, 1, 4);
  await first.store.close();
  medium.failRange(batches[3] as number, blockBytes);
  const second = await open(medium);
  assert.ok(second.store.recovery.tailUnreadable && second.store.loss?.concerns(arc));
  second.store.appendArcState(arc, Uint8Array.of(9));
  const since = await append(second.store, 21, 23);
  assert.ok((since[0] as number) >= mebibyte + segmentBytes, 'in another segment');
  await second.store.acknowledgeLoss();
  await second.store.close();
  const third = await open(medium);
  assert.equal(third.store.loss, undefined);
  assert.deepEqual(
    third.seen.entries.map(({ index }) => index),
    [1, 2, 3, 21, 22, 23],
  );
  await append(third.store, 24, 24);
  await third.store.close();
  medium.healRanges();
  const fourth = await open(medium);
  assert.deepEqual(
    fourth.seen.happenings.map((one) => (one.type === 'entry' ? one.entry.index : one.type)),
    [1, 2, 3, 4, 'arcState', 21, 22, 23, 24],
  );
  assert.equal(fourth.store.loss, undefined);
});

test('registers that were set behind the loss are the newest; of others nobody knows', async () => {
  const medium = await formatted();
  const first = await open(medium);
  first.store.setRegister('view', Uint8Array.of(1));
  first.store.setRegister('ballot', Uint8Array.of(1));
  const batches = await append(first.store, 1, 3);
  first.store.setRegister('view', Uint8Array.of(2));
  await append(first.store, 4, 4);
  await first.store.close();
  medium.poke(batches[1] as number, zeros);
  const { store, seen } = await open(medium);
  assert.deepEqual([...seen.registers.keys()].sort(), ['ballot', 'view'], 'the store’s own are not told');
  assert.equal(store.loss?.mayBeOlder('view'), false);
  assert.equal(store.loss?.mayBeOlder('ballot'), true);
  assert.equal(store.loss?.mayBeOlder('never set'), true);
});

test('a gap counts as known only to a restart that begins from a checkpoint as new', () => {
  const gap = (fromSequence: number, toSequence: number, spared: number[]): Gap => ({
    fromSequence,
    toSequence,
    spared: new Set(spared.map(arcId)),
  });
  const book = new LossBook();
  book.add(gap(10, 12, [1, 2]), new Set(['view']));
  const again = LossBook.decode(book.encode());
  assert.ok(again.knows(gap(10, 12, [1, 2])) && again.knows(gap(11, 11, [1, 2, 3])));
  assert.ok(!again.knows(gap(9, 12, [1, 2])), 'more is lost');
  assert.ok(!again.knows(gap(10, 12, [1])), 'an older checkpoint: of arc 2 something was there');
  assert.ok(again.loss?.concerns(arcId(3)) && !again.loss.concerns(arcId(1)) && !again.loss.mayBeOlder('view'));
  again.add(gap(20, 20, [2]), new Set());
  assert.ok(again.loss?.concerns(arcId(1)) && !again.loss.concerns(arcId(2)) && again.loss.mayBeOlder('view'));
  again.settle();
  again.passed(13);
  const last = LossBook.decode(again.encode());
  assert.ok(last.loss === undefined && !last.knows(gap(10, 12, [1, 2])) && last.knows(gap(20, 20, [2])));
});

test('every bad block of a read is told, the others are there: one request brings all that has to be repaired', async () => {
  const medium = await formatted();
  const { store } = await open(medium);
  const data = blocks(500, 8);
  const position = store.appendEntry(entryOf({ index: 1, data })) as number;
  await synced(store);
  medium.rot(position + 2 * blockBytes, 512);
  medium.rot(position + 3 * blockBytes, 512);
  medium.failRange(position + 6 * blockBytes, 512);
  const positions = Array.from({ length: 10 }, (_, i) => (i === 8 ? 0 : i === 9 ? 1 : position + i * blockBytes));
  const crcs = new Uint32Array(10);
  crcs.set(crcsOf(data));
  const into = new Uint8Array(10 * blockBytes).fill(7);
  const bad = await store.readEach(positions, crcs, into);
  assert.deepEqual(bad, [
    { code: 'CORRUPT', block: 2 },
    { code: 'CORRUPT', block: 3 },
    { code: 'UNREADABLE', block: 6 },
    { code: 'CORRUPT', block: 9 }, // its map page is damaged
  ]);
  for (const i of [0, 1, 4, 5, 7]) {
    const at = i * blockBytes;
    assert.deepEqual(into.subarray(at, at + blockBytes), data.subarray(at, at + blockBytes));
  }
  assert.ok(into.subarray(8 * blockBytes, 9 * blockBytes).every((byte) => byte === 0));
  assert.deepEqual(await store.readEach(positions.slice(0, 2), crcs.slice(0, 2), into.subarray(0, 2 * blockBytes)), []);
});
