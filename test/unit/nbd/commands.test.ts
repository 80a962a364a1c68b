import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IoErrorCode } from '../../../src/volume/block-device.ts';
import { chunkTypes, commandFlags, commands, errors } from '../../../src/wire/nbd/codes.ts';
import { readU32 } from '../../../src/wire/big-endian.ts';
import { MemoryCatalog, MemoryDevice } from './memory-device.ts';
import { assembled, errorText, type GoOptions, pattern, SessionClient, until } from './session-client.ts';

const mebi = 1024 * 1024;

async function connected(
  go: GoOptions = {},
  readOnly = false,
): Promise<{ client: SessionClient; device: MemoryDevice }> {
  const device = new MemoryDevice({ name: 'vol', sizeBytes: 4 * mebi, readOnly });
  const client = new SessionClient(new MemoryCatalog(device));
  await client.go(go);
  return { client, device };
}

for (const structured of [false, true]) {
  const kind = structured ? 'structured' : 'simple';

  test(`${kind}: what was written is read back, at any offset and length`, async () => {
    const { client } = await connected({ structured });
    for (const [offset, lengthBytes] of [
      [0, 4096],
      [1, 1],
      [4095, 4098],
      [65_536, 200_000],
      [4 * mebi - 3, 3],
    ] as const) {
      const payload = pattern(lengthBytes, offset);
      assert.equal((await client.ask({ command: commands.write, offset, payload })).error, 0);
      const reply = await client.ask({ command: commands.read, offset, lengthBytes });
      const data = structured ? assembled(reply, offset, lengthBytes) : reply.data;
      assert.deepEqual(data, payload);
    }
  });

  test(`${kind}: WRITE_ZEROES and TRIM leave zeros, NO_HOLE keeps the space`, async () => {
    const { client, device } = await connected({ structured });
    await client.ask({ command: commands.write, payload: pattern(65_536) });
    const zero = { command: commands.writeZeroes, offset: 4096, lengthBytes: 8192 };
    assert.equal((await client.ask({ ...zero, flags: commandFlags.noHole })).error, 0);
    const extents = await device.extents(0, 65_536);
    assert.ok(extents.ok && extents.extents.length === 1, 'no hole');
    assert.equal((await client.ask({ ...zero, flags: commandFlags.fastZero })).error, 0);
    assert.equal((await client.ask({ command: commands.trim, offset: 32_768, lengthBytes: 4096 })).error, 0);
    assert.ok(device.bytes.subarray(4096, 12_288).every((byte) => byte === 0));
    assert.ok(device.bytes.subarray(32_768, 36_864).every((byte) => byte === 0));
    assert.deepEqual(device.bytes.subarray(12_288, 32_768), pattern(65_536).subarray(12_288, 32_768));
    const both = commandFlags.fastZero | commandFlags.noHole;
    assert.equal((await client.ask({ ...zero, flags: both })).error, errors.unsupported, 'nobody can promise that');
  });

  test(`${kind}: FLUSH and CACHE succeed; FUA is taken on every command`, async () => {
    const { client } = await connected({ structured, allocation: structured });
    const flags = commandFlags.fua;
    const range = { offset: 0, lengthBytes: 4096 };
    assert.equal((await client.ask({ command: commands.flush, flags })).error, 0);
    assert.equal((await client.ask({ command: commands.cache, flags, ...range })).error, 0);
    assert.equal((await client.ask({ command: commands.read, flags, ...range })).error, 0);
    assert.equal((await client.ask({ command: commands.write, flags, payload: pattern(4096) })).error, 0);
    assert.equal((await client.ask({ command: commands.trim, flags, ...range })).error, 0);
    assert.equal((await client.ask({ command: commands.writeZeroes, flags, ...range })).error, 0);
    if (structured) assert.equal((await client.ask({ command: commands.blockStatus, flags, ...range })).error, 0);
  });

  test(`${kind}: past the end, write and write-zeroes are ENOSPC, all else EINVAL, and nothing reaches the device`, async () => {
    const { client, device } = await connected({ structured, allocation: structured });
    const offset = 4 * mebi - 4096;
    const past = { offset, lengthBytes: 4097 };
    const write = await client.ask({ command: commands.write, offset, payload: pattern(4097) });
    assert.equal(write.error, errors.noSpace);
    assert.equal((await client.ask({ command: commands.writeZeroes, ...past })).error, errors.noSpace);
    assert.equal((await client.ask({ command: commands.read, ...past })).error, errors.invalid);
    assert.equal((await client.ask({ command: commands.trim, ...past })).error, errors.invalid);
    assert.equal((await client.ask({ command: commands.cache, ...past })).error, errors.invalid);
    assert.equal((await client.ask({ command: commands.blockStatus, ...past })).error, errors.invalid);
    assert.deepEqual(device.calls, []);
  });

  test(`${kind}: a read-only volume answers every change with EPERM`, async () => {
    const { client, device } = await connected({ structured }, true);
    const range = { offset: 0, lengthBytes: 4096 };
    const write = await client.ask({ command: commands.write, payload: pattern(4096) });
    assert.equal(write.error, errors.permission);
    assert.equal((await client.ask({ command: commands.trim, ...range })).error, errors.permission);
    assert.equal((await client.ask({ command: commands.writeZeroes, ...range })).error, errors.permission);
    assert.equal((await client.ask({ command: commands.read, ...range })).error, 0);
    assert.deepEqual(
      device.calls.map((call) => call.kind),
      ['read'],
    );
  });

  test(`${kind}: unknown commands and flags where they do not belong are EINVAL, in step`, async () => {
    const { client } = await connected({ structured });
    for (const command of [8, 99, 0xffff]) assert.equal((await client.ask({ command })).error, errors.invalid);
    const range = { offset: 0, lengthBytes: 4096 };
    const misplaced: [number, number][] = [
      [commands.read, commandFlags.noHole],
      [commands.read, 0x8000],
      [commands.trim, commandFlags.df],
      [commands.flush, commandFlags.reqOne],
      [commands.cache, commandFlags.fastZero],
    ];
    if (!structured) misplaced.push([commands.read, commandFlags.df]);
    for (const [command, flags] of misplaced)
      assert.equal((await client.ask({ command, flags, ...range })).error, errors.invalid);
    const write = await client.ask({ command: commands.write, flags: commandFlags.df, payload: pattern(4096) });
    assert.equal(write.error, errors.invalid, 'its payload is skipped');
    assert.equal((await client.ask({ command: commands.flush, lengthBytes: 1 })).error, errors.invalid);
    assert.equal((await client.ask({ command: commands.flush })).error, 0);
  });

  test(`${kind}: zero lengths are answered and cost no connection`, async () => {
    const { client, device } = await connected({ structured, allocation: structured });
    for (const command of [commands.read, commands.write, commands.trim, commands.writeZeroes, commands.cache])
      assert.equal((await client.ask({ command, lengthBytes: 0 })).error, 0);
    assert.equal((await client.ask({ command: commands.blockStatus, lengthBytes: 0 })).error, errors.invalid);
    assert.deepEqual(device.calls, []);
  });

  const told: [IoErrorCode, number, number][] = [
    // code, error of a read, error of a write
    ['OUT_OF_RANGE', errors.invalid, errors.noSpace],
    ['NO_SPACE', errors.noSpace, errors.noSpace],
    ['READ_ONLY', errors.permission, errors.permission],
    ['GONE', errors.shutdown, errors.shutdown],
    ['CORRUPT', errors.io, errors.io],
  ];
  for (const [code, readError, writeError] of told) {
    test(`${kind}: ${code} from the volume is told as the protocol has it`, async () => {
      const { client, device } = await connected({ structured });
      device.fail = () => code;
      assert.equal((await client.ask({ command: commands.read, lengthBytes: 4096 })).error, readError);
      assert.equal((await client.ask({ command: commands.write, payload: pattern(512) })).error, writeError);
      device.fail = undefined;
      assert.equal((await client.ask({ command: commands.flush })).error, 0);
    });
  }

  for (const code of ['UNKNOWN', 'RETRYABLE'] as const) {
    test(`${kind}: ${code} closes the connection unanswered: NBD has no word for it, and an error would be final`, async () => {
      const { client, device } = await connected({ structured });
      device.fail = () => code;
      client.request({ command: commands.write, payload: pattern(4096) });
      await until(() => client.isDestroyed, 'disconnected');
      assert.equal(client.bytes.length, 0);
      assert.equal(device.closes, 1, 'the volume hears that its host has gone');
    });
  }
}

test('replies come in the order in which the volume is done, so that one slow arc does not hold up the rest', async () => {
  const { client, device } = await connected();
  let release = (): void => {};
  device.gate = (call) => (call.offset === 0 ? new Promise<void>((resolve) => (release = resolve)) : Promise.resolve());
  client.request({ command: commands.write, payload: pattern(4096), cookie: 1 });
  client.request({ command: commands.write, payload: pattern(4096), offset: 4096, cookie: 2 });
  assert.equal((await client.reply()).cookie, 2);
  release();
  assert.equal((await client.reply()).cookie, 1);
});

test('replies of one turn leave in one send: a system call for each would halve the rate', async () => {
  const { client } = await connected();
  const before = client.sendCount;
  for (let cookie = 0; cookie < 16; cookie++) client.request({ command: commands.flush, cookie });
  for (let cookie = 0; cookie < 16; cookie++) assert.equal((await client.reply()).cookie, cookie);
  assert.equal(client.sendCount - before, 1);
});

test('DISC finishes what is under way, sends it, and then closes', async () => {
  const { client, device } = await connected();
  let release = (): void => {};
  device.gate = () => new Promise<void>((resolve) => (release = resolve));
  client.request({ command: commands.write, payload: pattern(4096), cookie: 9 });
  client.request({ command: commands.disconnect });
  await until(() => device.calls.length === 1, 'the write is at the device');
  assert.ok(!client.isClosed);
  release();
  assert.equal((await client.reply()).cookie, 9);
  await until(() => client.isEnded, 'ended');
});

test('a client that only closes its sending side still gets its answers', async () => {
  const { client } = await connected();
  client.request({ command: commands.write, payload: pattern(4096), cookie: 5 });
  client.session.inputEnded();
  assert.equal((await client.reply()).cookie, 5);
  await until(() => client.isEnded, 'ended');
});

test('structured: long zeros travel as holes, DF sends one chunk, DONE is on the last chunk only', async () => {
  const { client, device } = await connected({ structured: true });
  const parts = [pattern(8192), new Uint8Array(65_536), pattern(100), new Uint8Array(8192), pattern(92)];
  const whole = new Uint8Array(Buffer.concat(parts));
  device.read = async () => ({ ok: true, parts });
  const text = { command: commands.read, offset: 12, lengthBytes: whole.length };
  const sparse = await client.ask(text);
  assert.deepEqual(
    sparse.chunks.map(({ type, flags }) => [type, flags]),
    [
      [chunkTypes.offsetData, 0],
      [chunkTypes.offsetHole, 0],
      [chunkTypes.offsetData, 1],
    ],
  );
  assert.deepEqual(assembled(sparse, 12, whole.length), whole);
  const single = await client.ask({ ...text, flags: commandFlags.df });
  assert.deepEqual(
    single.chunks.map(({ type, flags }) => [type, flags]),
    [[chunkTypes.offsetData, 1]],
  );
  assert.deepEqual(assembled(single, 12, whole.length), whole);
});

test('structured: whatever mixture of zeros and data a read returns, its chunks cover it once and exactly', async () => {
  const { client, device } = await connected({ structured: true });
  const kinds = [new Uint8Array(4096), new Uint8Array(40_000), new Uint8Array(3), pattern(4096), pattern(40_001)];
  for (let mixture = 0; mixture < kinds.length ** 3; mixture++) {
    const digits = [mixture % 5, Math.floor(mixture / 5) % 5, Math.floor(mixture / 25)];
    const parts = [pattern(40_000), ...digits.map((digit) => kinds[digit] as Uint8Array), new Uint8Array(33_000)];
    const whole = new Uint8Array(Buffer.concat(parts));
    device.read = async () => ({ ok: true, parts });
    const reply = await client.ask({ command: commands.read, offset: 7, lengthBytes: whole.length });
    const covered = reply.chunks.reduce((sum, { type, payload }) => {
      return sum + (type === chunkTypes.offsetHole ? readU32(payload, 8) : payload.length - 8);
    }, 0);
    assert.equal(covered, whole.length);
    assert.deepEqual(
      reply.chunks.map(({ flags }) => flags),
      reply.chunks.map((_, index) => (index === reply.chunks.length - 1 ? 1 : 0)),
    );
    assert.deepEqual(assembled(reply, 7, whole.length), whole);
  }
});

test('structured: errors come as a chunk with a sentence for people', async () => {
  const { client } = await connected({ structured: true }, true);
  const reply = await client.ask({ command: commands.write, payload: pattern(512) });
  assert.equal(errorText(reply.chunks.at(-1)), 'the volume is read-only');
});

test('BLOCK_STATUS tells holes and data, REQ_ONE one extent, none of length 0', async () => {
  const { client } = await connected({ structured: true, allocation: true });
  await client.ask({ command: commands.write, offset: 8192, payload: pattern(4096) });
  const status = { command: commands.blockStatus, offset: 0, lengthBytes: mebi };
  const extentsOf = (payload: Uint8Array): number[][] => {
    const list: number[][] = [];
    for (let at = 4; at < payload.length; at += 8) list.push([readU32(payload, at), readU32(payload, at + 4)]);
    return list;
  };
  const all = await client.ask(status);
  assert.equal(all.chunks.length, 1);
  const [chunk] = all.chunks;
  assert.ok(chunk?.type === chunkTypes.blockStatus && readU32(chunk.payload, 0) === 1);
  assert.deepEqual(extentsOf(chunk.payload), [
    [8192, 3],
    [4096, 0],
    [mebi - 12_288, 3],
  ]);
  const one = await client.ask({ ...status, flags: commandFlags.reqOne });
  assert.deepEqual(extentsOf(one.chunks[0]?.payload ?? new Uint8Array(0)), [[8192, 3]]);
});

test('BLOCK_STATUS without a selected context is EINVAL', async () => {
  const { client } = await connected({ structured: true });
  const reply = await client.ask({ command: commands.blockStatus, lengthBytes: 4096 });
  assert.equal(reply.error, errors.invalid);
});

test('a fragmented volume answers BLOCK_STATUS with a bounded piece, and the client asks on', async () => {
  const { client, device } = await connected({ structured: true, allocation: true });
  device.extents = async () => ({
    ok: true,
    extents: Array.from({ length: 20_000 }, (_, i) => ({ lengthBytes: 1, kind: i % 2 === 0 ? 'data' : 'hole' })),
  });
  const reply = await client.ask({ command: commands.blockStatus, lengthBytes: mebi });
  assert.equal(reply.chunks[0]?.payload.length, 4 + 8 * 8192);
});
