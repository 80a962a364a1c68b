import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RemoteProtocolError } from '../../../src/base/errors.ts';
import {
  type CommandFields,
  commandBytes,
  completionBytes,
  decodeCommand,
  decodeCompletion,
  encodeCommand,
  encodeCompletion,
} from '../../../src/wire/nvme/command.ts';
import {
  authOf,
  authWords,
  connectData,
  connectOf,
  connectWords,
  propertyOf,
  propertyWords,
} from '../../../src/wire/nvme/fabrics.ts';
import {
  identifyController,
  identifyIndependent,
  identifyNamespace,
  identifyNvm,
} from '../../../src/wire/nvme/identify.ts';
import {
  ascii,
  type Fields,
  type Layout,
  name,
  raw,
  structure,
  type Structure,
  u128,
  u16,
  u32,
  u64,
  u8,
} from '../../../src/wire/nvme/layout.ts';
import {
  anaGroup,
  anaHeader,
  discoveryEntry,
  discoveryHeader,
  errorEntry,
  firmwareLog,
  healthLog,
} from '../../../src/wire/nvme/logs.ts';
import {
  dataPduBytes,
  decodeData,
  decodePduHeader,
  decodeTerm,
  encodeData,
  encodePduHeader,
  encodeTerm,
  icReqPdu,
  icRespPdu,
  type PduHeader,
} from '../../../src/wire/nvme/pdu.ts';
import { keyPair, oneKey, registrantStatus, reservationReport } from '../../../src/wire/nvme/reservation.ts';

const n8 = fc.integer({ min: 0, max: 0xff });
const n16 = fc.integer({ min: 0, max: 0xffff });
const n32 = fc.integer({ min: 0, max: 0xffff_ffff });
const safe = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const bytes8 = fc.uint8Array({ minLength: 8, maxLength: 8 });
const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
const word = fc.stringMatching(/^[a-z0-9.:-]{0,20}$/);
const short = fc.stringMatching(/^[a-z0-9.]{0,8}$/);

function onlyTyped(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof RemoteProtocolError)) throw error;
  }
}

interface Kind {
  readonly name: string;
  readonly sizeBytes: number;
  readonly encoded: fc.Arbitrary<{ readonly value: unknown; readonly bytes: Uint8Array }>;
  readonly decode: (bytes: Uint8Array) => unknown;
}

function kind<T>(
  kindName: string,
  sizeBytes: number,
  values: fc.Arbitrary<T>,
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
): Kind {
  return { name: kindName, sizeBytes, encoded: values.map((value) => ({ value, bytes: encode(value) })), decode };
}

/** The fields by the names that they have in their layout; numbers small enough for the smallest unless said otherwise. */
function structured<T>(
  kindName: string,
  codec: Structure<T>,
  special: Partial<Record<keyof T, fc.Arbitrary<unknown>>>,
): Kind {
  const names = Object.keys(codec.decode(new Uint8Array(codec.sizeBytes)) as object) as (keyof T & string)[];
  const model = Object.fromEntries(names.map((field) => [field, special[field] ?? n8]));
  const values = fc.record(model, { noNullPrototype: true } as const) as unknown as fc.Arbitrary<T>;
  return kind(
    kindName,
    codec.sizeBytes,
    values,
    (value) => codec.encode(value),
    (bytes) => codec.decode(bytes),
  );
}

const header: PduHeader = { type: 0, flags: 0, hlen: 0, pdo: 0, plen: 0 };
const model = { opcode: n8, flags: n8, cid: n16, nsid: n32, sglAddress: safe, sglLengthBytes: n32, sglType: n8 };
const words = { cdw10: n32, cdw11: n32, cdw12: n32, cdw13: n32, cdw14: n32, cdw15: n32 };
const commandFields = fc.record({ ...model, ...words }, { noNullPrototype: true } as const);
const noCommand: CommandFields = {
  opcode: 0,
  flags: 0,
  cid: 0,
  nsid: 0,
  sglAddress: 0,
  sglLengthBytes: 0,
  sglType: 0,
  cdw10: 0,
  cdw11: 0,
  cdw12: 0,
  cdw13: 0,
  cdw14: 0,
  cdw15: 0,
};

const kinds: readonly Kind[] = [
  kind(
    'PDU header',
    8,
    fc.record({ type: n8, flags: n8, hlen: n8, pdo: n8, plen: n32 }, { noNullPrototype: true } as const),
    (value) => {
      const bytes = new Uint8Array(8);
      encodePduHeader(bytes, 0, value);
      return bytes;
    },
    (bytes) => {
      const into = { ...header };
      decodePduHeader(bytes, 0, into);
      return into;
    },
  ),
  kind(
    'data header',
    dataPduBytes,
    fc.record({ cid: n16, tag: n16, offset: n32, lengthBytes: n32 }, { noNullPrototype: true } as const),
    (value) => {
      const bytes = new Uint8Array(dataPduBytes);
      encodeData(bytes, 0, value);
      return bytes;
    },
    (bytes) => {
      const into = { cid: 0, tag: 0, offset: 0, lengthBytes: 0 };
      decodeData(bytes, 0, into);
      return into;
    },
  ),
  kind('command', commandBytes, commandFields, encodeCommand, (bytes) => {
    const into = { ...noCommand };
    decodeCommand(bytes, 0, into);
    return into;
  }),
  kind(
    'completion',
    completionBytes,
    fc.record({ dw0: n32, dw1: n32, sqHead: n16, cid: n16, status: fc.integer({ min: 0, max: 0x7fff }) }, {
      noNullPrototype: true,
    } as const),
    (value) => {
      const bytes = new Uint8Array(completionBytes);
      encodeCompletion(bytes, 0, value);
      return bytes;
    },
    (bytes) => decodeCompletion(bytes),
  ),
  structured('ICReq', icReqPdu, {}),
  structured('ICResp', icRespPdu, { maxDataBytes: n32 }),
  structured('Connect data', connectData, { hostId: bytes16, cntlid: n16, subsystemNqn: word, hostNqn: word }),
  structured('Identify Controller', identifyController, {
    serial: word,
    model: word,
    firmware: short,
    subsystemNqn: word,
  }),
  structured('Identify Namespace', identifyNamespace, { sizeBlocks: safe, capacityBytes: safe, nguid: bytes16 }),
  structured('Identify Namespace, independent', identifyIndependent, { anaGroup: n32 }),
  structured('Identify, NVM command set', identifyNvm, { deallocateBlocks: safe }),
  structured('error log', errorEntry, { count: safe, lba: safe, status: n16 }),
  structured('health log', healthLog, { unitsRead: safe, temperatureKelvin: n16 }),
  structured('firmware log', firmwareLog, { revision1: short }),
  structured('ANA header', anaHeader, { changeCount: safe, groups: n16 }),
  structured('ANA group', anaGroup, { changeCount: safe, group: n32 }),
  structured('discovery header', discoveryHeader, { generation: safe, records: safe }),
  structured('discovery entry', discoveryEntry, {
    service: word,
    subsystemNqn: word,
    address: word,
    transportSpecific: fc.constant(new Uint8Array(256)),
  }),
  structured('reservation keys', keyPair, { key: bytes8, other: bytes8 }),
  structured('reservation key', oneKey, { key: bytes8 }),
  structured('reservation report', reservationReport, { generation: n32, registrants: n16 }),
  structured('registrant', registrantStatus, { cntlid: n16, key: bytes8, hostId: bytes16 }),
];

for (const { name: kindName, sizeBytes, encoded, decode } of kinds) {
  test(`${kindName}: what was sent is what is received, in its bytes and not one more`, () => {
    fc.assert(
      fc.property(encoded, ({ value, bytes }) => {
        assert.equal(bytes.length, sizeBytes);
        assert.deepEqual(decode(bytes), value);
      }),
      { numRuns: 100 },
    );
  });

  test(`${kindName}: cut short anywhere, it is refused and not guessed`, () => {
    fc.assert(
      fc.property(encoded, fc.nat(), ({ bytes }, cut) => {
        assert.throws(() => decode(bytes.subarray(0, cut % sizeBytes)), RemoteProtocolError);
      }),
      { numRuns: 100 },
    );
  });

  test(`${kindName}: changed anywhere, it ends in fields or a RemoteProtocolError, nothing else`, () => {
    fc.assert(
      fc.property(encoded, fc.array(fc.tuple(fc.nat(), n8), { maxLength: 6 }), ({ bytes }, changes) => {
        const mutant = bytes.slice();
        for (const [at, value] of changes) mutant[at % sizeBytes] = value;
        onlyTyped(() => decode(mutant));
      }),
      { numRuns: 200 },
    );
  });
}

test('a termination tells why, and shows the header that was wrong, 128 bytes of it at most', () => {
  fc.assert(
    fc.property(n16, n32, fc.uint8Array({ maxLength: 300 }), (status, information, wrong) => {
      const bytes = encodeTerm(3, { status, information, header: wrong });
      assert.ok(bytes.length <= 152);
      assert.deepEqual(decodeTerm(bytes), { status, information, header: wrong.slice(0, 128) });
    }),
  );
});

test('the words of fabrics commands hold what was put in', () => {
  const connect = fc.record({ recordFormat: n16, qid: n16, sqSize: n16, cattr: n8, katoMs: n32 });
  fc.assert(
    fc.property(connect, (fields) => {
      assert.deepEqual({ ...connectOf({ ...noCommand, ...connectWords(fields) }) }, { ...fields });
    }),
  );
  fc.assert(
    fc.property(fc.boolean(), n32, safe, (is64Bit, offset, value) => {
      const fields = { is64Bit, offset, value };
      assert.deepEqual(propertyOf({ ...noCommand, ...propertyWords(fields) }), fields);
    }),
  );
  fc.assert(
    fc.property(n16, n8, n32, (protocolSpecific, protocol, lengthBytes) => {
      const fields = { protocolSpecific, protocol, lengthBytes };
      assert.deepEqual(authOf({ ...noCommand, ...authWords(fields) }), fields);
    }),
  );
});

test('fields of a layout lie where they are said to, and nowhere else', () => {
  const layout = {
    a: u8(0),
    b: u16(1),
    c: u32(3),
    d: u64(8),
    e: u128(16),
    f: ascii(32, 4),
    g: name(36, 8),
    h: raw(44, 2),
  } satisfies Layout;
  const fields: Fields<typeof layout> = {
    a: 1,
    b: 0x0203,
    c: 0x0405_0607,
    d: 8,
    e: 9,
    f: 'ab',
    g: 'cd',
    h: new Uint8Array([7, 8]),
  };
  const bytes = structure(48, layout).encode(fields);
  const wanted =
    '01030207060504000800000000000000090000000000000000000000000000006162202063640000000000000708' + '0000';
  assert.equal(Buffer.from(bytes).toString('hex'), wanted);
});
