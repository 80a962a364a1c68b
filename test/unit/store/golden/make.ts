import { writeFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import { Prng } from '../../../../src/base/prng.ts';
import { Store } from '../../../../src/store/store.ts';
import { MemoryFlash } from '../corruption-flash.ts';
import { Owner, type Truth, zerosChunk } from '../corruption-owner.ts';
import { TestClock } from '../test-ports.ts';
import { arcId, cluster, corelet, mebibyte } from '../workload.ts';

// The golden device: every kind of record and every structure of the format, the same bytes every time. After a change of
// the format, which needs another format version once devices are in use:
//   node test/unit/store/golden/make.ts

export const goldenBytes = 33 * mebibyte;
export const goldenArcs = 2;
export const goldenLife = 5;
const pageBytes = 4096;
const segmentBytes = 4 * mebibyte;
const fillings = 40;

export const imageFile = new URL('device.golden.txt', import.meta.url);
export const contentsFile = new URL('contents.golden.json', import.meta.url);

/** What the golden device holds, as JSON. */
export interface GoldenContents {
  /** Per block `arc:chunk:number` its version; negative where it is trimmed. */
  readonly blocks: Readonly<Record<string, number>>;
  readonly arcs: Readonly<Record<string, { applied: number; digest: number; term: number; copies: number }>>;
  readonly registers: Readonly<Record<string, string>>;
}

async function room(owner: Owner): Promise<void> {
  for (let tries = 0; owner.store.roomFor(mebibyte) !== 'ok'; tries++) {
    if (tries > 10_000) throw new Error('no room on the golden device');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** One record, or some that belong together, in a batch of their own. */
async function step(owner: Owner, work: () => void): Promise<void> {
  work();
  await owner.synced();
}

async function firstLife(owner: Owner): Promise<void> {
  await step(owner, () => owner.write(0, 0, 0, 4));
  await step(owner, () => owner.write(1, 2, 250, 6));
  await step(owner, () => owner.trim(0, 0, 1, 1));
  await step(owner, () => owner.vote(1));
  await step(owner, () => owner.copy(1, 9, [3, 7, 200], 5));
  await step(owner, () => owner.setRegister('view', Uint8Array.of(1, 2, 3)));
  await step(owner, () => owner.setRegister('large', new Uint8Array(5000).fill(7)));
  await step(owner, () => owner.write(0, 1, 100, 2, false));
  await step(owner, () => owner.takeBack(0, 3));
  await step(owner, () => owner.write(0, 70_000, 8, 3));
  await step(owner, () => owner.note(1));
  await owner.store.checkpoint();
  // Space is given back: what is left of the first segments is moved, map pages are written anew, segments are freed.
  for (let i = 0; i < fillings; i++) {
    await room(owner);
    await step(owner, () => owner.write(i % goldenArcs, zerosChunk, 0, 256));
  }
  await owner.store.checkpoint();
}

async function secondLife(owner: Owner): Promise<void> {
  await step(owner, () => owner.restate(0));
  await step(owner, () => owner.write(0, 0, 2, 3));
  await step(owner, () => owner.vote(0));
  await step(owner, () => owner.copy(0, 11, [4, 6, 90], 8));
  await step(owner, () => {
    const { applied } = owner.arcsHere.get(arcId(1)) as { applied: number };
    owner.write(1, 3, 40, 2, false);
    owner.takeBack(1, applied + 1);
  });
  await step(owner, () => owner.setRegister('view', Uint8Array.of(4, 5)));
  await step(owner, () => {
    owner.write(0, 5, 17, 1);
    owner.write(1, 2, 251, 2);
    owner.trim(1, 9, 3, 1);
  });
}

/** Makes the golden device anew. */
export async function goldenDevice(): Promise<{ readonly flash: MemoryFlash; readonly truth: Truth }> {
  const clock = new TestClock();
  const flash = MemoryFlash.blank(goldenBytes);
  const founding = Uint8Array.from({ length: 40 }, (_, i) => i);
  await Store.format(flash, { cluster, corelet, founding, arcs: 8, segmentBytes }, new Prng(1, 'golden'));
  let truth: Truth | undefined;
  for (const life of [firstLife, secondLife]) {
    const handle = new MemoryFlash(flash.medium);
    const options = { arcs: goldenArcs, life: goldenLife };
    const owner = await Owner.open(handle, clock, truth === undefined ? options : { ...options, known: truth });
    owner.store.attach(owner);
    await life(owner);
    truth = owner.truth();
    await owner.store.close();
  }
  return { flash: new MemoryFlash(flash.medium), truth: truth as Truth };
}

/** Every page that isn't zeros: u32 its number, little-endian, then its bytes. */
export function sparsePages(flash: MemoryFlash): Buffer {
  const parts: Buffer[] = [];
  for (let page = 0; page < goldenBytes / pageBytes; page++) {
    const bytes = Buffer.from(flash.peek(page * pageBytes, pageBytes));
    if (bytes.every((byte) => byte === 0)) continue;
    const number = Buffer.alloc(4);
    number.writeUInt32LE(page);
    parts.push(number, bytes);
  }
  return Buffer.concat(parts);
}

/** The device that `sparsePages` made bytes of. */
export function deviceOf(pages: Buffer): MemoryFlash {
  const flash = MemoryFlash.blank(goldenBytes);
  for (let at = 0; at < pages.length; at += 4 + pageBytes) {
    flash.poke(pages.readUInt32LE(at) * pageBytes, pages.subarray(at + 4, at + 4 + pageBytes));
  }
  return flash;
}

export function contentsOf(truth: Truth): GoldenContents {
  const blocks = [...truth.blocks].filter(([name]) => !name.includes(`:${zerosChunk}:`) || name.endsWith(':0'));
  const arcs = [...truth.arcs].map(([arc, { applied, digest, term, copies }]) => {
    return [String(arc), { applied, digest, term, copies }] as const;
  });
  return {
    blocks: Object.fromEntries(blocks.toSorted(([a], [b]) => (a < b ? -1 : 1))),
    arcs: Object.fromEntries(arcs),
    registers: Object.fromEntries(truth.registers),
  };
}

if (import.meta.main) {
  const { flash, truth } = await goldenDevice();
  const text = deflateSync(sparsePages(flash), { level: 9 }).toString('base64');
  writeFileSync(imageFile, `${text.replaceAll(/(.{120})/g, '$1\n')}\n`);
  writeFileSync(contentsFile, `${JSON.stringify(contentsOf(truth), undefined, 1)}\n`);
}
