import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../nbd/clocks.ts';
import { cdb, Initiator, mebi, type Result, serverOver, u16, u32, u64 } from './initiator.ts';
import { MemoryVolume } from './memory-volume.ts';

const block = 512;
const lbaOutOfRange = [5, 0x2100];
const invalidField = [5, 0x2400];

async function setUp(sizeBytes = 4 * mebi) {
  const volume = new MemoryVolume('v', sizeBytes);
  const host = await Initiator.ready(serverOver([volume]));
  return { volume, host, blocks: sizeBytes / block };
}

const pattern = (blocks: number, seed = 1) => new Uint8Array(blocks * block).map((_, i) => (i * 7 + seed) & 255);

test('what any WRITE put there, any READ brings back, at both ends of the volume', async () => {
  const { host, blocks } = await setUp();
  const wide = (opcode: number, lba: number, count: number) => [opcode, 0, ...u32(lba), ...u32(count), 0, 0];
  const pairs: [(lba: number) => number[], (lba: number) => number[]][] = [
    [(lba) => [0x0a, ...u32(lba).slice(1), 5, 0], (lba) => [0x08, ...u32(lba).slice(1), 5, 0]],
    [(lba) => cdb.write10(lba, 5), (lba) => cdb.read10(lba, 5)],
    [(lba) => wide(0xaa, lba, 5), (lba) => wide(0xa8, lba, 5)],
    [(lba) => cdb.write16(lba, 5), (lba) => cdb.read16(lba, 5)],
    [(lba) => wide(0xae, lba, 5), (lba) => cdb.read16(lba, 5)],
  ];
  let seed = 0;
  for (const [write, read] of pairs) {
    for (const lba of [0, 3, blocks - 5]) {
      const bytes = pattern(5, ++seed);
      assert.equal((await host.run(write(lba), bytes)).transferBytes, bytes.length);
      assert.deepEqual(await host.good(read(lba)), Buffer.from(bytes));
    }
  }
});

test('READ (6) of length 0 means 256 blocks', async () => {
  const { host } = await setUp();
  assert.equal((await host.good([0x08, 0, 0, 0, 0, 0])).length, 256 * block);
});

test('nothing past the end is touched: refused before a byte of data is asked for', async () => {
  const { host, blocks, volume } = await setUp();
  const beyond = [
    cdb.read10(blocks, 1),
    cdb.read10(blocks - 1, 2),
    cdb.read10(blocks + 1, 0),
    cdb.read10(0xffff_ffff, 0),
    cdb.write10(blocks - 1, 2),
    cdb.write16(2 ** 53, 1),
    [0x88, 0, ...u32(0xffff_ffff), ...u32(0xffff_ffff), ...u32(1), 0, 0],
    [0x2f, 0, ...u32(blocks), 0, ...u16(1), 0],
    [0x34, 0, ...u32(blocks), 0, ...u16(1), 0],
    [0x35, 0, ...u32(blocks), 0, ...u16(1), 0],
    [0x41, 0, ...u32(blocks), 0, ...u16(1), 0],
    [0x8b, 0, ...u64(blocks), ...u32(1), 0, 0],
    [0x89, 0, ...u64(blocks), 0, 0, 0, 1, 0, 0],
    [0x9c, 0, ...u64(blocks), 0, 0, ...u16(8), 0, 0],
    [0x9e, 0x12, ...u64(blocks), ...u32(64), 0, 0],
  ];
  for (const command of beyond) {
    const result = await host.run(command, pattern(2));
    assert.deepEqual([result.sense?.key, result.sense?.code], lbaOutOfRange, command.join());
    assert.ok(result.isRefused);
  }
  assert.deepEqual(volume.store.calls, []);
});

test('no blocks at the very end and at the beginning are fine', async () => {
  const { host, blocks } = await setUp();
  for (const lba of [0, blocks]) {
    await host.good(cdb.read10(lba, 0));
    await host.good(cdb.write10(lba, 0));
  }
});

test('protection information, and more than one transfer may be, is refused', async () => {
  const { host } = await setUp(32 * mebi);
  assert.deepEqual(await host.bad(cdb.read10(0, 1, 0x20)), invalidField);
  assert.deepEqual(await host.bad(cdb.write10(0, 1, 0xe0), pattern(1)), invalidField);
  assert.deepEqual(await host.bad([0x88, 0, ...u64(0), ...u32(16385), 0, 0]), invalidField);
});

test('a host that sends less than its CDB names has its whole blocks written, and no byte more', async () => {
  const { host, volume } = await setUp();
  volume.store.bytes.fill(9);
  const result = await host.run(cdb.write10(0, 4), new Uint8Array(700).fill(1));
  assert.deepEqual([result.status, result.transferBytes], [0, 4 * block]);
  assert.equal(volume.store.bytes[block - 1], 1);
  assert.equal(volume.store.bytes[block], 9);
});

test('VERIFY finds the first byte that differs and says where', async () => {
  const { host, volume } = await setUp();
  const bytes = pattern(4);
  volume.store.bytes.set(bytes, 2 * block);
  const verify = (byteCheck: number, count: number) => [0x8f, byteCheck << 1, ...u64(2), ...u32(count), 0, 0];
  await host.good(verify(0, 4));
  await host.good(verify(1, 4), bytes);
  const other = Uint8Array.from(bytes);
  other[1000] = (other[1000] as number) ^ 1;
  const result = await host.run(verify(1, 4), other);
  assert.deepEqual(result.sense, { key: 14, code: 0x1d00, information: 1000, field: undefined });
  assert.deepEqual(await host.bad(verify(2, 4)), invalidField);
  volume.store.bytes.fill(5, 2 * block, 6 * block);
  await host.good(verify(3, 4), new Uint8Array(block).fill(5));
  volume.store.bytes[5 * block + 3] = 6;
  assert.equal((await host.run(verify(3, 4), new Uint8Array(block).fill(5))).sense?.information, 3 * block + 3);
});

test('COMPARE AND WRITE writes when all bytes are as expected, else nothing, and takes both halves or none', async () => {
  const { host, volume } = await setUp();
  const compare = (lba: number, count: number) => [0x89, 0, ...u64(lba), 0, 0, 0, count, 0, 0];
  const both = (expected: number, data: number, count: number) =>
    Buffer.concat([new Uint8Array(count * block).fill(expected), new Uint8Array(count * block).fill(data)]);
  await host.good(compare(8, 8), both(0, 7, 8));
  assert.equal(volume.store.bytes[8 * block], 7);
  const failed = await host.run(compare(15, 2), both(7, 8, 2));
  assert.deepEqual([failed.sense?.key, failed.sense?.code, failed.sense?.information], [14, 0x1d00, block]);
  assert.equal(volume.store.bytes[15 * block], 7);
  assert.deepEqual(await host.bad(compare(0, 1), both(0, 1, 2)), invalidField);
  assert.deepEqual(await host.bad(compare(0, 3), both(0, 1, 2)), invalidField);
  assert.deepEqual(await host.bad(compare(0, 9), both(0, 1, 9)), invalidField);
  assert.deepEqual(await host.bad(compare(2047, 2), both(0, 1, 2)), invalidField, 'one operation, one chunk');
  await host.good(compare(0, 0));
});

test('ORWRITE keeps the bits that another sets in between', async () => {
  const { host, volume } = await setUp();
  let isDisturbed = false;
  volume.store.gate = async ({ kind }) => {
    // Another host is faster, once.
    if (kind !== 'read' || isDisturbed) return;
    isDisturbed = true;
    volume.store.bytes[10] = 0x40;
  };
  await host.good([0x8b, 0, ...u64(0), ...u32(12), 0, 0], new Uint8Array(12 * block).fill(0x01));
  assert.equal(volume.store.bytes[10], 0x41);
  assert.equal(volume.store.bytes[12 * block - 1], 0x01);
  assert.equal(volume.store.bytes[12 * block], 0);
});

test('WRITE ATOMIC takes what can be one operation, and refuses what can not', async () => {
  const { host } = await setUp();
  const atomic = (lba: number, count: number, boundary = 0) => [
    0x9c,
    0,
    ...u64(lba),
    ...u16(boundary),
    ...u16(count),
    0,
    0,
  ];
  await host.good(atomic(8, 256), pattern(256));
  await host.good(atomic(0, 2048), pattern(2048));
  assert.deepEqual(await host.bad(atomic(2040, 16), pattern(16)), invalidField, 'over the border of a chunk');
  assert.deepEqual(await host.bad(atomic(4, 8), pattern(8)), invalidField, 'not aligned');
  assert.deepEqual(await host.bad(atomic(0, 12), pattern(12)), invalidField, 'half a physical block');
  assert.deepEqual(await host.bad(atomic(0, 8, 8), pattern(8)), invalidField);
  assert.deepEqual(await host.bad(atomic(0, 16), pattern(8)), invalidField, 'a part of it isn’t all of it');
});

test('UNMAP gives blocks back that then read as zeros, and refuses a list as a whole', async () => {
  const { host, volume, blocks } = await setUp();
  const list = (...ranges: [number, number][]) => {
    const body = ranges.flatMap(([lba, count]) => [...u64(lba), ...u32(count), 0, 0, 0, 0]);
    return Uint8Array.from([...u16(body.length + 6), ...u16(body.length), 0, 0, 0, 0, ...body]);
  };
  const unmap = (bytes: Uint8Array) => [0x42, 0, 0, 0, 0, 0, 0, ...u16(bytes.length), 0];
  volume.store.bytes.fill(3);
  const two = list([8, 8], [32, 16]);
  await host.good(unmap(two), two);
  assert.equal(volume.store.bytes[8 * block], 0);
  assert.equal(volume.store.bytes[16 * block], 3);
  assert.equal(volume.store.bytes[48 * block - 1], 0);
  volume.store.calls.length = 0;
  const neighbours = list(...Array.from({ length: 200 }, (_, i): [number, number] => [512 + i, 1]));
  await host.good(unmap(neighbours), neighbours);
  assert.equal(volume.store.calls.length, 1, 'block after block is one range');
  assert.equal(volume.store.bytes[711 * block], 0);
  const outside = list([64, 8], [blocks - 4, 8]);
  assert.deepEqual(await host.bad(unmap(outside), outside), lbaOutOfRange);
  assert.equal(volume.store.bytes[64 * block], 3, 'nothing of a list that isn’t right is done');
  for (const none of [list(), list([0, 0]), new Uint8Array(0)]) await host.good(unmap(none), none);
  const many = list(...Array.from({ length: 257 }, (_, i): [number, number] => [i * 8, 8]));
  assert.equal((await host.bad(unmap(many), many))[1], 0x2600);
  const cut = list([8, 8]).subarray(0, 20);
  assert.equal((await host.bad(unmap(cut), cut))[1], 0x1a00);
});

test('GET LBA STATUS tells holes from data, by physical blocks', async () => {
  const { host, volume } = await setUp();
  await host.good(cdb.write10(16, 8), pattern(8));
  const status = await host.good([0x9e, 0x12, ...u64(4), ...u32(8 + 3 * 16), 0, 0]);
  const extents = [];
  for (let at = 8; at < status.length; at += 16)
    extents.push([Buffer.from(status).readUInt32BE(at + 4), Buffer.from(status).readUInt32BE(at + 8), status[at + 12]]);
  assert.deepEqual(extents, [
    [8, 8, 1],
    [16, 8, 0],
    [24, volume.store.sizeBytes / block - 24, 1],
  ]);
});

test('WRITE SAME repeats one block, zeros without taking space', async () => {
  const { host, volume, blocks } = await setUp();
  const same = (flags: number, lba: number, count: number) => [0x93, flags, ...u64(lba), ...u32(count), 0, 0];
  const one = pattern(1, 4);
  await host.good(same(0, 5, 20), one);
  for (const at of [5, 24]) assert.deepEqual(volume.store.bytes.slice(at * block, (at + 1) * block), one);
  assert.equal(volume.store.bytes[25 * block], 0);
  await host.good(same(0x08, 6, 3), one);
  assert.deepEqual(
    volume.store.bytes.slice(6 * block, 7 * block),
    one,
    'data that isn’t zeros is written with UNMAP, too',
  );
  await host.good(same(0x08, 0, 8192), new Uint8Array(block));
  assert.deepEqual(await host.bad(same(0x08, 0, 0), new Uint8Array(block)), invalidField, 'no length: WSNZ');
  assert.ok(volume.store.bytes.every((byte) => byte === 0));
  assert.equal(volume.store.calls.at(-1)?.kind, 'zero');
  await host.good(same(0x01, 0, 8));
  assert.deepEqual(await host.bad(same(0, 0, 8), pattern(2)), invalidField);
  assert.deepEqual(await host.bad(same(0, 0, 8), new Uint8Array(256)), invalidField);
  assert.deepEqual(await host.bad(same(0x10, 0, 8), one), invalidField, 'anchored blocks don’t exist');
  assert.deepEqual(await host.bad([0x41, 0x01, ...u32(0), 0, ...u16(1), 0]), invalidField);
  assert.deepEqual(await host.bad(same(0, blocks + 1, 0), one), lbaOutOfRange);
});

test('what the device says is what the host hears', async () => {
  const { host, volume } = await setUp();
  const heard: unknown[] = [];
  for (const code of ['NO_SPACE', 'CORRUPT', 'GONE'] as const) {
    volume.store.fail = () => code;
    const { status, sense } = await host.run(cdb.write10(0, 1), pattern(1));
    heard.push([status, sense?.key, sense?.code]);
  }
  assert.deepEqual(heard, [
    [2, 7, 0x2707],
    [2, 3, 0x1100],
    [2, 5, 0x2500],
  ]);
  volume.store.fail = () => 'UNKNOWN';
  await assert.rejects(host.run(cdb.write10(0, 1), pattern(1)), /an answer/);
});

test('what can’t be done now is tried again, and its host hears BUSY only when that doesn’t help', async () => {
  const clock = new ManualClock();
  const volume = new MemoryVolume('v', mebi);
  const host = await Initiator.ready(serverOver([volume], 0, clock));
  let refusals = 0;
  volume.store.fail = () => (refusals++ < 3 ? 'RETRYABLE' : undefined);
  const passing = async (answer: Promise<Result>): Promise<Result> => {
    let result: Result | undefined;
    void answer.then((given) => (result = given));
    for (let i = 0; result === undefined && i < 1000; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(10);
    }
    assert.ok(result !== undefined);
    return result;
  };
  assert.equal((await passing(host.run(cdb.write10(0, 1), pattern(1)))).status, 0);
  assert.equal(refusals, 4);
  volume.store.fail = () => 'RETRYABLE';
  assert.equal((await passing(host.run(cdb.write10(0, 1), pattern(1)))).status, 8);
});

test('a volume that is read-only says so before and after', async () => {
  const { host, volume } = await setUp();
  volume.readOnly = true;
  for (const [command, out] of [
    [cdb.write10(0, 1), pattern(1)],
    [[0x93, 0x08, ...u64(0), ...u32(8), 0, 0], new Uint8Array(block)],
    [[0x8b, 0, ...u64(0), ...u32(1), 0, 0], pattern(1)],
    [[0x93, 0, ...u64(0), ...u32(0), 0, 0], pattern(1)],
  ] as const)
    assert.deepEqual(await host.bad(command, out), [7, 0x2700]);
  assert.equal((await host.good([0x1a, 0, 0x3f, 0, 255, 0]))[2], 0x90);
});

test('EXTENDED COPY copies within a volume and to another, by the names that INQUIRY tells', async () => {
  const [volume, other] = [new MemoryVolume('v', 4 * mebi), new MemoryVolume('w', 4 * mebi)];
  const server = serverOver([volume, other]);
  const host = await Initiator.ready(server);
  const there = await Initiator.ready(server, 'iqn.2026-01.test:b', 'w');
  const naa = async (who: Initiator) => (await who.good([0x12, 1, 0x83, 0, 255, 0])).subarray(4, 24);
  const target = (designator: Uint8Array) => [0xe4, 0, 0, 0, ...designator, 0, 0, 0, 0, 0, ...u32(block).slice(1)];
  const segment = (from: number, to: number, count: number, source: number, destination: number) => [
    0x02,
    0,
    ...u16(24),
    ...u16(from),
    ...u16(to),
    0,
    0,
    ...u16(count),
    ...u64(source),
    ...u64(destination),
  ];
  const copy = async (...segments: number[][]) => {
    const targets = [...target(await naa(host)), ...target(await naa(there))];
    const body = segments.flat();
    const head = [7, 0, ...u16(targets.length), 0, 0, 0, 0, ...u32(body.length), 0, 0, 0, 0];
    const list = Uint8Array.from([...head, ...targets, ...body]);
    return host.run([0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...u32(list.length), 0, 0], list);
  };
  const bytes = pattern(3000);
  volume.store.bytes.set(bytes);
  assert.equal((await copy(segment(0, 0, 3000, 0, 4001), segment(0, 1, 10, 5, 6))).status, 0);
  assert.deepEqual(volume.store.bytes.slice(4001 * block, 7001 * block), bytes);
  assert.deepEqual(other.store.bytes.slice(6 * block, 16 * block), bytes.slice(5 * block, 15 * block));
  const status = await host.good([0x84, 0, 7, 0, 0, 0, 0, 0, 0, 0, ...u32(64), 0, 0]);
  assert.deepEqual([status[4], status[6]], [1, 2]);
  assert.deepEqual(await host.bad([0x84, 0, 7, 0, 0, 0, 0, 0, 0, 0, ...u32(64), 0, 0]), invalidField, 'told once');
  const beyond = await copy(segment(0, 1, 2048, 0, 8000));
  assert.equal(beyond.sense?.key, 10);
  assert.equal((await copy(segment(0, 2, 1, 0, 0))).sense?.code, 0x0d02);
  assert.equal(other.devices.size, 1, 'what a copy opened it has closed');
});
