import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandRows } from '../../../src/targets/scsi/table.ts';
import { cdb, Initiator, mebi, serverOver, u16, u32 } from './initiator.ts';
import { MemoryVolume } from './memory-volume.ts';

const invalidField = [5, 0x2400];
const other = 'iqn.2026-01.test:b';

async function setUp() {
  const volume = new MemoryVolume('v', 4 * mebi);
  const server = serverOver([volume]);
  return { volume, server, host: await Initiator.ready(server) };
}

const inquiry = (page: number, allocation = 255) => [0x12, 1, page, ...u16(allocation), 0];

test('a new host hears once that the unit was reset; INQUIRY, REPORT LUNS and REQUEST SENSE don’t take that from it', async () => {
  const { server } = await setUp();
  const host = await Initiator.login(server);
  await host.good([0x12, 0, 0, 0, 96, 0]);
  await host.good([0xa0, 0, 0, 0, 0, 0, ...u32(64), 0, 0]);
  assert.deepEqual(await host.bad([0, 0, 0, 0, 0, 0]), [6, 0x2900]);
  await host.good([0, 0, 0, 0, 0, 0]);
  const second = await Initiator.login(server, other);
  assert.equal((await second.good([0x03, 0, 0, 0, 252, 0]))[12], 0x29);
  await second.good([0, 0, 0, 0, 0, 0]);
});

test('a LUN that isn’t there says so; what must answer there, answers', async () => {
  const { host } = await setUp();
  const absent = await host.run(cdb.read10(0, 1), undefined, 3);
  assert.deepEqual([absent.sense?.key, absent.sense?.code], [5, 0x2500]);
  assert.equal((await host.run([0x12, 0, 0, 0, 96, 0], undefined, 3)).data[0], 0x7f);
  assert.equal((await host.run([0x03, 0, 0, 0, 18, 0], undefined, 3)).data[12], 0x25);
  const luns = await host.run([0xa0, 0, 0, 0, 0, 0, ...u32(64), 0, 0], undefined, 3);
  assert.deepEqual([...luns.data], [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.ok(!host.nexus.hasLun(Uint8Array.of(0, 3, 0, 0, 0, 0, 0, 0)));
});

test('a volume has one name through every Corelet, and its ports have different ones', async () => {
  const volume = new MemoryVolume('v', mebi);
  const one = await Initiator.ready(serverOver([volume], 0));
  const two = await Initiator.ready(serverOver([volume], 1));
  const [a, b] = [await one.good(inquiry(0x83)), await two.good(inquiry(0x83))];
  assert.equal((a[8] as number) >>> 4, 6, 'NAA 6');
  assert.deepEqual(a.subarray(4, 24), b.subarray(4, 24));
  assert.notDeepEqual(a, b);
  const unlike = await Initiator.ready(serverOver([new MemoryVolume('v', mebi)], 0));
  assert.notDeepEqual((await unlike.good(inquiry(0x83))).subarray(4, 24), a.subarray(4, 24));
});

test('every page that is listed can be read, with its length, and is cut where the host wants', async () => {
  const { host } = await setUp();
  const listed = (await host.good(inquiry(0))).subarray(4);
  assert.deepEqual(
    [...listed],
    [...listed].sort((a, b) => a - b),
  );
  for (const page of listed) {
    const bytes = await host.good(inquiry(page));
    assert.equal(bytes[1], page);
    assert.equal(bytes.length, 4 + Buffer.from(bytes).readUInt16BE(2));
    assert.equal((await host.good(inquiry(page, 3))).length, 3);
  }
  assert.deepEqual(await host.bad(inquiry(0xb7)), invalidField);
  assert.deepEqual(await host.bad([0x12, 0, 0x83, 0, 255, 0]), invalidField);
});

test('capacity: 512-byte blocks in 4 KiB that are never torn, thin, zeros where nothing is', async () => {
  const { host } = await setUp();
  assert.deepEqual([...(await host.good([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]))], [...u32(8191), ...u32(512)]);
  const long = await host.good([0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, ...u32(32), 0, 0]);
  assert.deepEqual([...long.subarray(4, 16)], [...u32(8191), ...u32(512), 0, 3, 0xc0, 0]);
  const limits = Buffer.from(await host.good(inquiry(0xb0)));
  assert.equal(limits[5], 8, 'compare and write: one 4 KiB block');
  assert.deepEqual([limits.readUInt32BE(48), limits.readUInt32BE(52)], [8, 8], 'atomic alignment and granularity');
});

test('what REPORT SUPPORTED OPERATION CODES tells is what there is: each is known, each asked for alone has the same length', async () => {
  const { host } = await setUp();
  const all = Buffer.from(await host.good([0xa3, 0x0c, 0x80, 0, 0, 0, ...u32(4096), 0, 0]));
  assert.equal(all.readUInt32BE(0), all.length - 4);
  assert.equal((all.length - 4) / 20, commandRows.length);
  for (let at = 4; at < all.length; at += 20) {
    const [opcode, action, hasAction] = [all[at] as number, all.readUInt16BE(at + 2), (all[at + 5] as number) & 1];
    const ask = (option: number) => [0xa3, 0x0c, option, opcode, ...u16(action), ...u32(512), 0, 0];
    const one = Buffer.from(await host.good(ask(hasAction === 1 ? 2 : 1)));
    assert.equal(one[1], 3);
    assert.equal(one.readUInt16BE(2), all.readUInt16BE(at + 6));
    assert.deepEqual(one, Buffer.from(await host.good(ask(3))));
    assert.equal(one[4], opcode);
    assert.deepEqual(await host.bad(ask(hasAction === 1 ? 1 : 2)), invalidField);
  }
  const unknown = await host.good([0xa3, 0x0c, 1, 0xc0, 0, 0, ...u32(512), 0, 0]);
  assert.equal(unknown[1], 1);
  assert.deepEqual(await host.bad([0xc0, 0, 0, 0, 0, 0]), [5, 0x2000]);
  assert.deepEqual(await host.bad([0x9e, 0x1f, 0, 0, 0, 0]), invalidField);
});

test('every Corelet is a port group, in both formats', async () => {
  const { host } = await setUp();
  const groups = await host.good([0xa3, 0x0a, 0, 0, 0, 0, ...u32(255), 0, 0]);
  assert.deepEqual(
    [...groups],
    [...u32(24), 0, 0x89, 0, 1, 0, 2, 0, 1, 0, 0, 0, 1, 3, 0x89, 0, 2, 0, 2, 0, 1, 0, 0, 0, 2],
  );
  assert.deepEqual([...(await host.good([0xa3, 0x2a, 0, 0, 0, 0, ...u32(255), 0, 0]))].slice(0, 8), [
    ...u32(28),
    0x10,
    0,
    0,
    0,
  ]);
});

test('MODE SELECT changes what the mask says, for all, and the others hear of it', async () => {
  const { host, server } = await setUp();
  const second = await Initiator.ready(server, other);
  const sense = (control: number) => [0x1a, 0x08, (control << 6) | 0x0a, 0, 255, 0];
  const mask = (await host.good(sense(1))).subarray(4);
  assert.deepEqual([...mask], [0x0a, 10, 0x04, 0, 0x08, 0, 0, 0, 0, 0, 0, 0]);
  const page = Buffer.from((await host.good(sense(0))).subarray(4));
  const select = (bytes: Uint8Array) =>
    host.run([0x15, 0x10, 0, 0, 4 + bytes.length, 0], Buffer.concat([new Uint8Array(4), bytes]));
  page[2] = 0x04;
  page[4] = 0x08;
  assert.equal((await select(page)).status, 0);
  assert.deepEqual((await second.run([0, 0, 0, 0, 0, 0])).sense, {
    key: 6,
    code: 0x2a01,
    information: undefined,
    field: undefined,
  });
  const refused = await second.run(cdb.write10(0, 1), new Uint8Array(512));
  assert.equal(refused.rawSense[0], 0x72, 'descriptor format');
  assert.deepEqual([refused.sense?.key, refused.sense?.code], [7, 0x2700]);
  await second.good(cdb.read10(0, 1));
  assert.deepEqual(await host.good(sense(2)).then((bytes) => [bytes[6], bytes[8]]), [0, 0]);
  page[9] = 1;
  assert.equal((await select(page)).sense?.code, 0x2600, 'what can’t be changed is refused');
  page[9] = 0xff;
  page[2] = 0;
  page[4] = 0;
  assert.equal((await select(page)).status, 0);
  assert.deepEqual(await host.bad([0x1a, 0, 0xff, 0, 255, 0]), [5, 0x3900]);
  assert.deepEqual(await host.bad([0x1a, 0, 0x01, 0, 255, 0]), invalidField);
  assert.equal((await select(page.subarray(0, 6))).sense?.code, 0x1a00);
});

test('MODE SENSE brings all pages with a block descriptor, in both lengths', async () => {
  const { host } = await setUp();
  const short = await host.good([0x1a, 0, 0x3f, 0, 255, 0]);
  assert.equal(short[0], short.length - 1);
  assert.deepEqual([...short.subarray(2, 12)], [0x10, 8, ...u32(8192), 0, 0, 2, 0]);
  const long = Buffer.from(await host.good([0x5a, 0x10, 0x3f, 0xff, 0, 0, 0, ...u16(255), 0]));
  assert.equal(long.readUInt16BE(0), long.length - 2);
  assert.deepEqual(long.subarray(24), Buffer.from(short.subarray(12)));
});

test('a reset ends every host’s tasks here, drops RESERVE (6), and all hear of it', async () => {
  const { host, server, volume } = await setUp();
  const second = await Initiator.ready(server, other);
  await host.good([0x16, 0, 0, 0, 0, 0]);
  assert.equal((await second.run(cdb.read10(0, 1))).status, 0x18);
  await second.nexus.reset('logicalUnit');
  assert.deepEqual([host.losses, second.losses], [['logicalUnitReset'], ['logicalUnitReset']]);
  assert.equal(volume.state.sessionHolder, undefined);
  assert.deepEqual(await host.bad([0, 0, 0, 0, 0, 0]), [6, 0x2903]);
  assert.deepEqual(await second.bad([0, 0, 0, 0, 0, 0]), [6, 0x2903]);
  await second.good(cdb.read10(0, 1));
  const elsewhere = await Initiator.ready(serverOver([volume], 1), 'iqn.2026-01.test:c');
  await elsewhere.nexus.reset('target');
  assert.deepEqual(await host.bad([0, 0, 0, 0, 0, 0]), [6, 0x2903], 'through another Corelet, too');
  assert.deepEqual(await elsewhere.bad([0, 0, 0, 0, 0, 0]), [6, 0x2903]);
  assert.deepEqual(await second.bad([0, 0, 0, 0, 0, 0]), [6, 0x2903]);
  await second.nexus.clearTaskSet();
  assert.deepEqual(await host.bad([0, 0, 0, 0, 0, 0]), [6, 0x2f00]);
});

test('a volume that grew, and paths that came or went, are news for every host', async () => {
  const { volume, server, host } = await setUp();
  volume.sizeBytes += mebi;
  assert.deepEqual(await host.bad([0, 0, 0, 0, 0, 0]), [6, 0x2a09]);
  assert.deepEqual(Buffer.from(await host.good([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0])).readUInt32BE(0), 10_239);
  server.portGroupsChanged();
  assert.deepEqual(await host.bad(cdb.read10(0, 1)), [6, 0x2a06]);
  await host.good(cdb.read10(0, 1));
});
