import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RemoteProtocolError } from '../../../src/base/errors.ts';
import { decodeCopyList } from '../../../src/wire/scsi/copy.ts';
import { decodeLun } from '../../../src/wire/scsi/lun.ts';
import { decodeModePages } from '../../../src/wire/scsi/mode.ts';
import { decodeReserveOut, encodeReserveOut } from '../../../src/wire/scsi/persistent-out.ts';
import { decodeSense, encodeDescriptorSense, encodeFixedSense, type Sense } from '../../../src/wire/scsi/sense.ts';
import { decodeUnmap } from '../../../src/wire/scsi/unmap.ts';

const plain = { noNullPrototype: true } as const;
const field = fc.record(
  {
    inCdb: fc.boolean(),
    byte: fc.integer({ min: 0, max: 0xffff }),
    bit: fc.option(fc.integer({ min: 0, max: 7 }), { nil: undefined }),
  },
  plain,
);
const sense = (informationMax: number): fc.Arbitrary<Sense> =>
  fc.record(
    {
      key: fc.integer({ min: 0, max: 15 }),
      code: fc.integer({ min: 0, max: 0xffff }),
      information: fc.option(fc.integer({ min: 0, max: informationMax }), { nil: undefined }),
      field: fc.option(field, { nil: undefined }),
    },
    plain,
  );

test('sense data comes back as it was, in either format', () => {
  fc.assert(fc.property(sense(0xffff_ffff), (it) => assert.deepEqual(decodeSense(encodeFixedSense(it)), it)));
  fc.assert(
    fc.property(sense(Number.MAX_SAFE_INTEGER), (it) => assert.deepEqual(decodeSense(encodeDescriptorSense(it)), it)),
  );
});

test('what fixed format has no room for is left out, not cut', () => {
  const it: Sense = { key: 14, code: 0x1d00, information: 2 ** 33, field: undefined };
  assert.equal(decodeSense(encodeFixedSense(it)).information, undefined);
});

test('PERSISTENT RESERVE OUT parameters come back as they were', () => {
  const hex = fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('hex'));
  const flags = { names: fc.boolean(), allTargetPorts: fc.boolean(), persists: fc.boolean() };
  const fields = fc.record({ key: hex, actionKey: hex, ...flags }, plain);
  fc.assert(fc.property(fields, (it) => assert.deepEqual(decodeReserveOut(encodeReserveOut(it)), it)));
});

test('only single-level LUNs in peripheral or flat addressing name anything', () => {
  assert.equal(decodeLun(Uint8Array.of(0, 7, 0, 0, 0, 0, 0, 0)), 7);
  assert.equal(decodeLun(Uint8Array.of(0x41, 2, 0, 0, 0, 0, 0, 0)), 258);
  for (const bytes of [
    [0xc1, 1, 0, 0, 0, 0, 0, 0],
    [0x80, 1, 0, 0, 0, 0, 0, 0],
    [0, 1, 0, 2, 0, 0, 0, 0],
    [0, 1, 0, 0, 0, 0, 0, 1],
    [1, 0, 0, 0, 0, 0, 0, 0],
  ])
    assert.equal(decodeLun(Uint8Array.from(bytes)), undefined);
});

test('whatever a host sends as a list is read or refused, never anything else', () => {
  const decoders: ((bytes: Uint8Array) => unknown)[] = [
    (bytes) => decodeUnmap(bytes, 256),
    decodeCopyList,
    decodeSense,
    (bytes) => decodeModePages(bytes, 6),
    (bytes) => decodeModePages(bytes, 10),
  ];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.nat({ max: decoders.length - 1 }), (bytes, which) => {
      try {
        decoders[which]?.(bytes);
      } catch (error) {
        assert.ok(error instanceof RemoteProtocolError);
      }
    }),
    { numRuns: 20_000 },
  );
});
