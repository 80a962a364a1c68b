import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { blockBytes } from '../../../src/base/ids.ts';
import { Prng } from '../../../src/base/prng.ts';
import { SimFlash } from '../../../src/sim/flash.ts';
import { type DeviceReport, inspectDevice } from '../../../src/store/inspect.ts';
import type { BadPlace } from '../../../src/store/inspect-findings.ts';
import { DeviceWriter, formatDevice, LifeClock, volume } from './inspected-device.ts';
import { TestClock } from './test-ports.ts';

const mebibyte = 1024 * 1024;
const options = { sizeBytes: 57 * mebibyte }; // 14 segments
/** Batches of the log, and pages of a batch, begin with it. */
const logMagic = [0x43, 0x4c, 0x42, 0x31];

interface Made {
  readonly medium: SimFlash;
  readonly written: readonly { position: number; chunk: number; firstBlock: number; blockCount: number }[];
}

/** A few single-block batches, and no checkpoint. */
async function smallDevice(): Promise<Made> {
  const medium = new SimFlash(new TestClock(), new Prng(1), options);
  await formatDevice(medium.attach());
  const writer = await DeviceWriter.open(medium.attach(), new TestClock());
  const written = [];
  for (let chunk = 0; chunk < 12; chunk++) {
    const position = writer.write(chunk, chunk * 3, 2, chunk);
    await writer.synced();
    written.push({ position, chunk, firstBlock: chunk * 3, blockCount: 2 });
  }
  await writer.store.close();
  return { medium, written };
}

/** Cleaned and checkpointed several times, and written to since. */
async function usedDevice(seed: number): Promise<SimFlash> {
  const medium = new SimFlash(new TestClock(), new Prng(seed), options);
  await formatDevice(medium.attach());
  const clock = new LifeClock(new TestClock());
  const writer = await DeviceWriter.open(medium.attach(), clock);
  const prng = new Prng(seed);
  for (let round = 0; round < 4; round++) {
    await writer.churn(prng, 16, 24 * mebibyte);
    await writer.store.checkpoint();
  }
  // Until the log has gone on into a segment that the newest checkpoint doesn't know.
  for (let more = 0; more < 40; more++) {
    await writer.churn(prng, 16, mebibyte);
    const { segments } = await look(medium.clone());
    if (segments.some(({ use, liveRatio }) => use === 'log' && liveRatio === undefined)) break;
  }
  await writer.churn(prng, 16, mebibyte / 2);
  assert.equal(writer.failure, undefined);
  clock.stop();
  medium.detach(); // as a kill does
  return medium;
}

async function look(medium: SimFlash): Promise<DeviceReport> {
  const inspected = await inspectDevice(medium.attach());
  assert.ok(inspected.ok, inspected.ok ? '' : inspected.message);
  return inspected.report;
}

const flip = (medium: SimFlash, position: number): void =>
  medium.poke(
    position,
    medium.peek(position, 1).map((byte) => byte ^ 0x10),
  );

const places = ({ bad }: DeviceReport): Partial<BadPlace>[] =>
  bad.map((place) => {
    const { segment, ...rest } = place;
    assert.equal(segment === undefined, place.position < mebibyte);
    return rest;
  });

let used: SimFlash;
let whole: DeviceReport;
before(async () => {
  used = await usedDevice(3);
  whole = await look(used);
});

test('a whole device: everything is counted, nothing is bad', async (t) => {
  assert.deepEqual(whole.bad, []);
  assert.equal(whole.badCount, 0);
  assert.ok(whole.checkpoint !== undefined && whole.checkpoint.number >= 4 && whole.checkpoint.batchesSince > 0);
  assert.deepEqual(
    whole.anchors.map(({ state }) => state),
    ['whole', 'whole', 'whole', 'whole'],
  );
  const { records } = whole;
  assert.ok(records.entry > 100 && records.table > 10 && records.moved > 0 && records.mapPage > 0);
  const uses = new Set(whole.segments.map(({ use }) => use));
  assert.ok(uses.has('log') && uses.has('moved') && uses.has('free'));
  for (const { liveRatio = 0, use } of whole.segments) {
    assert.ok(liveRatio >= 0 && liveRatio <= 1 && (use !== 'free' || liveRatio === 0));
  }
  const live = whole.segments.reduce((sum, { liveRatio = 0 }) => sum + liveRatio, 0);
  assert.ok(live * whole.segmentBytes > 12 * mebibyte, '16 chunks were written nearly full');
  t.diagnostic(`${whole.batches} batches, ${whole.blocks} blocks`);
});

test('looking changes nothing', async () => {
  const before = used.peek(0, options.sizeBytes);
  await look(used);
  assert.equal(Buffer.compare(before, used.peek(0, options.sizeBytes)), 0);
});

test('a rotten block is named: whoever repairs it has to know whose it is', async () => {
  const { medium, written } = await smallDevice();
  const { position, chunk, firstBlock } = written[5] as Made['written'][number];
  flip(medium, position + blockBytes + 77);
  const report = await look(medium);
  const key = { volume, layer: 0, chunk };
  const bad = { what: 'block', reason: 'corrupt', arc: chunk % 3, key, block: firstBlock + 1 };
  assert.deepEqual(places(report), [{ position: position + blockBytes, ...bad }]);
  assert.equal(report.segments.find(({ badPlaces }) => badPlaces === 1)?.segment, 0);
});

test('a block that can’t be read is told apart from one that is wrong', async () => {
  const { medium, written } = await smallDevice();
  const { position } = written[5] as Made['written'][number];
  medium.failRange(position, 512);
  const report = await look(medium);
  assert.deepEqual(
    report.bad.map(({ position, reason }) => [position, reason]),
    [[position, 'unreadable']],
  );
});

test('a damaged batch in the middle doesn’t hide those behind it', async () => {
  const { medium, written } = await smallDevice();
  const all = await look(medium);
  const { position } = written[5] as Made['written'][number];
  flip(medium, position - blockBytes + 20);
  const report = await look(medium);
  assert.deepEqual(places(report), [{ position: position - blockBytes, what: 'batch', reason: 'corrupt' }]);
  assert.equal(report.batches, all.batches - 1);
});

test('the newest batch may be torn by a power cut: that alone is not bad', async () => {
  const { medium, written } = await smallDevice();
  const { position } = written.at(-1) as Made['written'][number];
  flip(medium, position + 5);
  const report = await look(medium);
  assert.deepEqual([report.badCount, report.cutShort.length], [0, 1]);
  assert.equal(report.cutShort[0]?.position, position - blockBytes);
});

/** Where each batch of the log begins in a segment, in its present use: behind the last one there may be older ones. */
function batchesIn(medium: SimFlash, { position }: { position: number }, segmentBytes: number): number[] {
  const begins: number[] = [];
  let use: number | undefined;
  for (let at = position; at < position + segmentBytes; at += blockBytes) {
    const page = medium.peek(at, 80);
    const view = new DataView(page.buffer, page.byteOffset);
    const isBatch = logMagic.every((byte, i) => page[i] === byte) && view.getUint32(64, true) === at;
    if (!isBatch) continue;
    use ??= view.getUint32(72, true);
    if (view.getUint32(72, true) === use) begins.push(at);
  }
  return begins;
}

test('the last batch of a segment that was left behind is missed: the next segment names it', async () => {
  const logs = whole.segments.filter(({ use }) => use === 'log');
  let proven = 0;
  for (const segment of logs) {
    const medium = used.clone();
    const last = batchesIn(medium, segment, whole.segmentBytes).at(-1) as number;
    medium.poke(last, new Uint8Array(blockBytes));
    const report = await look(medium);
    if (report.badCount === 0) continue;
    assert.deepEqual(
      report.bad.map(({ segment, what }) => [segment, what]),
      [[segment.segment, 'batch']],
    );
    proven++;
  }
  assert.ok(proven >= logs.length - 1, `${proven} of ${logs.length}: all but the log's newest`);
});

test('a segment whose first page is gone is not taken for a free one', async () => {
  let since = 0;
  for (const { segment, position, use, liveRatio } of whole.segments) {
    if (use !== 'log' && use !== 'moved') continue;
    if (use === 'moved' && liveRatio === 0) continue; // nobody would miss it
    if (liveRatio === undefined) since++;
    const medium = used.clone();
    medium.poke(position, new Uint8Array(blockBytes));
    const report = await look(medium);
    assert.ok(
      report.bad.some((place) => place.segment === segment),
      `segment ${segment}, ${use}`,
    );
    assert.equal(report.segments[segment]?.use, use);
  }
  assert.ok(since > 0, 'also one that was taken into use after the checkpoint');
});

test('rot in blocks that the cleaner moved is found', async () => {
  const moved = whole.segments.find(({ use, liveRatio = 0 }) => use === 'moved' && liveRatio > 0.2);
  assert.ok(moved !== undefined);
  const medium = used.clone();
  flip(medium, moved.position + blockBytes + 9); // the first data page
  const report = await look(medium);
  assert.equal(report.badCount, 1);
  assert.ok(report.bad[0]?.what === 'block' && report.bad[0].key?.volume === volume);
});

test('a damaged copy of the superblock or of an anchor is told, though the other one serves', async () => {
  for (const [what, position] of [
    ['superblock', 128 * 1024],
    ['superblock', 0],
    ['anchor', whole.anchors[1]?.position as number],
  ] as const) {
    const medium = used.clone();
    flip(medium, position + 20);
    const report = await look(medium);
    assert.deepEqual(places(report), [{ position, what, reason: 'corrupt' }]);
    assert.equal(report.checkpoint?.number, whole.checkpoint?.number);
  }
});

test('what is no device of this format is refused, and why', async () => {
  const blank = new SimFlash(new TestClock(), new Prng(1), options);
  const refusal = async (): Promise<string> => {
    const inspected = await inspectDevice(blank.attach());
    return inspected.ok ? 'ok' : `${inspected.code} ${inspected.message}`;
  };
  assert.match(await refusal(), /^UNFORMATTED/);
  await formatDevice(blank.attach());
  for (const copy of [0, 128 * 1024]) blank.poke(copy + 8, Uint8Array.of(7, 0));
  assert.equal(await refusal(), 'VERSION it is written in store format 7; this program reads format 1');
  for (const copy of [0, 128 * 1024]) blank.poke(copy, new Uint8Array(8).fill(0x55));
  assert.match(await refusal(), /^FOREIGN/);
});

test('a power cut, wherever it comes, leaves nothing that looks bad: a false alarm would have good modules thrown away', async (t) => {
  let cutShort = 0;
  let looks = 0;
  // The last two once showed what a segment held in an earlier use as damage.
  for (const seed of [1, 2, 3, 4, 5, 6, 12, 87]) {
    const prng = new Prng(seed);
    const medium = new SimFlash(new TestClock(), new Prng(seed + 100), options);
    await formatDevice(medium.attach());
    for (let life = 0; life < 8; life++) {
      const clock = new LifeClock(new TestClock());
      const writer = await DeviceWriter.open(medium.attach(), clock);
      const working = writer.churn(prng, 14, 64 * mebibyte);
      const writes = 10 + Math.floor(prng.fraction() * 120);
      const until = medium.writes + writes;
      if (life % 3 === 1) void writer.store.checkpoint();
      await Promise.race([working, untilWritten(medium, until)]);
      clock.stop();
      writer.isOver = true;
      medium.crash({ tear: life % 2 === 0 });
      const report = await look(medium);
      assert.deepEqual(places(report), [], `seed ${seed}, life ${life}`);
      cutShort += report.cutShort.length;
      looks++;
    }
  }
  t.diagnostic(`${looks} power cuts, ${cutShort} batches cut short`);
  assert.ok(cutShort > 0, 'some writes were under way');
});

async function untilWritten(medium: SimFlash, writes: number): Promise<void> {
  while (medium.writes < writes) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
