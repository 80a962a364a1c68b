import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { MemoryCatalog, MemoryDevice } from '../nbd/memory-device.ts';
import {
  attach,
  codeOf,
  connectCommand,
  connectData,
  type Host,
  identifyOf,
  isFinal,
  logOf,
  openQueue,
  readOf,
  writeOf,
} from './host.ts';
import { entryOf, Initiator, type InitiatorOptions } from './initiator.ts';
import { serveNvme, type ServedNvme } from './serve.ts';

// What hosts must not send, and what they get for it. Every test has a connection beside it that notices nothing.

let served: ServedNvme;
let device: MemoryDevice;
let good: Initiator;
let host: Host;
const steady = Buffer.alloc(4096, 0x5a);

before(async () => {
  device = new MemoryDevice({ name: 'vol', sizeBytes: 8 * 1024 * 1024 });
  device.remembersCalls = false;
  served = await serveNvme(new MemoryCatalog(device));
  host = await attach(served.port);
  good = await openQueue(served.port, host);
  await good.well(writeOf(8192, steady));
});
after(() => served.close());

/** The well-behaved connection is served as before. */
async function besideIsWell(): Promise<void> {
  assert.ok((await good.well(readOf(8192, 8))).data.equals(steady), 'the connection beside reads its data');
}

/** Ends with this termination: fatal error status, and offset of the field that was wrong where one is. */
async function endsWith(initiator: Initiator, status: number, information?: number): Promise<void> {
  const term = await initiator.ended;
  assert.ok(term !== undefined, 'the target says why');
  assert.equal(term.status, status, `fatal error status, with ${JSON.stringify(term)}`);
  if (information !== undefined) assert.equal(term.information, information);
  await besideIsWell();
}

async function queueOf(options: InitiatorOptions = {}): Promise<Initiator> {
  const own = await attach(served.port, { hostId: 3 }, options);
  return openQueue(served.port, own, {}, options);
}

/** A PDU as given: nothing is computed. */
function rawPdu(
  type: number,
  flags: number,
  hlen: number,
  pdo: number,
  plen: number,
  lengthBytes = Math.max(8, plen),
): Buffer {
  const bytes = Buffer.alloc(Math.min(lengthBytes, 4096));
  bytes[0] = type;
  bytes[1] = flags;
  bytes[2] = hlen;
  bytes[3] = pdo;
  bytes.writeUInt32LE(plen, 4);
  return bytes;
}

const early: readonly (readonly [string, Buffer])[] = [
  ['a command', rawPdu(4, 0, 72, 0, 72)],
  ['data', rawPdu(6, 0, 24, 24, 32)],
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: corelet\r\n\r\n')],
  ['a PDU of no known type', rawPdu(0x77, 0, 24, 0, 24)],
];
for (const [name, bytes] of early) {
  test(`${name} before ICReq: a sequence error`, async () => {
    const initiator = await Initiator.dial(served.port);
    initiator.send(bytes);
    await endsWith(initiator, 2);
  });
}

test('a second ICReq: a sequence error', async () => {
  const initiator = await Initiator.open(served.port);
  initiator.send(initiator.icReq());
  await endsWith(initiator, 2, 0);
});

test('an ICReq of another format, an impossible alignment, an unknown digest', async () => {
  const cases = [
    [8, 1, 6, 8],
    [10, 32, 1, 10],
    [11, 4, 1, 11],
    [4, 129, 1, 4],
    [2, 127, 1, 2],
  ] as const;
  for (const [at, value, status, information] of cases) {
    const initiator = await Initiator.dial(served.port);
    const bytes = initiator.icReq();
    bytes[at] = value;
    initiator.send(bytes);
    await endsWith(initiator, status, information);
  }
});

const headers: readonly (readonly [string, Buffer, number])[] = [
  ['an unknown type', rawPdu(0x0a, 0, 24, 0, 24), 0],
  ['a type that only targets send', rawPdu(7, 0, 24, 0, 24), 0],
  ['a command with another header length', rawPdu(4, 0, 64, 0, 72), 2],
  ['data with another header length', rawPdu(6, 0, 72, 0, 72), 2],
  ['a command shorter than its header', rawPdu(4, 0, 72, 0, 71), 4],
  ['a PDU of no length', rawPdu(4, 0, 72, 0, 0), 4],
  ['a command whose data begins in its header', rawPdu(4, 0, 72, 68, 1024), 3],
  ['a command whose data begins nowhere aligned', rawPdu(4, 0, 72, 74, 1024), 3],
  ['a command whose data begins behind its end', rawPdu(4, 0, 72, 252, 200), 3],
  ['a header digest that was not agreed', rawPdu(4, 1, 72, 0, 76), 1],
  ['a data digest that was not agreed', rawPdu(4, 2, 72, 72, 1024), 1],
];
for (const [name, bytes, information] of headers) {
  test(`${name}: an invalid header, with the place of the field`, async () => {
    const queue = await queueOf();
    queue.send(bytes);
    await endsWith(queue, 1, information);
  });
}

test('an enormous length takes no memory: the capsule is over the limit', async () => {
  const queue = await queueOf();
  queue.send(rawPdu(4, 0, 72, 72, 0xffff_ffff, 72));
  await endsWith(queue, 5);
});

test('digests that were agreed and are not announced: an invalid header', async () => {
  const both = { headerDigest: true, dataDigest: true };
  const first = await queueOf(both);
  first.send(rawPdu(4, 0, 72, 0, 76));
  await endsWith(first, 1, 1);
  const second = await queueOf({ dataDigest: true });
  second.send(rawPdu(4, 0, 72, 72, 1024));
  await endsWith(second, 1, 1);
});

test('a wrong header digest: fatal', async () => {
  const queue = await queueOf({ headerDigest: true });
  const bytes = queue.commandPdu(readOf(0, 1), 99);
  bytes[72] = (bytes[72] as number) ^ 1;
  queue.send(bytes);
  await endsWith(queue, 3);
});

for (const inCapsule of [true, false]) {
  test(`a wrong data digest, data ${inCapsule ? 'in its capsule' : 'asked for'}: only that command fails, and may be tried again`, async () => {
    const queue = await queueOf({ dataDigest: true });
    const asked = writeOf(0, Buffer.alloc(4096, 1), inCapsule);
    const cid = queue.nextCid();
    const answer = queue.expect(asked, cid);
    const spoil = (bytes: Buffer): Buffer => {
      bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
      return bytes;
    };
    queue.onR2t = ({ header }) => {
      queue.send(spoil(queue.dataPdu(cid, header.readUInt16LE(10), 0, asked.data as Buffer, true)));
    };
    queue.send(inCapsule ? spoil(queue.commandPdu(asked, cid)) : queue.commandPdu(asked, cid));
    const completion = await answer;
    assert.deepEqual([codeOf(completion), isFinal(completion)], ['22', false]);
    assert.equal(device.bytes[0], 0, 'nothing was written');
    await queue.well(readOf(0, 8));
    await besideIsWell();
  });
}

/** Sends what `change` makes of the one piece of data that the target asked for. */
async function wrongData(change: (tag: number, cid: number, queue: Initiator) => Buffer): Promise<Initiator> {
  const queue = await queueOf();
  queue.onR2t = ({ header }) => queue.send(change(header.readUInt16LE(10), header.readUInt16LE(8), queue));
  queue.command(writeOf(0, Buffer.alloc(32_768, 1), false)).catch(() => undefined);
  return queue;
}
const piece = Buffer.alloc(4096, 1);

const wrongs: readonly (readonly [string, number, (tag: number, cid: number, queue: Initiator) => Buffer])[] = [
  ['a tag that nobody gave', 2, (tag, cid, queue) => queue.dataPdu(cid, tag + 1, 0, piece, false)],
  ['tag 0', 2, (_tag, cid, queue) => queue.dataPdu(cid, 0, 0, piece, false)],
  ['tag FFFFh', 2, (_tag, cid, queue) => queue.dataPdu(cid, 0xffff, 0, piece, false)],
  ['the tag of another command', 2, (tag, cid, queue) => queue.dataPdu(cid + 1, tag, 0, piece, false)],
  ['a gap', 4, (tag, cid, queue) => queue.dataPdu(cid, tag, 4096, piece, false)],
  ['more than was asked for', 4, (tag, cid, queue) => queue.dataPdu(cid, tag, 0, Buffer.alloc(36_864), false)],
  ['an offset that wraps', 4, (tag, cid, queue) => queue.dataPdu(cid, tag, 0xffff_f000, piece, false)],
  ['an end before its end', 4, (tag, cid, queue) => queue.dataPdu(cid, tag, 0, piece, true)],
  [
    'a length that is not the PDU’s',
    1,
    (tag, cid, queue) => {
      const bytes = queue.dataPdu(cid, tag, 0, piece, false);
      bytes.writeUInt32LE(8192, 16);
      return bytes;
    },
  ],
];
for (const [name, status, change] of wrongs) {
  test(`data with ${name}: fatal error ${status}`, async () => {
    await endsWith(await wrongData(change), status);
    assert.equal(device.bytes[0], 0, 'nothing was written');
  });
}

test('the same data twice: the second time its tag is nobody’s', async () => {
  const queue = await queueOf();
  queue.onR2t = ({ header }) => {
    const bytes = queue.dataPdu(header.readUInt16LE(8), header.readUInt16LE(10), 0, Buffer.alloc(4096), true);
    queue.send(bytes, bytes);
  };
  queue.command(writeOf(0, Buffer.alloc(4096), false)).catch(() => undefined);
  await endsWith(queue, 2);
});

test('data in a capsule over the limit: fatal; an SGL over the largest transfer: an invalid field', async () => {
  const queue = await queueOf();
  assert.equal(codeOf(await queue.command({ ...writeOf(0, Buffer.alloc(512)), cdw12: 4095, inCapsule: false })), '2');
  queue.send(queue.commandPdu(writeOf(0, Buffer.alloc(16_384 + 512), true), 500));
  await endsWith(queue, 5);
});

test('lengths that do not fit the command are refused, and the data is skipped', async () => {
  const queue = await queueOf();
  const data = Buffer.alloc(4096);
  const cases = [
    { ...writeOf(0, data), cdw12: 3 },
    { ...writeOf(0, data), sglLengthBytes: 512 },
    { ...writeOf(0, data, false), sglLengthBytes: 8192 },
    { ...readOf(0, 8), roomBytes: 4095 },
    { opcode: 0, nsid: 1, data },
  ];
  for (const asked of cases) assert.equal(codeOf(await queue.command(asked)), 'f');
  await queue.well(readOf(0, 8));
  await besideIsWell();
});

test('an SGL of a kind that there is not: unsupported, with its place', async () => {
  const queue = await queueOf();
  queue.send(queue.commandPdu({ ...readOf(0, 8), sglType: 0x40 }, 500));
  await endsWith(queue, 6, 47);
});

test('PRPs in place of an SGL: an invalid field', async () => {
  const queue = await queueOf();
  const entry = entryOf(readOf(0, 8), 500);
  entry[1] = 0;
  const answer = queue.expect(readOf(0, 8), 500);
  queue.send(queue.pdu(4, entry));
  assert.equal(codeOf(await answer), '2');
});

test('more commands than the queue holds: cut off', async () => {
  const own = await attach(served.port, { hostId: 4 });
  const queue = await openQueue(served.port, own, { sqSize: 3 });
  queue.onR2t = () => undefined; // none of them ever ends
  const data = Buffer.alloc(32_768);
  for (let i = 0; i < 5; i++) queue.send(queue.commandPdu(writeOf(0, data, false), 100 + i));
  await endsWith(queue, 2);
});

test('one command id for two commands: cut off', async () => {
  const queue = await queueOf();
  queue.onR2t = () => undefined;
  for (let i = 0; i < 2; i++) queue.send(queue.commandPdu(writeOf(0, Buffer.alloc(32_768), false), 100));
  await endsWith(queue, 2);
});

test('anything but Connect on a connection that is no queue: an invalid opcode, for good', async () => {
  const initiator = await Initiator.open(served.port);
  for (const asked of [readOf(0, 8), identifyOf(1), { opcode: 0x7f, nsid: 4, cdw11: 0 }]) {
    const answer = await initiator.command(asked);
    assert.deepEqual([codeOf(answer), isFinal(answer)], ['1', true]);
  }
  await initiator.well(connectCommand({ hostId: 5 }));
});

test('queues that can not be: an id in use, before the controller is enabled, of another host, of no controller', async () => {
  const own = await attach(served.port, { hostId: 6 });
  await openQueue(served.port, own, { hostId: 6 });
  const codeFor = async (asked: Parameters<typeof connectCommand>[0]): Promise<string> =>
    codeOf(await (await Initiator.open(served.port)).command(connectCommand({ hostId: 6, ...asked })));
  assert.equal(await codeFor({ qid: 1, cntlid: own.cntlid }), 'c', 'in use');
  const fresh = await Initiator.open(served.port);
  const { dw0 } = await fresh.well(connectCommand({ hostId: 6 }));
  assert.equal(await codeFor({ qid: 1, cntlid: dw0 }), 'c', 'not enabled');
  assert.equal(await codeFor({ qid: 2, cntlid: own.cntlid, hostId: 7 }), '182', 'another host');
  assert.equal(await codeFor({ qid: 2, cntlid: own.cntlid, hostNqn: 'nqn.2026-01.test:another' }), '182');
  assert.equal(await codeFor({ qid: 2, cntlid: 60_000 }), '182', 'no controller');
  assert.equal(await codeFor({ qid: 33, cntlid: own.cntlid }), '182', 'more queues than granted');
  await besideIsWell();
});

test('a Connect that can not be: its format, its sizes, its names', async () => {
  const nameWithoutEnd = connectData({});
  nameWithoutEnd.fill(0x61, 256, 512);
  const notUtf8 = connectData({});
  notUtf8.fill(0xff, 512, 520);
  const cases = [
    ['180', { recordFormat: 1 }],
    ['182', { sqSize: 0 }],
    ['182', { sqSize: 128 }],
    ['182', { cntlid: 1 }],
    ['182', { hostNqn: 'nqn' }],
    ['182', { hostNqn: '' }],
    ['182', { hostNqn: `nqn.2026-01.test:${'x'.repeat(230)}` }],
    ['182', { subsystemNqn: 'nqn.2026-01.io.corelet:' }],
    ['182', { subsystemNqn: 'nqn.2026-01.io.corelet:../vol' }],
    ['182', { data: nameWithoutEnd }],
    ['182', { data: notUtf8 }],
  ] as const;
  for (const [code, asked] of cases) {
    const answer = await (await Initiator.open(served.port)).command(connectCommand(asked));
    assert.deepEqual([codeOf(answer), isFinal(answer)], [code, true], JSON.stringify(asked));
  }
  await besideIsWell();
});

test('a log from where it can not be read: an invalid field; one that is not there: an invalid page', async () => {
  for (const offset of [2, 3, 516, 2 ** 32 - 4]) {
    const answer = await host.admin.command(logOf(2, 64, offset));
    assert.deepEqual([codeOf(answer), isFinal(answer)], ['2', true], `offset ${offset}`);
  }
  assert.equal(codeOf(await host.admin.command(logOf(0x70, 1024))), '109');
  assert.equal(codeOf(await host.admin.command(logOf(2, 2 * 1024 * 1024))), '2', 'more than the largest transfer');
});

test('more controllers than there may be: try again later; none is made for a host that gave up meanwhile', async () => {
  const small = await serveNvme(new MemoryCatalog(device), { limits: { controllersMax: 2 } });
  const hosts = [await attach(small.port), await attach(small.port)];
  const third = await (await Initiator.open(small.port)).command(connectCommand());
  assert.deepEqual([codeOf(third), isFinal(third)], ['181', false]);
  hosts[0]?.admin.close();
  await hosts[0]?.admin.ended;
  await attach(small.port);
  await small.close();
});
