import { Prng } from '../../../src/base/prng.ts';
import { Store } from '../../../src/store/store.ts';
import { MemoryFlash } from './corruption-flash.ts';
import { Owner, type Truth } from './corruption-owner.ts';
import type { TestClock } from './test-ports.ts';
import { cluster, corelet, mebibyte } from './workload.ts';

export const segmentBytes = 4 * mebibyte;
export const arcCount = 3;
const segments = 12;
const sizeBytes = mebibyte + segments * segmentBytes;
/** Of the blocks that are overwritten all the time: few, so that every one of them can be looked at in every case. */
const chunks = 3;
const busyBlocks = 40;
/** Blocks written once and left: what the cleaner moves. */
const restingChunk = 7;

/** A device, and what it ought to hold. */
export interface Moment {
  readonly flash: MemoryFlash;
  readonly truth: Truth;
}

/** One device at several moments of its life, each closed in order; the last one is what is damaged. */
export interface DeviceHistory {
  /** Formatted anew since: another tag, other contents. */
  readonly formerLife: Moment;
  readonly earlier: readonly Moment[];
  readonly beforeTail: Moment;
  readonly now: Moment;
}

async function format(flash: MemoryFlash, life: number): Promise<void> {
  const founding = new Uint8Array(300).fill(life);
  await Store.format(flash, { cluster, corelet, founding, segmentBytes }, new Prng(life, 'format'));
}

async function hostsWait(owner: Owner, bytes: number): Promise<void> {
  for (let tries = 0; tries < 10_000; tries++) {
    if (owner.store.roomFor(bytes) === 'ok') return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`no room: ${JSON.stringify(owner.store.health())}`);
}

async function overwrite(owner: Owner, random: Prng, writes: number): Promise<void> {
  for (let i = 0; i < writes; i++) {
    const arc = random.below(arcCount);
    const count = 1 + random.below(8);
    await hostsWait(owner, count * 4096);
    if (random.chance(0.04)) owner.trim(arc, random.below(chunks), random.below(busyBlocks), 2);
    else if (random.chance(0.02)) owner.vote(arc);
    else owner.write(arc, random.below(chunks), random.below(busyBlocks - count), count);
    if (i % 2 === 1) await owner.synced();
  }
  await owner.synced();
}

/** Some of every kind of record, each in a batch of its own. */
async function everyKind(owner: Owner): Promise<void> {
  const steps: readonly (() => void)[] = [
    () => owner.write(0, 0, 3, 4),
    () => owner.trim(0, 1, 5, 2),
    () => owner.vote(1),
    () => owner.copy(2, 9, [4, 5, 200, 201], 7),
    () => owner.setRegister('incarnation', Uint8Array.of(1, 2, 3, 4)),
    () => {
      const { applied, tail } = [...owner.arcsHere.values()][1] as { applied: number; tail: readonly unknown[] };
      owner.write(1, 0, 10, 2, false);
      owner.write(1, 2, 20, 2, false);
      owner.takeBack(1, applied + tail.length + 1);
    },
    () => owner.write(1, 0, 12, 3),
    () => owner.note(2),
    () => owner.restate(0),
    () => owner.write(0, 2, 30, 3),
    () => owner.write(2, 1, 8, 2),
    () => owner.vote(2),
  ];
  for (const step of steps) {
    step();
    await owner.synced();
  }
}

async function atRest(owner: Owner, flash: MemoryFlash): Promise<Moment> {
  const truth = owner.truth();
  await owner.store.close();
  return { flash: flash.clone(), truth };
}

/** Opens the device again, as a restart does, and lets `work` happen. Closed when this resolves. */
async function live(
  clock: TestClock,
  before: Moment,
  work: (owner: Owner) => Promise<void>,
  mapBytes?: number,
): Promise<Moment> {
  const flash = before.flash.clone();
  const { truth } = before;
  const owner = await Owner.open(flash, clock, { arcs: arcCount, life: truth.life, known: truth, mapBytes });
  owner.store.attach(owner);
  await work(owner);
  return atRest(owner, flash);
}

/** The same every time: formatted twice, overwritten until space was given back many times, with several checkpoints. */
export async function deviceHistory(clock: TestClock): Promise<DeviceHistory> {
  const random = new Prng(11, 'corruption');
  const first = MemoryFlash.blank(sizeBytes);
  await format(first, 1);
  const blank = (life: number): Truth => ({ life, blocks: new Map(), arcs: new Map(), registers: new Map() });
  const formerLife = await live(clock, { flash: first, truth: blank(1) }, async (owner) => {
    await overwrite(owner, random, 150);
    await owner.store.checkpoint();
    await overwrite(owner, random, 50);
  });
  const second = formerLife.flash.clone();
  await format(second, 2);
  const young = await live(clock, { flash: second, truth: blank(2) }, async (owner) => {
    for (let at = 0; at < 256; at += 16) owner.write(0, restingChunk, at, 16);
    owner.setRegister('view', Uint8Array.of(9));
    await owner.synced();
    await overwrite(owner, random, 400);
    await owner.store.checkpoint();
    await overwrite(owner, random, 100);
  });
  const cleaned = await live(clock, young, async (owner) => {
    await overwrite(owner, random, 4000);
    await owner.store.checkpoint();
    await overwrite(owner, random, 20);
  });
  const later = await live(clock, cleaned, async (owner) => {
    await overwrite(owner, random, 300);
    await owner.store.checkpoint();
  });
  // With little memory for the map, so that map pages go into the log between checkpoints as well.
  const evicting = await live(clock, later, (owner) => overwrite(owner, random, 60), 6000);
  const beforeTail = await live(clock, evicting, everyKind);
  const now = await live(clock, beforeTail, async (owner) => {
    owner.write(1, 1, 6, 2);
    owner.vote(0);
    owner.write(2, 0, 33, 1);
    await owner.synced();
  });
  return { formerLife, earlier: [young, cleaned, later, evicting], beforeTail, now };
}
