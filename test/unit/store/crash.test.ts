import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Prng } from '../../../src/base/prng.ts';
import type { Flash } from '../../../src/ports/flash.ts';
import { SimFlash } from '../../../src/sim/flash.ts';
import { Store } from '../../../src/store/store.ts';
import { TestClock } from './test-ports.ts';
import {
  appendRandom,
  checkReadable,
  cluster,
  corelet,
  type Happening,
  mebibyte,
  openStore,
  synced,
} from './workload.ts';

const clock = new TestClock();
const sectorBytes = 512;

async function formatted(seed: number): Promise<SimFlash> {
  const options = { sizeBytes: 41 * mebibyte, sectorBytes };
  const medium = new SimFlash(clock, new Prng(seed), options);
  const format = { cluster, corelet, founding: new Uint8Array(0), segmentBytes: 4 * mebibyte };
  await Store.format(medium.attach(), format, new Prng(seed, 'format'));
  return medium;
}

/** A write as it was when it began: what the medium held then, and what had been told durable. */
interface CrashPoint {
  readonly before: SimFlash;
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly acknowledged: number;
}

/** Passes everything on, and keeps what a crash in the middle of each write would find. */
class Witness implements Flash {
  readonly points: CrashPoint[] = [];
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly #flash: Flash;
  readonly #medium: SimFlash;
  readonly #acknowledged: () => number;

  constructor(medium: SimFlash, acknowledged: () => number) {
    this.#medium = medium;
    this.#flash = medium.attach();
    this.sizeBytes = medium.sizeBytes;
    this.sectorBytes = medium.sectorBytes;
    this.#acknowledged = acknowledged;
  }

  writeDurably(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    const bytes = new Uint8Array(Buffer.concat(parts));
    this.points.push({ before: this.#medium.clone(), offset, bytes, acknowledged: this.#acknowledged() });
    return this.#flash.writeDurably(offset, parts);
  }
  read(offset: number, into: Uint8Array): Promise<void> {
    return this.#flash.read(offset, into);
  }
  prepare(offset: number, lengthBytes: number): Promise<void> {
    return this.#flash.prepare(offset, lengthBytes);
  }
  close(): Promise<void> {
    return this.#flash.close();
  }
}

type Subset = (sector: number, sectors: number) => boolean;

/** Which sectors of the write under way are there after the crash. */
function subsets(random: Prng, sectors: number): Subset[] {
  const missing = random.below(sectors);
  const end = random.below(sectors);
  return [
    () => false,
    () => true,
    (sector) => sector !== missing,
    (sector) => sector !== 0,
    (sector, count) => sector !== count - 1,
    (sector) => sector < end,
    (sector) => sector >= end,
    () => random.fraction() < 0.5,
    () => random.fraction() < 0.9,
  ];
}

function afterCrash(point: CrashPoint, keeps: Subset): SimFlash {
  const medium = point.before.clone();
  const sectors = point.bytes.length / sectorBytes;
  for (let sector = 0; sector < sectors; sector++) {
    const from = sector * sectorBytes;
    if (keeps(sector, sectors)) medium.poke(point.offset + from, point.bytes.subarray(from, from + sectorBytes));
  }
  return medium;
}

/** Opens, and checks: a prefix of what was appended, with everything acknowledged, each byte readable. */
async function checkRestart(flash: Flash, appended: readonly Happening[], acknowledged: number): Promise<number> {
  const { store, seen } = await openStore(flash, clock);
  const count = seen.happenings.length;
  assert.ok(count >= acknowledged, `INV-1: ${acknowledged} records were told durable, ${count} are there`);
  assert.deepEqual(seen.happenings, appended.slice(0, count));
  assert.deepEqual(store.recovery.lost, [], 'a crash is no rot');
  await checkReadable(store, seen);
  return count;
}

test('a crash in the middle of every write, with any part of it there: a prefix survives, with all that was told', async (t) => {
  let points = 0;
  let nested = 0;
  for (let seed = 1; seed <= 2; seed++) {
    const medium = await formatted(seed);
    const random = new Prng(seed, 'workload');
    const appended: Happening[] = [];
    let acknowledged = 0;
    const witness = new Witness(medium, () => acknowledged);
    const { store } = await openStore(witness, clock);
    for (let number = 1; number <= 120; number++) {
      appended.push(appendRandom(store, random, number));
      const upTo = appended.length;
      store.afterSync(() => {
        acknowledged = Math.max(acknowledged, upTo);
      });
      if (random.fraction() < 0.4) await new Promise((resolve) => setImmediate(resolve));
      if (random.fraction() < 0.1) await synced(store);
    }
    await synced(store);
    assert.equal(acknowledged, appended.length);
    for (const point of witness.points) {
      for (const keeps of subsets(random, point.bytes.length / sectorBytes)) {
        points++;
        const crashed = afterCrash(point, keeps);
        const again = new Witness(crashed, () => 0);
        const count = await checkRestart(again, appended, point.acknowledged);
        assert.equal(await checkRestart(crashed.attach(), appended, count), count, 'what was told once stays so');
        // And a crash in the middle of the cut that the restart wrote.
        const cut = again.points[0];
        assert.ok(cut !== undefined, 'the restart wrote its cut before it spoke');
        if (random.fraction() > 0.2) continue;
        nested++;
        await checkRestart(afterCrash(cut, () => random.fraction() < 0.5).attach(), appended, point.acknowledged);
      }
    }
  }
  t.diagnostic(`${points} crash points, ${nested} of them with a second crash in the restart`);
});

test('any order of appends, syncs, restarts and crashes: the log is what was appended, in order', async () => {
  const step = fc.constantFrom('append', 'append', 'append', 'turn', 'sync', 'restart', 'crash');
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.array(step, { maxLength: 60 }), async (seed, steps) => {
      const medium = await formatted(seed);
      const random = new Prng(seed, 'model');
      let appended: Happening[] = [];
      let acknowledged = 0;
      let { store } = await openStore(medium.attach(), clock);
      let number = 1;
      for (const what of steps) {
        if (what === 'append') {
          appended.push(appendRandom(store, random, number++));
          const upTo = appended.length;
          store.afterSync(() => {
            acknowledged = Math.max(acknowledged, upTo);
          });
        } else if (what === 'turn') {
          await new Promise((resolve) => setImmediate(resolve));
        } else if (what === 'sync') {
          await synced(store);
        } else {
          if (what === 'restart') await synced(store).then(() => store.close());
          else medium.crash({ keepFraction: random.fraction(), tear: random.fraction() < 0.5 });
          const again = await openStore(medium.attach(), clock);
          store = again.store;
          const count = again.seen.happenings.length;
          assert.ok(count >= acknowledged, 'INV-1: what was told durable is there');
          assert.deepEqual(again.seen.happenings, appended.slice(0, count));
          assert.deepEqual(store.recovery.lost, []);
          await checkReadable(store, again.seen);
          appended = appended.slice(0, count);
          acknowledged = count;
        }
      }
    }),
    { numRuns: 60 },
  );
});
