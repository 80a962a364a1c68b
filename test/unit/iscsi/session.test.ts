import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8Bytes } from '../../../src/base/bytes.ts';
import { rejectReasons, reservedTag, targetOpcodes } from '../../../src/wire/iscsi/codes.ts';
import { asyncMessage } from '../../../src/wire/iscsi/async-message.ts';
import { dataIn } from '../../../src/wire/iscsi/data-in.ts';
import { opcodeOf } from '../../../src/wire/iscsi/header.ts';
import { nopIn } from '../../../src/wire/iscsi/nop.ts';
import { encodeText, type TextPair } from '../../../src/wire/iscsi/text.ts';
import { until } from '../nbd/session-client.ts';
import { blockBytes, flat, Initiator, pattern, rwCdb, senseText, TestTarget } from './initiator.ts';

const solicitedOnly: readonly TextPair[] = [
  ['InitialR2T', 'Yes'],
  ['ImmediateData', 'No'],
  ['MaxBurstLength', '4096'],
  ['MaxOutstandingR2T', '2'],
];
const unsolicited: readonly TextPair[] = [
  ['InitialR2T', 'No'],
  ['FirstBurstLength', '2048'],
  ['MaxBurstLength', '4096'],
];
const checkCondition = 2;

test('immediate data: what was written is read back, through another session too', async () => {
  const target = new TestTarget();
  const initiator = await new Initiator(target).start({ keys: [['FirstBurstLength', '262144']] });
  const data = pattern(100 * blockBytes);
  assert.equal((await initiator.write(7, data)).status, 0);
  assert.deepEqual((await initiator.read(7, 100)).data, data);
  const other = await new Initiator(target).start({ isid: '00023d000002' });
  assert.deepEqual((await other.read(7, 100)).data, data);
});

test('payload reaches the volume as views of what the socket delivered', async () => {
  const target = new TestTarget();
  const initiator = await new Initiator(target).start();
  const data = pattern(4096);
  await initiator.write(0, data);
  assert.equal(target.device.lastPieces.length, 1);
  const [piece] = target.device.lastPieces;
  assert.ok((piece?.buffer.byteLength ?? 0) > data.length, 'the piece lies in the received chunk');
});

test('T13: R2Ts without unsolicited data: numbered, within bursts, never more outstanding than agreed, answered in order', async () => {
  const initiator = await new Initiator(new TestTarget()).start({ keys: solicitedOnly });
  const data = pattern(20 * blockBytes); // 10,240 bytes: 4096, 4096, 2048
  const expectedBytes = data.length;
  const tag = initiator.command({ write: true, expectedBytes, cdb: rwCdb(0x2a, 0, 20) });
  const first = await initiator.takeR2t();
  const second = await initiator.takeR2t();
  assert.equal(initiator.received.length, 0, 'two outstanding');
  assert.deepEqual([first.r2tSn, first.bufferOffset, first.desiredBytes], [0, 0, 4096]);
  assert.deepEqual([second.r2tSn, second.bufferOffset, second.desiredBytes], [1, 4096, 4096]);
  const send = (from: number, to: number, transferTag: number, dataSn: number, final: boolean) =>
    initiator.dataOut({ taskTag: tag, transferTag, dataSn, bufferOffset: from, final }, data.subarray(from, to));
  send(0, 1000, first.transferTag, 0, false);
  send(1000, 4096, first.transferTag, 1, true);
  const third = await initiator.takeR2t();
  assert.deepEqual([third.r2tSn, third.bufferOffset, third.desiredBytes], [2, 8192, 2048]);
  send(4096, 8192, second.transferTag, 0, true);
  send(8192, 10_240, third.transferTag, 0, true);
  assert.equal((await initiator.answer(tag)).status, 0);
  assert.deepEqual((await initiator.read(0, 20)).data, data);
});

test('unsolicited Data-Out up to FirstBurstLength, the rest by R2T', async () => {
  const initiator = await new Initiator(new TestTarget()).start({ keys: unsolicited });
  const data = pattern(8 * blockBytes, 9);
  const fields = { write: true, final: false, expectedBytes: data.length, cdb: rwCdb(0x2a, 3, 8) };
  const tag = initiator.command(fields, data.subarray(0, 1024));
  initiator.dataOut({ taskTag: tag, bufferOffset: 1024 }, data.subarray(1024, 2048));
  const r2t = await initiator.takeR2t();
  assert.deepEqual([r2t.bufferOffset, r2t.desiredBytes], [2048, 2048]);
  initiator.dataOut({ taskTag: tag, transferTag: r2t.transferTag, bufferOffset: 2048 }, data.subarray(2048));
  assert.equal((await initiator.answer(tag)).status, 0);
  assert.deepEqual((await initiator.read(3, 8)).data, data);
});

test('T13: Data-In never exceeds what the initiator takes, sequences end with their burst, the status comes with the last', async () => {
  const keys: readonly TextPair[] = [
    ['MaxRecvDataSegmentLength', '1000'],
    ['MaxBurstLength', '4096'],
  ];
  const initiator = await new Initiator(new TestTarget()).start({ keys });
  initiator.command({ read: true, expectedBytes: 16 * blockBytes, cdb: rwCdb(0x28, 0, 16) });
  await until(() => initiator.received.some(({ header }) => ((header[1] as number) & 1) !== 0), 'the status');
  const pdus = initiator.received.map(({ header }) => dataIn.decode(header, 0));
  assert.ok(pdus.every(({ dataBytes }) => dataBytes <= 1000));
  const ends = pdus.filter(({ final }) => final).map(({ bufferOffset, dataBytes }) => bufferOffset + dataBytes);
  assert.deepEqual(ends, [4096, 8192]);
});

test('T12: a write whose DataSN, offset or amount is wrong doesn’t succeed, and the session lives', async () => {
  for (const [why, pdus] of [
    [
      '0, 0',
      [
        { dataSn: 0, bufferOffset: 0, final: false },
        { dataSn: 0, bufferOffset: 512 },
      ],
    ],
    [
      '27',
      [
        { dataSn: 27, bufferOffset: 0, final: false },
        { dataSn: 28, bufferOffset: 512 },
      ],
    ],
    [
      '-1',
      [
        { dataSn: 0xffff_ffff, bufferOffset: 0, final: false },
        { dataSn: 0, bufferOffset: 512 },
      ],
    ],
    [
      'reversed',
      [
        { dataSn: 1, bufferOffset: 512, final: false },
        { dataSn: 0, bufferOffset: 0 },
      ],
    ],
    ['a gap', [{ dataSn: 0, bufferOffset: 512, final: true }]],
  ] as const) {
    const target = new TestTarget();
    const initiator = await new Initiator(target).start({ keys: unsolicited });
    const fields = { write: true, final: false, expectedBytes: 1024, cdb: rwCdb(0x2a, 0, 2) };
    const tag = initiator.command(fields);
    for (const pdu of pdus) initiator.dataOut({ taskTag: tag, ...pdu }, pattern(512));
    const answer = await initiator.answer(tag);
    assert.equal(answer.status, checkCondition, why);
    assert.equal(senseText(answer.sense), 'b/4b/00', why);
    assert.ok(!target.device.calls.some(({ kind }) => kind === 'write'), why);
    assert.equal((await initiator.read(0, 1)).status, 0, why);
  }
});

test('T14: residuals: the smaller of what the CDB and the initiator say is transferred, the difference is told', async () => {
  const target = new TestTarget();
  const initiator = await new Initiator(target).start();
  await initiator.write(0, pattern(4 * blockBytes));
  const more = await initiator.read(0, 2, 4 * blockBytes);
  assert.deepEqual([more.status, more.residual], [0, { kind: 'underflow', bytes: 2 * blockBytes }]);
  assert.equal(more.data.length, 2 * blockBytes);
  const less = await initiator.read(0, 4, blockBytes);
  assert.deepEqual([less.status, less.residual], [0, { kind: 'overflow', bytes: 3 * blockBytes }]);
  assert.equal(less.data.length, blockBytes);
  const wide = initiator.command({ write: true, expectedBytes: 2048, cdb: rwCdb(0x2a, 8, 2) }, pattern(2048, 5));
  assert.deepEqual((await initiator.answer(wide)).residual, { kind: 'underflow', bytes: 1024 });
  assert.deepEqual((await initiator.read(8, 4)).data.subarray(1024), new Uint8Array(1024), 'no more than the CDB says');
  const narrow = initiator.command({ write: true, expectedBytes: 512, cdb: rwCdb(0x2a, 16, 2) }, pattern(512, 6));
  assert.deepEqual((await initiator.answer(narrow)).residual, { kind: 'overflow', bytes: 512 });
  assert.deepEqual((await initiator.read(0, 4)).residual, { kind: 'none', bytes: 0 });
});

test('T11: command numbers outside the window are ignored, and the connection kept; MaxCmdSN never shrinks', async () => {
  const target = new TestTarget({ commandsMax: 4 });
  const initiator = await new Initiator(target).start();
  const { cmdSn } = initiator;
  for (const wrong of [cmdSn - 1, cmdSn + 4, cmdSn + 1000, (cmdSn + 0x8000_0000) >>> 0])
    initiator.command({ cmdSn: wrong, read: true, expectedBytes: 512, cdb: rwCdb(0x28, 0, 1) });
  assert.equal((await initiator.read(0, 1)).status, 0);
  assert.equal(initiator.received.length, 0, 'nothing of the others');
});

test('commands ahead of their turn wait for the missing one, and none starts twice', async () => {
  const target = new TestTarget();
  const initiator = await new Initiator(target).start();
  const { cmdSn } = initiator;
  const read = { read: true, expectedBytes: 512 };
  const third = initiator.command({ ...read, cmdSn: cmdSn + 2, cdb: rwCdb(0x28, 3, 1) });
  const second = initiator.command({ ...read, cmdSn: cmdSn + 1, cdb: rwCdb(0x28, 2, 1) });
  initiator.command({ ...read, cmdSn: cmdSn + 1, cdb: rwCdb(0x28, 9, 1) });
  assert.equal(target.device.calls.length, 0);
  const first = initiator.command({ ...read, cmdSn, cdb: rwCdb(0x28, 1, 1) });
  for (const tag of [first, second, third]) assert.equal((await initiator.answer(tag)).status, 0);
  assert.deepEqual(
    target.device.calls.map(({ offset }) => offset / blockBytes),
    [1, 2, 3],
  );
});

test('backpressure: the window closes while commands are under way, and opens with their answers', async () => {
  const target = new TestTarget({ commandsMax: 3 });
  const initiator = await new Initiator(target).start();
  const gate = Promise.withResolvers<void>();
  target.device.gate = () => gate.promise;
  const { cmdSn } = initiator;
  const tags = [0, 1, 2].map((lba) => initiator.command({ read: true, expectedBytes: 512, cdb: rwCdb(0x28, lba, 1) }));
  initiator.nop();
  const nop = nopIn.decode((await initiator.take(targetOpcodes.nopIn)).header, 0);
  assert.equal(nop.expCmdSn, cmdSn + 3);
  assert.equal(nop.maxCmdSn, cmdSn + 2, 'closed');
  gate.resolve();
  for (const tag of tags) assert.equal((await initiator.answer(tag)).status, 0);
  initiator.nop();
  const after = nopIn.decode((await initiator.take(targetOpcodes.nopIn)).header, 0);
  assert.equal(after.maxCmdSn, cmdSn + 5);
});

test('backpressure: R2Ts wait until there is room for their data, and one command always has room', async () => {
  const target = new TestTarget({ inFlightBytesMax: 4096 });
  const initiator = await new Initiator(target).start({ keys: solicitedOnly });
  const fields = { write: true, expectedBytes: 4096 };
  const first = initiator.command({ ...fields, cdb: rwCdb(0x2a, 0, 8) });
  const second = initiator.command({ ...fields, cdb: rwCdb(0x2a, 8, 8) });
  const r2t = await initiator.takeR2t();
  assert.equal(r2t.taskTag, first);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(initiator.received.length, 0, 'the second waits');
  initiator.dataOut({ taskTag: first, transferTag: r2t.transferTag }, pattern(4096));
  const answers = new Set<number>();
  await until(() => initiator.received.length === 2, 'the answer and the next R2T');
  for (const { header } of initiator.received) answers.add(opcodeOf(header, 0));
  assert.deepEqual(answers, new Set([targetOpcodes.scsiResponse, targetOpcodes.r2t]));
  assert.ok(second > first);
});

test('a host that doesn’t take its answers is read no further, and gets everything when it does', async () => {
  const target = new TestTarget({ inputBytesMax: 2000 });
  const initiator = await new Initiator(target).start();
  initiator.isSlowReader = true;
  initiator.nop();
  await initiator.take(targetOpcodes.nopIn);
  for (let i = 0; i < 50; i++) initiator.nop();
  assert.ok(initiator.isPaused);
  assert.equal(initiator.received.length, 0);
  initiator.isSlowReader = false;
  initiator.connection.drained();
  for (let i = 0; i < 50; i++) await initiator.take(targetOpcodes.nopIn);
  assert.ok(!initiator.isPaused);
});

test('T15: NOP-Out comes back with its data, also with none; one that wants no answer gets none', async () => {
  const initiator = await new Initiator(new TestTarget()).start();
  initiator.nop({}, utf8Bytes('ping!'));
  const echo = await initiator.take(targetOpcodes.nopIn);
  assert.deepEqual(flat(echo.data), utf8Bytes('ping!'));
  const fields = nopIn.decode(echo.header, 0);
  assert.equal(fields.transferTag, reservedTag);
  initiator.nop({ taskTag: reservedTag }, utf8Bytes('?'));
  initiator.nop();
  const empty = nopIn.decode((await initiator.take(targetOpcodes.nopIn)).header, 0);
  assert.equal(empty.dataBytes, 0);
  assert.equal(empty.statSn, fields.statSn + 1);
});

test('T10, T15: a silent initiator is asked with a NOP-In, StatSN not advanced; no answer: the session is reaped', async () => {
  const target = new TestTarget();
  const initiator = await new Initiator(target).start();
  target.clock.advance(10_000);
  const ping = nopIn.decode((await initiator.take(targetOpcodes.nopIn)).header, 0);
  assert.equal(ping.taskTag, reservedTag);
  assert.notEqual(ping.transferTag, reservedTag);
  initiator.nop({ taskTag: reservedTag, transferTag: ping.transferTag });
  initiator.nop();
  const echo = nopIn.decode((await initiator.take(targetOpcodes.nopIn)).header, 0);
  assert.equal(echo.statSn, ping.statSn);
  target.clock.advance(10_000);
  await initiator.take(targetOpcodes.nopIn);
  assert.ok(!initiator.isClosed);
  target.clock.advance(10_000);
  await initiator.closed();
  await until(() => target.target.sessions().length === 0, 'nobody left');
});

test('an initiator that waits for a slow answer is asked soon, and its answer renews what is known of its command', async () => {
  const target = new TestTarget();
  const initiator = await new Initiator(target).start();
  const gate = Promise.withResolvers<void>();
  target.device.gate = () => gate.promise;
  const tag = initiator.command({ write: true, expectedBytes: 512, cdb: rwCdb(0x2a, 0, 1) }, pattern(512));
  await until(() => target.device.commands.length === 1, 'the write');
  const [command] = target.device.commands;
  const beganMs = command?.arrivedAfterMs ?? 0;
  target.clock.advance(300);
  const ping = nopIn.decode((await initiator.take(targetOpcodes.nopIn)).header, 0);
  initiator.nop({ taskTag: reservedTag, transferTag: ping.transferTag });
  assert.equal(command?.arrivedAfterMs, beganMs + 300);
  gate.resolve();
  assert.equal((await initiator.answer(tag)).status, 0);
});

test('T5, T6: SendTargets names every volume and every portal, the one in use first', async () => {
  const target = new TestTarget();
  target.access.set('other', { kind: 'granted', chap: undefined });
  target.otherPortals.push({ address: '127.0.0.1:3261', groupTag: 2 });
  const all = ['vol', 'other'].flatMap((volume): TextPair[] => [
    ['TargetName', `iqn.2026-01.io.corelet:${volume}`],
    ['TargetAddress', '127.0.0.1:3260,1'],
    ['TargetAddress', '127.0.0.1:3261,2'],
  ]);
  for (const discovery of [true, false]) {
    const initiator = await new Initiator(target).start({ discovery });
    initiator.text([['SendTargets', 'All']]);
    assert.deepEqual(await takePairs(initiator), all);
    initiator.text([['SendTargets', 'iqn.2026-01.io.corelet:other']]);
    assert.deepEqual(await takePairs(initiator), all.slice(3));
  }
  const session = await new Initiator(target).start();
  session.text([['SendTargets', '']]);
  assert.deepEqual(await takePairs(session), all.slice(0, 3), 'its own');
});

async function takePairs(initiator: Initiator): Promise<readonly TextPair[]> {
  const { data } = await initiator.takeText();
  // The same key several times is what SendTargets is made of; only requests mayn't repeat one.
  return Buffer.from(data)
    .toString()
    .split('\0')
    .filter((pair) => pair !== '')
    .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)] as const);
}

test('T5: SendTargets that is none is rejected, never answered with an empty success', async () => {
  const target = new TestTarget({ openRetryMsMax: 0 });
  const initiator = await new Initiator(target).start();
  for (const [key, value] of [
    ['SendTargetsPlease', 'All'],
    ['SendTargets', 'Alle'],
    ['SendTargets', 'A'],
    ['SENDtARGETS', 'aLL'],
  ] as const) {
    initiator.text([[key, value]]);
    await initiator.takeReject();
  }
  target.isListless = true;
  initiator.text([['SendTargets', 'All']]);
  await initiator.takeReject();
});

test('SendTargets longer than the initiator takes comes in parts', async () => {
  const target = new TestTarget();
  for (let i = 0; i < 60; i++) target.access.set(`volume-${i}`, { kind: 'granted', chap: undefined });
  const initiator = await new Initiator(target).start({
    discovery: true,
    keys: [['MaxRecvDataSegmentLength', '512']],
  });
  initiator.text([['SendTargets', 'All']], { taskTag: 5 });
  let text = '';
  for (;;) {
    const part = await initiator.takeText();
    assert.ok(part.data.length <= 512);
    text += Buffer.from(part.data).toString();
    if (part.transferTag === reservedTag) break;
    initiator.text([], { taskTag: 5, transferTag: part.transferTag });
  }
  assert.equal(text.match(/TargetName=/g)?.length, 61);
});

test('text requests split over C-bit PDUs are one', async () => {
  const initiator = await new Initiator(new TestTarget()).start({ discovery: true });
  const text = encodeText([['SendTargets', 'All']]);
  initiator.text(text.subarray(0, 6), { taskTag: 5, final: false, continued: true });
  const { transferTag } = await initiator.takeText();
  initiator.text(text.subarray(6), { taskTag: 5, transferTag });
  assert.match(Buffer.from((await initiator.takeText()).data).toString(), /^TargetName=/);
});

test('T19: a Corelet that stops asks its hosts to log out, and drops those that don’t', async () => {
  const target = new TestTarget();
  const leaver = await new Initiator(target).start();
  const stayer = await new Initiator(target).start({ isid: '00023d000002' });
  for (const initiator of [leaver, stayer]) {
    initiator.connection.stop();
    const event = asyncMessage.decode((await initiator.take(targetOpcodes.asyncMessage)).header, 0);
    assert.deepEqual([event.event, event.parameter3], [1, 3]);
  }
  leaver.logoutPdu();
  assert.equal(await leaver.takeLogout(), 0);
  await leaver.closed();
  target.clock.advance(3_000);
  await until(() => stayer.isClosed, 'cut off');
  const event = asyncMessage.decode((await stayer.take(targetOpcodes.asyncMessage)).header, 0);
  assert.equal(event.event, 3);
});

test('`UNKNOWN` is answered with nothing but the end of the connection', async () => {
  const target = new TestTarget();
  const initiator = await new Initiator(target).start();
  target.device.fail = () => 'UNKNOWN';
  initiator.command({ write: true, expectedBytes: 512, cdb: rwCdb(0x2a, 0, 1) }, pattern(512));
  await until(() => initiator.isDestroyed, 'closed');
  assert.equal(initiator.received.length, 0);
});

test('T18: a Reject carries the header that offended', async () => {
  const initiator = await new Initiator(new TestTarget()).start();
  const bytes = new Uint8Array(48);
  bytes[0] = 0x1c;
  bytes[16] = 77;
  initiator.connection.receive(bytes);
  const { reason, header } = await initiator.takeReject();
  assert.equal(reason, rejectReasons.unsupported);
  assert.deepEqual(header, bytes);
});
