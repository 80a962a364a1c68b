import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { MemoryCatalog, MemoryDevice } from '../nbd/memory-device.ts';
import {
  attach,
  codeOf,
  compareOf,
  connectCommand,
  discoveryNqn,
  enabled,
  identifyOf,
  isFinal,
  logOf,
  openQueue,
  propertyGet,
  propertySet,
  readOf,
  writeOf,
} from './host.ts';
import { Initiator, type InitiatorOptions } from './initiator.ts';
import { cluster, serveNvme, type ServedNvme } from './serve.ts';

const mebi = 1024 * 1024;
const sizeBytes = 16 * mebi;
const opened: ServedNvme[] = [];
after(async () => {
  for (const served of opened) await served.close();
});

async function served(slot = 0): Promise<{ device: MemoryDevice; served: ServedNvme; port: number }> {
  const device = new MemoryDevice({ name: 'vol', sizeBytes });
  const one = await serveNvme(new MemoryCatalog(device), { slot });
  opened.push(one);
  return { device, served: one, port: one.port };
}

function pattern(lengthBytes: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let i = 0; i < lengthBytes; i++) bytes[i] = (i * 31 + (i >>> 9) * 7 + seed) & 0xff;
  return bytes;
}

test('a host that connects as Linux does gets a controller that is ready, and queues', async () => {
  const { port, served: one } = await served();
  const admin = await Initiator.open(port);
  const { dw0 } = await admin.well(connectCommand({ katoMs: 5000 }));
  const capabilities = await admin.well(propertyGet(0, true));
  assert.equal(capabilities.dw0 & 0xffff, 127, 'MQES');
  assert.equal((capabilities.dw0 >>> 16) & 1, 1, 'CQR');
  assert.equal(capabilities.dw1 & 0xfff, 0x20, 'NVM command set, doorbells of 4 bytes');
  assert.equal((await admin.well(propertyGet(0x1c))).dw0, 0, 'not ready before it is enabled');
  await admin.well(propertySet(0x14, enabled));
  assert.equal((await admin.well(propertyGet(0x1c))).dw0, 1, 'ready');
  assert.equal((await admin.well(propertyGet(8))).dw0, 0x2_0000, 'version 2.0');
  const queues = await admin.well({ opcode: 0x09, cdw10: 7, cdw11: 0x0003_0003 });
  assert.equal(queues.dw0, 0x0003_0003, 'four queues asked for and granted');
  const queue = await openQueue(port, { cntlid: dw0 & 0xffff });
  assert.equal((await queue.command({ opcode: 0, nsid: 1 })).status, 0, 'flush');
  const [host, ...others] = one.target.hosts();
  assert.deepEqual(others, []);
  assert.deepEqual([host?.volume, host?.ioQueues, host?.katoMs, host?.cntlid], ['vol', 1, 5000, dw0 & 0xffff]);
});

test('what Identify says lets Linux use a volume, through any Corelet alike', async () => {
  const [a, b] = await Promise.all([served(0), served(3)]);
  const hosts = await Promise.all([attach(a.port), attach(b.port)]);
  assert.notEqual(hosts[0].cntlid, hosts[1].cntlid, 'two Corelets never give one id');
  const [first, second] = await Promise.all(hosts.map(async ({ admin }) => (await admin.well(identifyOf(1))).data));
  assert.ok(first !== undefined && second !== undefined);
  assert.equal(first.readUInt16LE(78), hosts[0].cntlid, 'the id that Connect gave');
  assert.equal((first[76] as number) & 0x0a, 0x0a, 'several controllers, ANA');
  assert.ok(first.readUInt16LE(320) > 0, 'keep alive');
  assert.equal(first.readUInt32LE(1792), (64 + 16_384) / 16, 'in-capsule data');
  assert.equal(first.readUInt32LE(1796), 1);
  assert.equal(first.readUInt16LE(1800), 0, 'ICDOFF');
  assert.notEqual(first.readUInt32LE(536) & 3, 0, 'SGLs');
  assert.equal(first.readUInt32LE(540), first.readUInt32LE(516), 'MNAN is no more than NN');
  assert.equal(first.subarray(768, 1024).toString('latin1').replaceAll('\0', ''), 'nqn.2026-01.io.corelet:vol');
  const namespace = (await hosts[0].admin.well(identifyOf(0, 1))).data;
  assert.equal(Number(namespace.readBigUInt64LE(0)), sizeBytes / 512);
  assert.equal((namespace[30] as number) & 1, 1, 'shared');
  assert.equal(namespace[130], 9, 'blocks of 512 bytes');
  assert.equal(namespace.readUInt16LE(36), 7, 'NAWUPF: 4 KiB');
  const descriptors = (await hosts[0].admin.well(identifyOf(3, 1))).data;
  assert.deepEqual([descriptors[0], descriptors[1]], [2, 16], 'NGUID first');
  assert.ok(descriptors.subarray(4, 20).equals(namespace.subarray(104, 120)), 'the same everywhere');
  assert.equal(descriptors.subarray(4, 8).toString('hex'), cluster.slice(0, 8), 'from the cluster');
  assert.deepEqual([descriptors[20], descriptors[21]], [3, 16], 'then the UUID');
  const list = (await hosts[0].admin.well(identifyOf(2))).data;
  assert.deepEqual([list.readUInt32LE(0), list.readUInt32LE(4)], [1, 0]);
  const independent = (await hosts[0].admin.well(identifyOf(8, 1))).data;
  assert.equal((independent[14] as number) & 1, 1, 'ready: else Linux hides it');
  const unknown = await hosts[0].admin.command(identifyOf(0x99, 1));
  assert.deepEqual([codeOf(unknown), isFinal(unknown)], ['2', true]);
});

const ways: readonly (readonly [string, InitiatorOptions])[] = [
  ['plain', {}],
  ['with a header digest', { headerDigest: true }],
  ['with a data digest', { dataDigest: true }],
  ['with both digests and data at multiples of 128 bytes', { headerDigest: true, dataDigest: true, hpda: 31 }],
];
for (const [name, options] of ways) {
  test(`${name}: what was written is read, from a block to the largest transfer`, async () => {
    const { port, device } = await served();
    const host = await attach(port, {}, options);
    const queue = await openQueue(port, host, {}, options);
    const sizes = [512, 4096, 16_384, 16_896, 131_072, mebi];
    for (const [i, size] of sizes.entries()) {
      const data = pattern(size, i);
      await queue.well(writeOf(i * 2048, data));
      assert.ok(
        device.bytes.subarray(i * mebi, i * mebi + size).every((byte, at) => byte === data[at]),
        `${size} bytes`,
      );
      const read = await queue.well(readOf(i * 2048, size / 512));
      assert.ok(read.data.equals(data), `${size} bytes read back`);
      const last = queue.seen.findLast(({ type }) => type === 7);
      assert.equal((last?.pdo ?? 1) % (4 * ((options.hpda ?? 0) + 1)), 0, 'data begins where the host wants it');
    }
  });
}

test('data that comes in several pieces, and Connect data that is asked for, arrive whole', async () => {
  const { port, device } = await served();
  const admin = await Initiator.open(port);
  const { dw0 } = await admin.well(connectCommand({ inCapsule: false }));
  await admin.well(propertySet(0x14, enabled));
  const queue = await openQueue(port, { cntlid: dw0 & 0xffff });
  const data = pattern(65_536);
  queue.onR2t = (pdu, send) => {
    assert.equal(pdu.header.readUInt32LE(12), 0, 'from the beginning');
    assert.equal(pdu.header.readUInt32LE(16), data.length, 'all in one request');
    for (let at = 0; at < data.length; at += 4096) send(data.subarray(at, at + 4096), at, at + 4096 === data.length);
  };
  await queue.well(writeOf(0, data, false));
  assert.ok(device.bytes.subarray(0, data.length).every((byte, at) => byte === data[at]));
});

test('data that comes in crumbs arrives whole, with its digest', async () => {
  const { port, device } = await served();
  const options = { headerDigest: true, dataDigest: true };
  const host = await attach(port, {}, options);
  const queue = await openQueue(port, host, {}, options);
  const asked = writeOf(8, pattern(8192, 3));
  const answer = queue.expect(asked, 700);
  const pdu = queue.commandPdu(asked, 700);
  for (let at = 0; at < pdu.length; at += 97) {
    queue.send(pdu.subarray(at, at + 97));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal((await answer).status, 0);
  assert.ok(device.bytes.subarray(4096, 12_288).every((byte, at) => byte === asked.data?.[at]));
});

test('many commands at once are all answered, each with its own data', async () => {
  const { port } = await served();
  const queue = await openQueue(port, await attach(port));
  const blocks = Array.from({ length: 100 }, (_, i) => pattern(8192, i));
  await Promise.all(blocks.map((data, i) => queue.well(writeOf(i * 16, data))));
  const read = await Promise.all(blocks.map((_, i) => queue.well(readOf(i * 16, 16))));
  for (const [i, { data }] of read.entries()) assert.ok(data.equals(blocks[i] as Buffer), `block ${i}`);
});

test('without flow control a read that succeeds needs no response of its own', async () => {
  const { port } = await served();
  const host = await attach(port, { cattr: 4 });
  const queue = await Initiator.open(port);
  const connected = await queue.well(connectCommand({ qid: 1, cntlid: host.cntlid, cattr: 4 }));
  assert.equal(connected.sqHead, 0xffff);
  await queue.well(readOf(0, 8));
  assert.equal(queue.seen.at(-1)?.flags, 4 | 8, 'SUCCESS, with LAST');
});

test('zeroes, deallocation and Compare do what they say', async () => {
  const { port, device } = await served();
  const queue = await openQueue(port, await attach(port));
  const data = pattern(65_536);
  await queue.well(writeOf(0, data));
  await queue.well({ opcode: 0x08, nsid: 1, cdw10: 8, cdw12: 7 });
  assert.ok(
    device.bytes.subarray(4096, 8192).every((byte) => byte === 0),
    'zeroed',
  );
  assert.equal(device.bytes[8192], data[8192], 'and no more');
  const ranges = Buffer.alloc(4096); // as Linux sends them: a page, whatever is in it
  ranges.writeUInt32LE(8, 4);
  ranges.writeBigUInt64LE(16n, 8);
  ranges.writeUInt32LE(8, 20);
  ranges.writeBigUInt64LE(32n, 24);
  await queue.well({ opcode: 0x09, nsid: 1, cdw10: 1, cdw11: 4, data: ranges });
  for (const at of [8192, 16_384])
    assert.ok(
      device.bytes.subarray(at, at + 4096).every((byte) => byte === 0),
      `${at}`,
    );
  assert.equal(device.bytes[12_288], data[12_288]);
  await queue.well(compareOf(24, data.subarray(12_288, 16_384)));
  assert.equal(codeOf(await queue.command(compareOf(24, data.subarray(0, 4096)))), '285');
  const outside = Buffer.alloc(16);
  outside.writeUInt32LE(8, 4);
  outside.writeBigUInt64LE(BigInt(sizeBytes / 512), 8);
  assert.equal(codeOf(await queue.command({ opcode: 0x09, nsid: 1, cdw10: 0, cdw11: 4, data: outside })), '80');
});

test('deallocations that ask for much are carried out a few at a time, and all of them', async () => {
  const { port, device } = await served();
  const queue = await openQueue(port, await attach(port));
  let running = 0;
  let most = 0;
  device.gate = async () => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
  };
  const range = Buffer.alloc(4096);
  range.writeUInt32LE(8, 4);
  const asked = { opcode: 0x09, nsid: 1, cdw10: 0, cdw11: 4, data: range };
  await Promise.all(Array.from({ length: 100 }, () => queue.well(asked)));
  assert.ok(most <= 8, `${most} at once`);
  assert.equal(device.calls.filter(({ kind }) => kind === 'trim').length, 100);
});

test('I/O beyond the end, of another namespace, over the largest transfer, is refused for good', async () => {
  const { port } = await served();
  const queue = await openQueue(port, await attach(port));
  const cases: readonly (readonly [string, ReturnType<typeof readOf>])[] = [
    ['80', readOf(sizeBytes / 512, 1)],
    ['80', readOf(sizeBytes / 512 - 1, 2)],
    ['80', readOf(2 ** 52, 1)],
    ['80', { ...readOf(0, 1), cdw10: 0xffff_ffff, cdw11: 0xffff_ffff }],
    ['80', writeOf(sizeBytes / 512, pattern(512))],
    ['b', { ...readOf(0, 1), nsid: 2 }],
    ['b', { ...readOf(0, 1), nsid: 0 }],
    ['b', { ...readOf(0, 1), nsid: 0xffff_ffff }],
    ['2', readOf(0, 4096)],
    ['1', { opcode: 0x99, nsid: 1 }],
  ];
  for (const [code, asked] of cases) {
    const answer = await queue.command(asked);
    assert.deepEqual([codeOf(answer), isFinal(answer)], [code, true]);
  }
});

test('logs are told in the pieces that are asked for', async () => {
  const { port } = await served();
  const { admin } = await attach(port);
  const ana = (await admin.well(logOf(0x0c, 52))).data;
  assert.equal(ana.readUInt16LE(8), 1, 'one group');
  assert.equal(ana.readUInt32LE(16), 1, 'group 1');
  assert.equal(ana.readUInt32LE(20), 1, 'one namespace');
  assert.equal((ana[32] as number) & 0xf, 1, 'optimized');
  assert.equal(ana.readUInt32LE(48), 1, 'namespace 1');
  const health = (await admin.well(logOf(2, 512))).data;
  assert.equal(health[3], 100, 'spare');
  assert.equal((await admin.well(logOf(3, 512))).data[0], 1, 'firmware slot');
  assert.equal((await admin.well(logOf(5, 4096))).data.readUInt32LE(1024 + 4) & 1, 1, 'Write is there');
  assert.equal((await admin.well(logOf(4, 4096))).data.readUInt32LE(0), 0, 'nothing changed');
  await admin.command(identifyOf(0x99));
  const errors = (await admin.well(logOf(1, 64))).data;
  assert.equal(Number(errors.readBigUInt64LE(0)), 1, 'the failure is remembered');
  assert.equal((errors.readUInt16LE(12) >>> 1) & 0x7ff, 2);
  const rest = (await admin.well(logOf(0x0c, 4, 48))).data;
  assert.equal(rest.readUInt32LE(0), 1, 'from an offset');
});

test('discovery tells every volume through every Corelet, with a generation that holds while nothing changes', async () => {
  const { served: one, port } = await served();
  const { admin } = await attach(one.discoveryPort, { subsystemNqn: discoveryNqn });
  const head = (await admin.well(logOf(0x70, 1024))).data;
  const whole = (await admin.well(logOf(0x70, 3072))).data;
  assert.ok(head.subarray(0, 8).equals(whole.subarray(0, 8)), 'the same generation');
  assert.equal(Number(whole.readBigUInt64LE(8)), 2);
  const entry = whole.subarray(2048);
  assert.deepEqual([entry[0], entry[1], entry[2]], [3, 1, 2], 'TCP, IPv4, a storage subsystem');
  const text = (at: number, size: number): string =>
    entry
      .subarray(at, at + size)
      .toString('latin1')
      .replace(/[ \0]*$/, '');
  assert.deepEqual(
    [text(32, 32), text(256, 256), text(512, 256)],
    [String(port), 'nqn.2026-01.io.corelet:vol', '127.0.0.1'],
  );
  const refused = await admin.command(identifyOf(0, 1));
  assert.equal(codeOf(refused), '2', 'no namespaces there');
  const { admin: elsewhere } = await attach(port, { subsystemNqn: discoveryNqn });
  assert.equal((await elsewhere.well(identifyOf(1))).data[111], 2, 'discovery is answered on the volumes’ port too');
});

test('a feature is told as it was set, and one that is not there is refused', async () => {
  const { port } = await served();
  const { admin } = await attach(port, { hostId: 9 });
  const get = (feature: number, roomBytes = 0) => admin.command({ opcode: 0x0a, cdw10: feature, roomBytes });
  assert.equal((await get(7)).dw0, 0x1f_001f);
  await admin.well({ opcode: 0x09, cdw10: 0x0b, cdw11: 0x900 });
  assert.equal((await get(0x0b)).dw0, 0x900);
  await admin.well({ opcode: 0x09, cdw10: 0x0f, cdw11: 30_000 });
  assert.equal((await get(0x0f)).dw0, 30_000);
  const hostId = await get(0x81, 16);
  assert.ok(hostId.data.every((byte) => byte === 9) && hostId.data.length === 16);
  assert.equal(codeOf(await get(0x7a)), '2');
  assert.equal(codeOf(await admin.command({ opcode: 0x09, cdw10: 0x8000_000b })), '10d');
  assert.equal(codeOf(await admin.command({ opcode: 0x80, nsid: 1 })), '1', 'Format is refused');
});
