import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RemoteProtocolError } from '../../../src/base/errors.ts';
import { optionReplies } from '../../../src/wire/nbd/codes.ts';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../../../src/wire/big-endian.ts';
import {
  decodeClientFlags,
  decodeExport,
  decodeGreeting,
  encodeClientFlags,
  encodeExport,
  encodeGreeting,
} from '../../../src/wire/nbd/handshake.ts';
import {
  decodeContextQuery,
  decodeExportQuery,
  decodeOptionHeader,
  encodeContextQuery,
  encodeExportQuery,
  encodeOption,
} from '../../../src/wire/nbd/option.ts';
import { decodeOptionReply, encodeOptionReply, type OptionReply } from '../../../src/wire/nbd/option-reply.ts';
import {
  chunkHeadBytes,
  decodeReplyHead,
  encodeChunkHead,
  encodeSimpleReply,
  simpleReplyBytes,
} from '../../../src/wire/nbd/reply.ts';
import { decodeRequest, encodeRequest, type RequestFields } from '../../../src/wire/nbd/request.ts';

const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const safe = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
// A leading byte order mark is dropped by the text decoder: nobody names a volume so.
const text = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((value) => !value.startsWith('\ufeff'));

/** Plain objects, as decoders make them. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true } as const) as fc.Arbitrary<T>;
}

interface Codec {
  readonly name: string;
  readonly encoded: fc.Arbitrary<{ value: unknown; bytes: Uint8Array }>;
  readonly decode: (bytes: Uint8Array) => unknown;
}

function codec<T>(
  name: string,
  values: fc.Arbitrary<T>,
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
): Codec {
  return { name, encoded: values.map((value) => ({ value, bytes: encode(value) })), decode };
}

const optionReply: fc.Arbitrary<OptionReply> = fc.oneof(
  fc.constant({ type: 'ack' } as const),
  record({ type: fc.constant('server' as const), name: text, description: text }),
  record({ type: fc.constant('info-export' as const), fields: record({ sizeBytes: safe, flags: u16 }) }),
  record({ type: fc.constant('info-name' as const), name: text }),
  record({ type: fc.constant('info-description' as const), description: text }),
  record({
    type: fc.constant('info-block-size' as const),
    minimumBytes: u32,
    preferredBytes: u32,
    maximumBytes: u32,
  }),
  record({ type: fc.constant('meta-context' as const), id: u32, name: text }),
  record({
    type: fc.constant('error' as const),
    code: fc.constantFrom(optionReplies.errUnknown, optionReplies.errInvalid),
    message: text,
  }),
);

const codecs: readonly Codec[] = [
  codec(
    'export query',
    record({ name: text, infoTypes: fc.array(u16, { maxLength: 9 }) }),
    encodeExportQuery,
    decodeExportQuery,
  ),
  codec(
    'context query',
    record({ name: text, queries: fc.array(text, { maxLength: 5 }) }),
    encodeContextQuery,
    decodeContextQuery,
  ),
  codec(
    'option reply',
    optionReply,
    (reply) => encodeOptionReply(7, reply),
    (bytes) => decodeOptionReply(bytes).reply,
  ),
  codec('export fields', record({ sizeBytes: safe, flags: u16 }), (fields) => encodeExport(fields, true), decodeExport),
];

for (const { name, encoded, decode } of codecs) {
  test(`${name}: what was encoded is decoded, else clients read other names and sizes than ours`, () => {
    fc.assert(fc.property(encoded, ({ value, bytes }) => assert.deepEqual(decode(bytes), value)));
  });

  test(`${name}: every truncation fails as a protocol error, so a liar never reads past its option`, () => {
    fc.assert(
      fc.property(encoded, fc.nat(), ({ bytes }, cut) => {
        const short = bytes.subarray(0, bytes.length === 0 ? 0 : cut % bytes.length);
        assert.throws(() => decode(short), RemoteProtocolError);
      }),
    );
  });

  test(`${name}: every mutation decodes or fails as a protocol error, so no client can crash a Corelet`, () => {
    fc.assert(
      fc.property(encoded, fc.nat(), fc.integer({ min: 1, max: 255 }), ({ bytes }, position, flip) => {
        const mutant = bytes.slice();
        const at = position % mutant.length;
        mutant[at] = (mutant[at] as number) ^ flip;
        try {
          decode(mutant);
        } catch (error) {
          assert.ok(error instanceof RemoteProtocolError, String(error));
        }
      }),
    );
  });
}

test('big-endian fields come back as they were written, at any place', () => {
  fc.assert(
    fc.property(u16, u32, safe, fc.nat(7), (a, b, c, at) => {
      const bytes = new Uint8Array(32);
      writeU16(bytes, at, a);
      writeU32(bytes, at + 2, b);
      writeU64(bytes, at + 6, c);
      assert.deepEqual([readU16(bytes, at), readU32(bytes, at + 2), readU64(bytes, at + 6)], [a, b, c]);
      const view = new DataView(bytes.buffer);
      assert.deepEqual([view.getUint16(at), view.getUint32(at + 2)], [a, b]);
      assert.equal(view.getBigUint64(at + 6), BigInt(c));
    }),
  );
});

test('a 64-bit offset above 2^53 stays above every volume size', () => {
  const bytes = new Uint8Array(8).fill(0xff);
  assert.ok(readU64(bytes, 0) > Number.MAX_SAFE_INTEGER);
});

test('a request keeps its six fields, and another magic is a protocol error', () => {
  const fields = record({
    flags: u16,
    command: u16,
    cookieHigh: u32,
    cookieLow: u32,
    offset: safe,
    lengthBytes: u32,
  });
  fc.assert(
    fc.property(fields, fc.nat(3), (value, magicByte) => {
      const bytes = encodeRequest(value);
      const into: RequestFields = { flags: 0, command: 0, cookieHigh: 0, cookieLow: 0, offset: 0, lengthBytes: 0 };
      decodeRequest(bytes, 0, into);
      assert.deepEqual(into, { ...value });
      bytes[magicByte] = (bytes[magicByte] as number) ^ 1;
      assert.throws(() => decodeRequest(bytes, 0, into), RemoteProtocolError);
    }),
  );
});

test('reply heads carry the cookie of their request, else a client completes the wrong I/O', () => {
  fc.assert(
    fc.property(u32, u32, u32, u16, u16, (cookieHigh, cookieLow, error, flags, type) => {
      const bytes = new Uint8Array(simpleReplyBytes + chunkHeadBytes);
      const cookie = { cookieHigh, cookieLow };
      encodeSimpleReply(bytes, 0, error, cookie);
      encodeChunkHead(bytes, simpleReplyBytes, flags, type, cookie, error);
      assert.deepEqual(decodeReplyHead(bytes, 0), { kind: 'simple', error, ...cookie });
      const chunk = { kind: 'chunk', flags, type, ...cookie, payloadBytes: error };
      assert.deepEqual(decodeReplyHead(bytes, simpleReplyBytes), chunk);
      assert.equal(decodeReplyHead(bytes.subarray(0, simpleReplyBytes - 1), 0), undefined);
      assert.equal(decodeReplyHead(bytes.subarray(0, bytes.length - 1), simpleReplyBytes), undefined);
      bytes[0] = 0;
      assert.throws(() => decodeReplyHead(bytes, 0), RemoteProtocolError);
    }),
  );
});

test('greeting, client flags and option header keep to the published bytes', () => {
  assert.equal(Buffer.from(encodeGreeting()).toString('latin1', 0, 16), 'NBDMAGICIHAVEOPT');
  assert.equal(decodeGreeting(encodeGreeting()), 3);
  assert.throws(() => decodeGreeting(new Uint8Array(18)), RemoteProtocolError);
  assert.throws(() => decodeGreeting(encodeGreeting().subarray(1)), RemoteProtocolError);
  const oldstyle = encodeGreeting();
  oldstyle[9] = 0;
  assert.throws(() => decodeGreeting(oldstyle), RemoteProtocolError);
  for (const fixedNewstyle of [false, true])
    for (const noZeroes of [false, true]) {
      const flags = { fixedNewstyle, noZeroes };
      assert.deepEqual(decodeClientFlags(encodeClientFlags(flags), 0), flags);
    }
  assert.throws(() => decodeClientFlags(new Uint8Array([0, 0, 0, 7]), 0), RemoteProtocolError);
  assert.deepEqual(decodeOptionHeader(encodeOption(3, new Uint8Array(5)), 0), { option: 3, lengthBytes: 5 });
  assert.throws(() => decodeOptionHeader(new Uint8Array(16), 0), RemoteProtocolError);
});

test('an export answer carries 124 zeros for clients that did not wave them', () => {
  assert.equal(encodeExport({ sizeBytes: 4096, flags: 1 }, false).length, 134);
  assert.deepEqual(decodeExport(encodeExport({ sizeBytes: 4096, flags: 1 }, false)), { sizeBytes: 4096, flags: 1 });
});
