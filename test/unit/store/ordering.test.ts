import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prng } from '../../../src/base/prng.ts';
import type { Flash } from '../../../src/ports/flash.ts';
import { SimFlash } from '../../../src/sim/flash.ts';
import { Store } from '../../../src/store/store.ts';
import { TestClock } from './test-ports.ts';
import { blockBytes, blocks, cluster, corelet, entryOf, mebibyte, openStore, synced } from './workload.ts';

const clock = new TestClock();

interface Range {
  readonly from: number;
  readonly to: number;
}

/** Passes everything on, slowly where space is prepared, and watches what runs at the same time. */
class Watch implements Flash {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  writes = 0;
  prepared = 0;
  readonly faults: string[] = [];
  readonly #flash: Flash;
  readonly #writing = new Set<Range>();
  readonly #preparing = new Set<Range>();
  readonly #prepareMs: number;

  constructor(flash: Flash, prepareMs: number) {
    this.#flash = flash;
    this.#prepareMs = prepareMs;
    this.sizeBytes = flash.sizeBytes;
    this.sectorBytes = flash.sectorBytes;
  }

  async writeDurably(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    this.writes++;
    const range = { from: offset, to: offset + parts.reduce((sum, part) => sum + part.length, 0) };
    if (this.#writing.size > 0) this.faults.push('a batch is written before the one before it returned');
    this.#meet(range, this.#preparing);
    this.#writing.add(range);
    await this.#flash.writeDurably(offset, parts);
    this.#writing.delete(range);
  }

  async prepare(offset: number, lengthBytes: number): Promise<void> {
    this.prepared += lengthBytes;
    const range = { from: offset, to: offset + lengthBytes };
    this.#meet(range, this.#writing);
    this.#preparing.add(range);
    await new Promise<void>((resolve) => clock.after(this.#prepareMs, resolve));
    await this.#flash.prepare(offset, lengthBytes);
    this.#preparing.delete(range);
  }

  #meet(range: Range, others: ReadonlySet<Range>): void {
    for (const other of others) {
      if (range.from < other.to && range.to > other.from) this.faults.push('written and prepared at the same time');
    }
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    return this.#flash.read(offset, into);
  }
  close(): Promise<void> {
    return this.#flash.close();
  }
}

async function watched(prepareMs: number): Promise<{ medium: SimFlash; watch: Watch; store: Store }> {
  const medium = new SimFlash(clock, new Prng(1), { sizeBytes: 101 * mebibyte });
  const format = { cluster, corelet, founding: new Uint8Array(0), segmentBytes: 4 * mebibyte };
  await Store.format(medium.attach(), format, new Prng(1));
  const watch = new Watch(medium.attach(), prepareMs);
  const { store } = await openStore(watch, clock);
  return { medium, watch, store };
}

test('batches that wait leave one after the other, and each is told durable only when it is on the medium', async () => {
  const { medium, watch, store } = await watched(1);
  const data = blocks(1, 200);
  let told = 0;
  for (let index = 1; index <= 40; index++) {
    const position = store.appendEntry(entryOf({ index, data })) as number;
    store.afterSync(() => {
      told++;
      const end = position + data.length - blockBytes;
      assert.deepEqual(medium.peek(end, blockBytes), data.subarray(data.length - blockBytes));
    });
  }
  assert.equal(store.roomFor(64 * mebibyte), 'full');
  assert.equal(store.roomFor(40 * mebibyte), 'busy', 'what waits is bounded (INV-8)');
  await synced(store);
  assert.equal(told, 40);
  assert.ok(watch.writes > 4);
  assert.deepEqual(watch.faults, []);
});

test('space that is still being prepared is waited for: neither a write nor what it was told gets lost', async () => {
  const { medium, watch, store } = await watched(40);
  let told = 0;
  for (let index = 1; index <= 1500; index++) {
    const data = blocks(index, 4);
    const position = store.appendEntry(entryOf({ index, data })) as number;
    store.afterSync(() => {
      told++;
      assert.deepEqual(medium.peek(position, blockBytes), data.subarray(0, blockBytes));
    });
    if (index % 3 === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      store.afterSync(() => assert.equal(told, index, 'nothing new was appended, yet what waits must be waited for'));
    }
    if (index % 50 !== 0) continue;
    // Nothing new in the batch that is open: what waits must still be waited for.
    await synced(store);
    assert.equal(told, index);
  }
  assert.ok(watch.prepared >= mebibyte);
  assert.deepEqual(watch.faults, []);
  const { seen } = await openStore(medium.attach(), clock);
  assert.equal(seen.entries.length, 1500);
});

test('a store at rest, and one that just started, prepare nothing', async () => {
  const { watch, store } = await watched(1);
  store.appendEntry(entryOf({ index: 1, data: blocks(1, 2) }));
  await synced(store);
  assert.equal(watch.prepared, 0);
});
