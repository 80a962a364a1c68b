import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hexText, utf8Bytes } from '../../../src/base/bytes.ts';
import { crc32c } from '../../../src/base/crc32c.ts';
import { RemoteProtocolError } from '../../../src/base/errors.ts';
import { readDigest, writeDigest } from '../../../src/wire/iscsi/digest.ts';
import { dataBytesOf, headerBytes, opcodeOf } from '../../../src/wire/iscsi/header.ts';
import { decodeSense, encodeSense } from '../../../src/wire/iscsi/scsi-response.ts';
import { decodeText, encodeText, parseBinary, parseNumber } from '../../../src/wire/iscsi/text.ts';
import { pduKinds } from './pdus.ts';

const fuzzCases = 100_000;
const guard = 0xa5;

function onlyTyped(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof RemoteProtocolError)) throw error;
  }
}

for (const { name, codec, fields } of pduKinds) {
  test(`${name}: what was sent is what is received, in 48 bytes and not one more`, () => {
    fc.assert(
      fc.property(fields, (sent) => {
        const bytes = new Uint8Array(headerBytes + 16).fill(guard);
        codec.encode(sent, bytes, 8);
        assert.deepEqual(codec.decode(bytes, 8), sent);
        assert.equal(opcodeOf(bytes, 8), codec.opcode);
        for (const at of [0, 7, headerBytes + 8, headerBytes + 15]) assert.equal(bytes[at], guard);
      }),
      { numRuns: 100 },
    );
  });

  test(`${name}: cut short anywhere, it is refused and not guessed`, () => {
    fc.assert(
      fc.property(fields, (sent) => {
        const bytes = new Uint8Array(headerBytes);
        codec.encode(sent, bytes, 0);
        for (let end = 0; end < headerBytes; end++)
          assert.throws(() => codec.decode(bytes.subarray(0, end), 0), RemoteProtocolError);
      }),
      { numRuns: 5 },
    );
  });
}

test(`${fuzzCases} mutated headers end in fields or a RemoteProtocolError, nothing else`, () => {
  const rounds = Math.ceil(fuzzCases / pduKinds.length);
  for (const { codec, fields } of pduKinds) {
    const mutation = fc.tuple(fields, fc.array(fc.tuple(fc.nat(headerBytes - 1), fc.nat(255)), { maxLength: 6 }));
    fc.assert(
      fc.property(mutation, ([sent, changes]) => {
        const bytes = new Uint8Array(headerBytes);
        codec.encode(sent, bytes, 0);
        for (const [at, value] of changes) bytes[at] = value;
        onlyTyped(() => codec.decode(bytes, 0));
      }),
      { numRuns: rounds },
    );
  }
});

test('the digest is the one of RFC 7143 (its examples are of RFC 3720 B.4)', () => {
  const bytes = new Uint8Array(36);
  for (const [fill, digest] of [
    [0x00, 'aa36918a'],
    [0xff, '43aba862'],
  ] as const) {
    bytes.fill(fill, 0, 32);
    writeDigest(bytes, 32, crc32c(bytes.subarray(0, 32)));
    assert.equal(hexText(bytes.subarray(32)), digest);
    assert.equal(readDigest(bytes, 32), crc32c(bytes.subarray(0, 32)));
  }
});

test('the longest data segment that the field can tell is told', () => {
  const bytes = new Uint8Array(headerBytes);
  const [nop] = pduKinds;
  nop?.codec.encode({ lun: new Uint8Array(8), dataBytes: 0xff_ffff }, bytes, 0);
  assert.equal(dataBytesOf(bytes, 0), 0xff_ffff);
});

test('text: pairs come back in order; without a NUL, without "=", with a key twice or a bad one it is refused', () => {
  const pairs = [
    ['InitiatorName', 'iqn.2026-01.test:a'],
    ['HeaderDigest', 'CRC32C,None'],
    ['X-com.example.key', ''],
    ['CHAP_N', '0xname=with equals'],
  ] as const;
  assert.deepEqual(decodeText(encodeText(pairs)), pairs);
  assert.deepEqual(decodeText(new Uint8Array(0)), []);
  assert.deepEqual(decodeText(utf8Bytes('A=b\0\0\0')), [['A', 'b']]);
  for (const bad of ['A=b', 'novalue\0', 'A=b\0A=c\0', '=b\0', ' A=b\0', `${'K'.repeat(64)}=v\0`])
    assert.throws(() => decodeText(utf8Bytes(bad)), RemoteProtocolError, bad);
  const many = Array.from({ length: 200 }, (_, i) => `K${i}=v\0`).join('');
  assert.throws(() => decodeText(utf8Bytes(many)), RemoteProtocolError);
});

test('text of any bytes ends in pairs or a RemoteProtocolError', () => {
  const letters = fc.constantFrom(0, 61, 65, 66, 97, 48, 255, 0xc3, 32);
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 60 }), (bytes) => onlyTyped(() => decodeText(Uint8Array.from(bytes)))),
    { numRuns: 2000 },
  );
});

test('numbers and binary values: decimal, hexadecimal and Base64 are read, anything else is not', () => {
  assert.equal(parseNumber('262144'), 262_144);
  assert.equal(parseNumber('0x2000'), 8192);
  for (const bad of ['', '-1', '1e3', '0x', '12 ', '99999999999999999999']) assert.equal(parseNumber(bad), undefined);
  assert.deepEqual(parseBinary('0x0aFF', 16), Uint8Array.of(10, 255));
  assert.deepEqual(parseBinary('0xaff', 16), Uint8Array.of(10, 255));
  assert.deepEqual(parseBinary('0bAQID', 16), Uint8Array.of(1, 2, 3));
  assert.deepEqual(parseBinary('0bAQ==', 16), Uint8Array.of(1));
  for (const bad of ['', '0x', '0xzz', '0b', '0bA', '0bA===', 'deadbeef', `0x${'00'.repeat(17)}`])
    assert.equal(parseBinary(bad, 16), undefined, bad);
});

test('sense carries its length, and a lie about it is refused', () => {
  const sense = Uint8Array.of(0x70, 0, 5);
  assert.deepEqual(decodeSense(encodeSense(sense)), sense);
  assert.equal(encodeSense(new Uint8Array(0)).length, 0);
  assert.throws(() => decodeSense(Uint8Array.of(0, 9, 1)), RemoteProtocolError);
});
