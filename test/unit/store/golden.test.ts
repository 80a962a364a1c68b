import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { anatomyOf } from './corruption-targets.ts';
import type { MemoryFlash } from './corruption-flash.ts';
import { contentOf, Owner } from './corruption-owner.ts';
import { decodeBatch } from '../../../src/store/decode-batch.ts';
import { recordKinds } from '../../../src/store/records.ts';
import {
  contentsFile,
  contentsOf,
  deviceOf,
  type GoldenContents,
  goldenArcs,
  goldenDevice,
  goldenLife,
  imageFile,
  sparsePages,
} from './golden/make.ts';
import { TestClock } from './test-ports.ts';
import { arcId, blockBytes, rangeOf } from './workload.ts';

const clock = new TestClock();
const imageBytesMax = 64 * 1024;

function goldenImage(): Buffer {
  const text = readFileSync(imageFile, 'latin1');
  assert.ok(text.length <= imageBytesMax, `${text.length} bytes: an image that a repository can carry`);
  return inflateSync(Buffer.from(text, 'base64'));
}

function golden(): MemoryFlash {
  return deviceOf(goldenImage());
}

test('a device written by the format as it was pinned opens, and every block is what it was', async () => {
  const contents = JSON.parse(readFileSync(contentsFile, 'utf8')) as GoldenContents;
  const owner = await Owner.open(golden(), clock, { arcs: goldenArcs, life: goldenLife });
  assert.deepEqual(owner.lostBatches, []);
  assert.ok(owner.store.recovery.checkpoint > 0);
  const into = new Uint8Array(blockBytes);
  for (const [name, expected] of Object.entries(contents.blocks)) {
    const [arc, chunk, number] = name.split(':').map(Number) as [number, number, number];
    const page = await owner.space.of(arcId(arc)).load(rangeOf(chunk, 0, 1));
    assert.equal(page?.versions[number], Math.abs(expected), name);
    const position = page?.positions[number] as number;
    assert.equal(position === 0, expected < 0, name);
    if (expected < 0) continue;
    assert.deepEqual(await owner.store.readBlocks([position], [page?.crcs[number] as number], into), { ok: true });
    assert.deepEqual(into, contentOf(goldenLife, arc, chunk, number, expected), name);
  }
  for (const [arc, { applied, digest, term, copies }] of Object.entries(contents.arcs)) {
    const here = owner.arcsHere.get(arcId(Number(arc)));
    assert.deepEqual(
      { applied: here?.applied, digest: here?.digest, term: here?.term, copies: here?.copies },
      { applied, digest, term, copies },
    );
  }
  assert.deepEqual(Object.fromEntries(owner.registers), contents.registers);
  await owner.store.close();
});

test('the golden device has a record of every kind, so that none can change unseen', async () => {
  const { replayed, old, moved } = await anatomyOf(golden());
  const types = new Set<string>();
  for (const batch of [...replayed, ...old, ...moved]) for (const record of decodeBatch(batch)) types.add(record.type);
  assert.deepEqual([...types].toSorted(), Object.keys(recordKinds).toSorted());
});

test('the same work writes the same bytes: whoever changes the format sees it here', async () => {
  const { flash, truth } = await goldenDevice();
  const anew = sparsePages(flash);
  const kept = goldenImage();
  const differs = anew.findIndex((byte, at) => byte !== kept[at]);
  assert.ok(
    differs < 0 && anew.length === kept.length,
    `make it anew if that is meant (golden/make.ts): byte ${differs}`,
  );
  assert.deepEqual(contentsOf(truth), JSON.parse(readFileSync(contentsFile, 'utf8')));
});
