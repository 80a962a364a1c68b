import assert from 'node:assert/strict';
import { FlashError } from '../../../src/ports/flash.ts';
import type { ChunkMap } from '../../../src/store/types.ts';
import { arcCount, type Moment } from './corruption-device.ts';
import type { MemoryFlash } from './corruption-flash.ts';
import { contentOf, Owner, Refused, type Truth } from './corruption-owner.ts';
import type { TestClock } from './test-ports.ts';
import { arcId, blockBytes, rangeOf } from './workload.ts';

/**
 * What a damaged device came to. `unharmed`: all is there. `blocks`: all is there but blocks that say that they are
 * damaged. `lost`: the restart says that batches are gone. `torn`: it says that it cut the newest batch. `silent`: the
 * newest batch isn't there, and nothing tells. `earlier`: it is what it was at an earlier moment. `refused`: it doesn't open.
 * `eio`: the device refused a write.
 */
export type Outcome = 'unharmed' | 'blocks' | 'lost' | 'torn' | 'silent' | 'earlier' | 'refused' | 'eio';

export interface Verdict {
  readonly outcome: Outcome;
  readonly code?: string;
  /** Blocks that are served as they ought to be, of all. */
  readonly servedShare: number;
  /** Blocks that say that they are damaged. */
  readonly damaged: number;
}

interface Blocks {
  readonly current: number;
  readonly damaged: number;
  /** Blocks of another version than the one that ought to be there, none included. */
  readonly stale: readonly string[];
}

interface Found {
  readonly name: string;
  readonly expected: number;
  readonly number: number;
  readonly version: number;
  readonly position: number;
  readonly crc: number;
}

const contents = new Map<string, Uint8Array>();

function contentIn(life: number, name: string, version: number): Uint8Array {
  const key = `${life}:${name}:${version}`;
  let content = contents.get(key);
  if (content === undefined) {
    const [arc, chunk, number] = name.split(':').map(Number) as [number, number, number];
    content = contentOf(life, arc, chunk, number, version);
    contents.set(key, content);
  }
  return content;
}

/** Which of the blocks say that they are damaged. Puts the bytes of the others into `into`. */
async function readAll(owner: Owner, blocks: readonly Found[], into: Uint8Array): Promise<ReadonlySet<Found>> {
  const damaged = new Set<Found>();
  const read = (some: readonly Found[], bytes: Uint8Array) =>
    owner.store.readBlocks(
      some.map(({ position }) => position),
      some.map(({ crc }) => crc),
      bytes,
    );
  if ((await read(blocks, into)).ok) return damaged;
  for (const [i, block] of blocks.entries()) {
    const answer = await read([block], into.subarray(i * blockBytes, (i + 1) * blockBytes));
    if (!answer.ok) damaged.add(block);
  }
  return damaged;
}

/** Looks at every block. A wrong byte is never excused, whatever else is known. */
async function lookAtBlocks(owner: Owner, truth: Truth): Promise<Blocks> {
  const byChunk = new Map<string, Found[]>();
  const pages = new Map<string, ChunkMap | undefined>();
  for (const [name, expected] of truth.blocks) {
    const [arc, chunk, number] = name.split(':').map(Number) as [number, number, number];
    const pageName = `${arc}:${chunk}`;
    if (!pages.has(pageName)) pages.set(pageName, await owner.space.of(arcId(arc)).load(rangeOf(chunk, 0, 1)));
    const page = pages.get(pageName);
    const [version, position, crc] = [
      page?.versions[number] ?? 0,
      page?.positions[number] ?? 0,
      page?.crcs[number] ?? 0,
    ];
    const blocks = byChunk.get(pageName) ?? [];
    blocks.push({ name, expected, number, version, position, crc });
    byChunk.set(pageName, blocks);
  }
  const stale: string[] = [];
  let current = 0;
  let damagedCount = 0;
  for (const blocks of byChunk.values()) {
    const into = Buffer.alloc(blocks.length * blockBytes);
    const damaged = await readAll(owner, blocks, into);
    damagedCount += damaged.size;
    for (const [i, block] of blocks.entries()) {
      if (damaged.has(block)) continue;
      const { name, version, position, expected } = block;
      const bytes = into.subarray(i * blockBytes, (i + 1) * blockBytes);
      assert.ok(
        position === 0 || bytes.equals(contentIn(truth.life, name, version)),
        `INV-4: ${name}, version ${version}`,
      );
      const has = position === 0 ? -version : version;
      if (has === expected) current++;
      else stale.push(`${name} is ${has}, ought to be ${expected}`);
    }
  }
  return { current, damaged: damagedCount, stale };
}

/** What of the rest, blocks aside, differs from what ought to be: empty when all is there. */
function differences(owner: Owner, truth: Truth): string[] {
  const found: string[] = [];
  for (const [arc, { applied, digest, term, copies }] of truth.arcs) {
    const here = owner.arcsHere.get(arc);
    const expected = `applied ${applied} digest ${digest} term ${term} copies ${copies}`;
    const has = `applied ${here?.applied} digest ${here?.digest} term ${here?.term} copies ${here?.copies}`;
    if (has !== expected) found.push(`arc ${arc}: ${has}, ought to be ${expected}`);
  }
  for (const [name, value] of truth.registers) {
    if (owner.registers.get(name) !== value) found.push(`register ${name}: ${owner.registers.get(name)}`);
  }
  return found;
}

/** Arcs of which nothing is said to be lost are whole. */
function checkSpared(owner: Owner, truth: Truth): void {
  const { loss } = owner.store;
  assert.ok(loss !== undefined, 'what is lost has to be dealt with');
  const arcs = new Map([...truth.arcs].filter(([arc]) => !loss.concerns(arcId(arc))));
  assert.deepEqual(differences(owner, { ...truth, arcs, registers: new Map() }), [], 'INV-7: lost, and not told');
  const values = [...truth.registers].filter(([name]) => !loss.mayBeOlder(name));
  for (const [name, value] of values) assert.equal(owner.registers.get(name), value, `INV-7: register ${name}`);
}

/** The loss is told again until it is acknowledged, and not after that. False: the device can't be written to any more. */
async function dealsWithLoss(owner: Owner, flash: MemoryFlash, clock: TestClock): Promise<boolean> {
  await owner.store.close();
  try {
    const medium = flash.clone();
    const again = await Owner.open(medium, clock, { arcs: arcCount, life: owner.life });
    assert.ok(again.store.loss !== undefined, 'INV-10: told again');
    await new Promise<void>((resolve, reject) => {
      again.store.onFailed(reject);
      again.store.acknowledgeLoss().then(resolve, reject);
    });
    await again.store.close();
    const last = await Owner.open(medium.clone(), clock, { arcs: arcCount, life: owner.life });
    assert.equal(last.store.loss, undefined, 'dealt with');
    await last.store.close();
    return true;
  } catch (error) {
    if (error instanceof FlashError && error.code === 'EIO') return false;
    throw error;
  }
}

/** Lets it go on as a Corelet would, with a checkpoint of what it holds now; damage has to be told after that as well. */
async function goOn(owner: Owner): Promise<void> {
  owner.store.attach(owner);
  owner.write(0, 40, 0, 2);
  owner.write(1, 0, 0, 1);
  await owner.synced();
  // A checkpoint that fails is never told of: the store is.
  await new Promise<void>((resolve, reject) => {
    owner.store.onFailed(reject);
    owner.store.checkpoint().then(resolve, reject);
  });
  owner.write(1, 0, 1, 1);
  await owner.synced();
}

export interface CheckOptions {
  /** What ought to be there. */
  readonly now: Moment;
  /** What there may be instead, oldest first: what lost its end as a whole looks like what it was before. */
  readonly instead?: readonly Moment[];
  /** Whether it goes on after that, and is opened once more. */
  readonly goesOn?: boolean;
}

/** Opens a damaged device, holds it against what ought to be there, lets it go on, and opens it once more. */
export async function verdictOn(flash: MemoryFlash, clock: TestClock, options: CheckOptions): Promise<Verdict> {
  const { now, instead = [] } = options;
  let owner: Owner;
  try {
    owner = await Owner.open(flash, clock, { arcs: arcCount, life: now.truth.life });
  } catch (error) {
    if (error instanceof Refused) return { outcome: 'refused', code: error.code, servedShare: 0, damaged: 0 };
    if (error instanceof FlashError && error.code === 'EIO') return { outcome: 'eio', servedShare: 0, damaged: 0 };
    throw error;
  }
  const { recovery } = owner.store;
  assert.deepEqual(owner.lostBatches, recovery.lost, 'what was lost is told twice, and alike');
  if (recovery.lost.length > 0 || recovery.tailUnreadable) {
    const { current, damaged } = await lookAtBlocks(owner, now.truth);
    checkSpared(owner, now.truth);
    const verdict: Verdict = { outcome: 'lost', servedShare: current / now.truth.blocks.size, damaged };
    if (options.goesOn === true)
      return (await dealsWithLoss(owner, flash, clock)) ? verdict : { ...verdict, outcome: 'eio' };
    await owner.store.close();
    return verdict;
  }
  assert.equal(owner.store.loss, undefined);
  const isThere = ({ truth }: Moment): boolean => differences(owner, truth).length === 0;
  const found = isThere(now) ? now : (instead.findLast(isThere) ?? now);
  const isCut = found !== now;
  assert.ok(isCut || recovery.torn === undefined, 'nothing was cut that is there');
  const { truth } = found;
  const { current, damaged } = await wholeBut(owner, truth);
  const told = recovery.torn !== undefined;
  const cut = told ? 'torn' : found === instead.at(-1) ? 'silent' : 'earlier';
  const outcome = isCut ? cut : damaged > 0 ? 'blocks' : 'unharmed';
  const verdict: Verdict = { outcome, servedShare: current / truth.blocks.size, damaged };
  if (options.goesOn !== true) {
    await owner.store.close();
    return verdict;
  }
  try {
    await goOn(owner);
  } catch (error) {
    if (error instanceof FlashError && error.code === 'EIO') return { ...verdict, outcome: 'eio' };
    throw error;
  }
  const after = { ...owner.truth(), blocks: withTouched(truth, owner.truth()) };
  await owner.store.close();
  const again = await Owner.open(flash.clone(), clock, { arcs: arcCount, life: truth.life });
  assert.deepEqual(again.store.recovery.lost, [], 'nothing is lost the second time that was not lost the first time');
  await wholeBut(again, after);
  await again.store.close();
  return verdict;
}

const touched = ['0:40:0', '0:40:1', '1:0:0', '1:0:1'];

function withTouched(truth: Truth, after: Truth): ReadonlyMap<string, number> {
  const blocks = new Map(truth.blocks);
  for (const name of touched) blocks.set(name, after.blocks.get(name) as number);
  return blocks;
}

async function wholeBut(owner: Owner, truth: Truth): Promise<Blocks> {
  assert.deepEqual(differences(owner, truth), [], 'INV-7: nothing is missing without a word');
  const blocks = await lookAtBlocks(owner, truth);
  assert.deepEqual(blocks.stale, [], 'INV-7: a damaged block is never absent, and never an older one');
  return blocks;
}
