import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8Bytes } from '../../../src/base/bytes.ts';
import { commands, infoTypes, optionReplies, options, transmissionFlags } from '../../../src/wire/nbd/codes.ts';
import { decodeExport, encodeExport } from '../../../src/wire/nbd/handshake.ts';
import { encodeContextQuery, encodeExportQuery, encodeOption } from '../../../src/wire/nbd/option.ts';
import { MemoryCatalog, MemoryDevice } from './memory-device.ts';
import { finalType, refusalOf, SessionClient, until } from './session-client.ts';

const mebi = 1024 * 1024;

function volume(name = 'vol', readOnly = false): MemoryDevice {
  return new MemoryDevice({ name, sizeBytes: mebi, readOnly });
}
async function greeted(...devices: MemoryDevice[]): Promise<SessionClient> {
  const client = new SessionClient(new MemoryCatalog(...(devices.length > 0 ? devices : [volume()])));
  await client.greet();
  return client;
}
const allInfo = [infoTypes.export, infoTypes.name, infoTypes.description, infoTypes.blockSize];

test('EXPORT_NAME leads into transmission, with and without the 124 zeros', async () => {
  for (const noZeroes of [true, false]) {
    const client = new SessionClient(new MemoryCatalog(volume()));
    await client.greet(noZeroes);
    client.session.receive(encodeOption(options.exportName, utf8Bytes('vol')));
    const length = encodeExport({ sizeBytes: 0, flags: 0 }, noZeroes).length;
    const fields = decodeExport(await client.take(length));
    assert.equal(fields.sizeBytes, mebi);
    assert.equal(fields.flags & transmissionFlags.sendDf, 0, 'DF only with structured replies');
    assert.equal((await client.ask({ command: commands.flush })).error, 0);
  }
});

test('EXPORT_NAME of an unknown volume hangs up: the protocol has no other way to say no', async () => {
  const client = await greeted();
  client.session.receive(encodeOption(options.exportName, utf8Bytes('other')));
  await until(() => client.isDestroyed, 'disconnected');
});

test('the empty name is the only volume; with two it is unknown, so that nobody writes to a volume he did not name', async () => {
  const empty = encodeExportQuery({ name: '', infoTypes: allInfo });
  const alone = await (await greeted()).option(options.info, empty);
  assert.equal(finalType(alone), 'ack');
  assert.ok(alone.some((reply) => reply.type === 'info-name' && reply.name === 'vol'));
  const two = await greeted(volume('a'), volume('b'));
  assert.equal(refusalOf(await two.option(options.go, empty)), optionReplies.errUnknown);
  assert.equal(finalType(await two.option(options.list)), 'ack', 'still in step');
});

test('ABORT is acknowledged, then the connection ends', async () => {
  const client = await greeted();
  assert.deepEqual(await client.option(options.abort, new Uint8Array(3)), [{ type: 'ack' }]);
  await until(() => client.isEnded, 'ended in good order');
});

test('LIST names every volume, and refuses data', async () => {
  const client = await greeted(volume('a'), volume('ü'));
  const replies = await client.option(options.list);
  assert.deepEqual(
    replies.flatMap((reply) => (reply.type === 'server' ? [reply.name] : [])),
    ['a', 'ü'],
  );
  assert.equal(refusalOf(await client.option(options.list, new Uint8Array(1))), optionReplies.errInvalid);
});

test('INFO tells size, flags, name, description and block sizes, and stays in negotiation', async () => {
  const client = await greeted();
  const replies = await client.option(options.info, encodeExportQuery({ name: 'vol', infoTypes: allInfo }));
  const f = transmissionFlags;
  const flags =
    f.hasFlags |
    f.sendFlush |
    f.sendFua |
    f.sendTrim |
    f.sendWriteZeroes |
    f.sendFastZero |
    f.canMultiConn |
    f.sendCache;
  assert.deepEqual(replies, [
    { type: 'info-export', fields: { sizeBytes: mebi, flags } },
    { type: 'info-name', name: 'vol' },
    { type: 'info-description', description: 'Corelet volume' },
    { type: 'info-block-size', minimumBytes: 1, preferredBytes: 4096, maximumBytes: 32 * mebi },
    { type: 'ack' },
  ]);
  const bare = await client.option(options.info, encodeExportQuery({ name: 'vol', infoTypes: [99] }));
  assert.deepEqual(
    bare.map((reply) => reply.type),
    ['info-export', 'ack'],
  );
});

test('INFO and GO of an unknown volume: ERR_UNKNOWN, and the client may try another', async () => {
  const client = await greeted();
  const other = encodeExportQuery({ name: 'other', infoTypes: [] });
  assert.equal(refusalOf(await client.option(options.info, other)), optionReplies.errUnknown);
  assert.equal(refusalOf(await client.option(options.go, other)), optionReplies.errUnknown);
  const go = await client.option(options.go, encodeExportQuery({ name: 'vol', infoTypes: [] }));
  assert.equal(finalType(go), 'ack');
});

test('a read-only volume says so, and does not offer what it would refuse', async () => {
  const client = new SessionClient(new MemoryCatalog(volume('vol', true)));
  const flags = await client.go();
  assert.ok((flags & transmissionFlags.readOnly) !== 0);
  assert.equal(flags & (transmissionFlags.sendTrim | transmissionFlags.sendWriteZeroes), 0);
});

test('a volume between two leaders is asked for again; only after a bound is the client sent away to retry', async () => {
  const catalog = new MemoryCatalog(volume());
  catalog.retryCount = 1;
  const soon = new SessionClient(catalog);
  await soon.greet();
  soon.session.receive(encodeOption(options.go, encodeExportQuery({ name: 'vol', infoTypes: [] })));
  const retried = (): boolean => {
    soon.clock.advance(10);
    return soon.bytes.length > 0;
  };
  await until(retried, 'the second try');
  assert.equal(finalType(await soon.optionReplies(options.go)), 'ack');

  catalog.retryCount = Number.POSITIVE_INFINITY;
  const never = new SessionClient(catalog, { openRetryMsMax: 0 });
  await never.greet();
  const replies = await never.option(options.go, encodeExportQuery({ name: 'vol', infoTypes: [] }));
  assert.equal(refusalOf(replies), optionReplies.errShutdown);
});

test('STRUCTURED_REPLY is agreed and brings DF; with data it is refused', async () => {
  const client = await greeted();
  assert.equal(refusalOf(await client.option(options.structuredReply, new Uint8Array(1))), optionReplies.errInvalid);
  assert.deepEqual(await client.option(options.structuredReply), [{ type: 'ack' }]);
  const [info] = await client.option(options.info, encodeExportQuery({ name: 'vol', infoTypes: [] }));
  assert.ok(info?.type === 'info-export' && (info.fields.flags & transmissionFlags.sendDf) !== 0);
});

test('LIST_META_CONTEXT finds base:allocation by nothing, by wildcard and by name', async () => {
  const client = await greeted();
  await client.option(options.structuredReply);
  for (const queries of [[], ['base:'], ['base:allocation'], ['x:y', 'base:allocation']]) {
    const replies = await client.option(options.listMetaContext, encodeContextQuery({ name: 'vol', queries }));
    assert.deepEqual(replies, [{ type: 'meta-context', id: 0, name: 'base:allocation' }, { type: 'ack' }]);
  }
  for (const queries of [['base:other'], ['qemu:dirty-bitmap:x']]) {
    const replies = await client.option(options.listMetaContext, encodeContextQuery({ name: 'vol', queries }));
    assert.deepEqual(replies, [{ type: 'ack' }]);
  }
  const unknown = encodeContextQuery({ name: 'other', queries: [] });
  assert.equal(refusalOf(await client.option(options.listMetaContext, unknown)), optionReplies.errUnknown);
});

test('SET_META_CONTEXT needs structured replies, selects by full name only, and the last one counts', async () => {
  const client = await greeted();
  const set = (...queries: string[]) =>
    client.option(options.setMetaContext, encodeContextQuery({ name: 'vol', queries }));
  assert.equal(refusalOf(await set('base:allocation')), optionReplies.errInvalid);
  await client.option(options.structuredReply);
  assert.deepEqual(await set('base:'), [{ type: 'ack' }]);
  assert.deepEqual(await set(), [{ type: 'ack' }]);
  assert.deepEqual(await set('base:allocation'), [
    { type: 'meta-context', id: 1, name: 'base:allocation' },
    { type: 'ack' },
  ]);
  assert.deepEqual(await set('other:thing'), [{ type: 'ack' }]);
  await client.option(options.go, encodeExportQuery({ name: 'vol', infoTypes: [] }));
  client.request({ command: commands.blockStatus, lengthBytes: 4096 });
  await until(() => client.bytes.length >= 20 + 6, 'an answer');
  assert.equal(client.bytes[6], 0x80, 'an error chunk: the context is no longer selected');
});

test('a context selected for one volume is not selected for another', async () => {
  const client = await greeted(volume('a'), volume('b'));
  await client.option(options.structuredReply);
  await client.option(options.setMetaContext, encodeContextQuery({ name: 'a', queries: ['base:allocation'] }));
  await client.option(options.go, encodeExportQuery({ name: 'b', infoTypes: [] }));
  client.request({ command: commands.blockStatus, lengthBytes: 4096 });
  await until(() => client.bytes.length >= 20 + 6, 'an answer');
  assert.equal(client.bytes[6], 0x80);
});

test('STARTTLS, EXTENDED_HEADERS, PEEK_EXPORT and unknown options: ERR_UNSUP, in step', async () => {
  const client = await greeted();
  for (const option of [options.startTls, options.extendedHeaders, 4, 12, 0xffff_ffff]) {
    assert.equal(refusalOf(await client.option(option)), optionReplies.errUnsupported);
    if (option === options.startTls) continue;
    assert.equal(refusalOf(await client.option(option, new Uint8Array(999))), optionReplies.errUnsupported);
  }
  assert.equal(refusalOf(await client.option(options.startTls, new Uint8Array(1))), optionReplies.errInvalid);
  assert.equal(finalType(await client.option(options.list)), 'ack');
});

test('a handshake that takes longer than its limit is closed, so that idle sockets do not fill the door', async () => {
  const client = await greeted();
  client.clock.advance(14_999);
  assert.ok(!client.isDestroyed);
  client.clock.advance(1);
  assert.ok(client.isDestroyed);

  const connected = new SessionClient(new MemoryCatalog(volume()));
  await connected.go();
  connected.clock.advance(3_600_000);
  assert.ok(!connected.isClosed, 'an idle volume stays connected');
});

test('a stopping Corelet refuses further options with ERR_SHUTDOWN, but acknowledges ABORT', async () => {
  const catalog = new MemoryCatalog(volume());
  catalog.retryCount = Number.POSITIVE_INFINITY; // holds the first option open
  const client = new SessionClient(catalog, { inputBytesMax: 0 });
  await client.greet();
  const go = encodeExportQuery({ name: 'vol', infoTypes: [] });
  client.session.receive(encodeOption(options.go, go));
  client.session.receive(encodeOption(options.list, new Uint8Array(0)));
  client.session.receive(encodeOption(options.abort, new Uint8Array(0)));
  await until(() => client.isPaused, 'the first option is being answered');
  client.session.stop();
  client.clock.advance(1_000);
  assert.equal(refusalOf(await client.optionReplies(options.go)), optionReplies.errShutdown);
  assert.equal(refusalOf(await client.optionReplies(options.list)), optionReplies.errShutdown);
  assert.deepEqual(await client.optionReplies(options.abort), [{ type: 'ack' }]);
  await until(() => client.isEnded, 'ended');
});
