import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { utf8Bytes } from '../../../src/base/bytes.ts';
import { commands, errors, optionReplies, options } from '../../../src/wire/nbd/codes.ts';
import { writeU32 } from '../../../src/wire/big-endian.ts';
import { greetingBytes } from '../../../src/wire/nbd/handshake.ts';
import { encodeContextQuery, encodeExportQuery, encodeOption } from '../../../src/wire/nbd/option.ts';
import { MemoryCatalog, MemoryDevice } from './memory-device.ts';
import { finalType, pattern, refusalOf, requestBytesOf, SessionClient, until } from './session-client.ts';

const mebi = 1024 * 1024;
const sizeBytes = 4 * mebi;

function catalog(): { catalog: MemoryCatalog; device: MemoryDevice } {
  const device = new MemoryDevice({ name: 'vol', sizeBytes });
  return { catalog: new MemoryCatalog(device), device };
}
async function greeted(): Promise<SessionClient> {
  const client = new SessionClient(catalog().catalog);
  await client.greet();
  return client;
}

test('bad magic → disconnect: client flags that were never offered', async () => {
  const client = new SessionClient(catalog().catalog);
  await client.take(greetingBytes);
  client.session.receive(new Uint8Array([0, 0, 0, 4]));
  assert.ok(client.isDestroyed);
});

test('bad magic → disconnect: an option without IHAVEOPT', async () => {
  const client = await greeted();
  const option = encodeOption(options.list, new Uint8Array(0));
  option[0] = 0;
  client.session.receive(option);
  assert.ok(client.isDestroyed);
});

test('bad magic → disconnect: a request, and none of it reaches the volume', async () => {
  const { catalog: volumes, device } = catalog();
  const client = new SessionClient(volumes);
  await client.go();
  const request = requestBytesOf({ command: commands.trim, lengthBytes: sizeBytes });
  request[3] = 0;
  client.session.receive(request);
  assert.ok(client.isDestroyed);
  client.session.receive(requestBytesOf({ command: commands.trim, lengthBytes: sizeBytes }));
  assert.deepEqual(device.calls, []);
});

test('huge option → bounded skip: refused in step, with no memory taken for it', async () => {
  const client = await greeted();
  const long = new Uint8Array(mebi);
  assert.equal(refusalOf(await client.option(options.info, long)), optionReplies.errTooBig);
  assert.equal(refusalOf(await client.option(77, long)), optionReplies.errUnsupported);
  assert.equal(finalType(await client.option(options.list)), 'ack', 'in step');
});

test('huge option → disconnect beyond the bound, before its data came', async () => {
  const client = await greeted();
  const header = encodeOption(options.info, new Uint8Array(0));
  writeU32(header, 12, mebi + 1);
  client.session.receive(header);
  assert.ok(client.isDestroyed);
});

test('name_len past the option → ERR_INVALID, in sync', async () => {
  const client = await greeted();
  for (const lie of [5, 0x7fff_ffff, 0xffff_ffff]) {
    for (const option of [options.info, options.go]) {
      const data = encodeExportQuery({ name: 'vol', infoTypes: [] });
      writeU32(data, 0, lie);
      assert.equal(refusalOf(await client.option(option, data)), optionReplies.errInvalid);
    }
    const query = encodeContextQuery({ name: 'vol', queries: ['base:'] });
    writeU32(query, 0, lie);
    assert.equal(refusalOf(await client.option(options.listMetaContext, query)), optionReplies.errInvalid);
    const count = encodeContextQuery({ name: 'vol', queries: ['base:'] });
    writeU32(count, 7, lie);
    assert.equal(refusalOf(await client.option(options.listMetaContext, count)), optionReplies.errInvalid);
  }
  const notText = encodeExportQuery({ name: 'vol', infoTypes: [] });
  notText[4] = 0xff;
  assert.equal(refusalOf(await client.option(options.go, notText)), optionReplies.errInvalid);
  assert.equal(finalType(await client.option(options.list)), 'ack', 'in step');
});

test('too large a write → payload drained, EINVAL', async () => {
  const { catalog: volumes, device } = catalog();
  const client = new SessionClient(volumes, { payloadBytesMax: mebi });
  await client.go();
  const reply = await client.ask({ command: commands.write, payload: pattern(mebi + 1) });
  assert.equal(reply.error, errors.invalid);
  assert.equal((await client.ask({ command: commands.write, payload: pattern(512) })).error, 0, 'in step');
  assert.equal(device.calls.length, 1);
  assert.equal((await client.ask({ command: commands.read, lengthBytes: mebi + 1 })).error, errors.invalid);
});

test('too large a write → above 32 MiB disconnect', async () => {
  const client = new SessionClient(catalog().catalog);
  await client.go();
  client.request({ command: commands.write, lengthBytes: 32 * mebi + 1 });
  assert.ok(client.isDestroyed);
});

test('offset+length past 2^64 → EINVAL, ENOSPC for a write', async () => {
  const { catalog: volumes, device } = catalog();
  const client = new SessionClient(volumes);
  await client.go({ structured: true, allocation: true });
  const offset = 2 ** 64 - 4096;
  const beyond: [number, number][] = [
    [commands.read, errors.invalid],
    [commands.trim, errors.invalid],
    [commands.cache, errors.invalid],
    [commands.blockStatus, errors.invalid],
    [commands.writeZeroes, errors.noSpace],
  ];
  for (const [command, error] of beyond) {
    for (const lengthBytes of [8192, 0xffff_ffff])
      assert.equal((await client.ask({ command, offset, lengthBytes })).error, error);
  }
  const write = await client.ask({ command: commands.write, offset, payload: pattern(8192) });
  assert.equal(write.error, errors.noSpace);
  const nearest = await client.ask({ command: commands.trim, offset: 2 ** 53 - 1, lengthBytes: 1 });
  assert.equal(nearest.error, errors.invalid);
  assert.deepEqual(device.calls, []);
});

test('bytes pipelined after STARTTLS → close, lest they count as sent under TLS later', async () => {
  const client = await greeted();
  const startTls = encodeOption(options.startTls, new Uint8Array(0));
  client.session.receive(new Uint8Array([...startTls, ...encodeOption(options.list, new Uint8Array(0))]));
  await until(() => client.isDestroyed, 'disconnected');
  assert.equal(client.bytes.length, 0);
});

test('a payload sent in crumbs costs copies, not a view for each crumb', async () => {
  const { catalog: volumes, device } = catalog();
  const client = new SessionClient(volumes);
  await client.go();
  const payload = pattern(20_000);
  const request = requestBytesOf({ command: commands.write, offset: 5, payload });
  for (let at = 0; at < request.length; at++) client.session.receive(request.subarray(at, at + 1));
  assert.equal((await client.reply()).error, 0);
  assert.ok(device.lastPieces.length < 20, `${device.lastPieces.length} pieces`);
  assert.deepEqual(device.bytes.subarray(5, 20_005), payload);
});

test('however a stream is cut into chunks, the volume sees the same writes and the client the same replies', async () => {
  const session = [
    requestBytesOf({ command: commands.write, offset: 100, payload: pattern(9000), cookie: 1 }),
    requestBytesOf({ command: commands.write, offset: sizeBytes, payload: pattern(700), cookie: 2 }),
    requestBytesOf({ command: commands.flush, cookie: 3 }),
    requestBytesOf({ command: commands.write, offset: 50_000, payload: pattern(4096, 3), cookie: 4 }),
    requestBytesOf({ command: commands.disconnect }),
  ];
  const handshake = [
    new Uint8Array([0, 0, 0, 3]),
    encodeOption(99, new Uint8Array(33)),
    encodeOption(options.exportName, utf8Bytes('vol')),
  ];
  const stream = new Uint8Array(Buffer.concat([...handshake, ...session]));
  const expected = pattern(9000);
  const cuts = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(cuts, async (lengths) => {
      const { catalog: volumes, device } = catalog();
      const client = new SessionClient(volumes);
      for (let at = 0, i = 0; at < stream.length; i++) {
        const end = at + (lengths[i % lengths.length] as number);
        client.session.receive(stream.slice(at, end));
        at = end;
      }
      await until(() => client.isClosed, 'the end');
      assert.ok(client.isEnded);
      assert.deepEqual(device.bytes.subarray(100, 9100), expected);
      assert.deepEqual(device.bytes.subarray(50_000, 54_096), pattern(4096, 3));
      assert.equal(device.calls.filter((call) => call.kind === 'write').length, 2);
      const refusedOptionBytes = 20 + 'unknown option'.length;
      assert.equal(client.bytes.length, greetingBytes + refusedOptionBytes + 10 + 4 * 16);
    }),
    { numRuns: 60 },
  );
});

test('no bytes at all can make the session throw: what is not NBD ends in a closed or a waiting connection', async () => {
  const garbage = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
  const prefixes = [
    [],
    [new Uint8Array([0, 0, 0, 3])],
    [new Uint8Array([0, 0, 0, 3]), encodeOption(options.exportName, utf8Bytes('vol'))],
  ];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...prefixes), garbage, async (prefix, chunks) => {
      const client = new SessionClient(catalog().catalog);
      for (const chunk of [...prefix, ...chunks]) client.session.receive(chunk.slice());
      client.session.inputEnded();
      await until(() => client.isClosed, 'closed after the client stopped sending');
    }),
    { numRuns: 200 },
  );
});

test('no change of a byte in a good stream can make the session throw or write outside what was asked', async () => {
  const stream = new Uint8Array(
    Buffer.concat([
      new Uint8Array([0, 0, 0, 3]),
      encodeOption(options.structuredReply, new Uint8Array(0)),
      encodeOption(options.setMetaContext, encodeContextQuery({ name: 'vol', queries: ['base:allocation'] })),
      encodeOption(options.go, encodeExportQuery({ name: 'vol', infoTypes: [3] })),
      requestBytesOf({ command: commands.write, payload: pattern(600) }),
      requestBytesOf({ command: commands.read, lengthBytes: 600 }),
      requestBytesOf({ command: commands.blockStatus, lengthBytes: 4096 }),
      requestBytesOf({ command: commands.writeZeroes, lengthBytes: 4096 }),
    ]),
  );
  await fc.assert(
    fc.asyncProperty(fc.nat(stream.length - 1), fc.integer({ min: 1, max: 255 }), async (position, flip) => {
      const mutant = stream.slice();
      mutant[position] = (mutant[position] as number) ^ flip;
      const client = new SessionClient(catalog().catalog);
      client.session.receive(mutant);
      client.session.inputEnded();
      await until(() => client.isClosed, 'closed after the client stopped sending');
    }),
    { numRuns: 300 },
  );
});
