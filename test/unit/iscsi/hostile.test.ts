import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8Bytes } from '../../../src/base/bytes.ts';
import { loginStatuses, rejectReasons, targetOpcodes, taskFunctions } from '../../../src/wire/iscsi/codes.ts';
import { loginRequest } from '../../../src/wire/iscsi/login-pdu.ts';
import { nopOut } from '../../../src/wire/iscsi/nop.ts';
import { scsiCommand } from '../../../src/wire/iscsi/scsi-command.ts';
import { encodeText, type TextPair } from '../../../src/wire/iscsi/text.ts';
import { until } from '../nbd/session-client.ts';
import { Initiator, pattern, rwCdb, senseText, TestTarget } from './initiator.ts';

// What is sent to break in or to break, each named after what it is.

const checkCondition = 2;
const write = { write: true, expectedBytes: 1024, cdb: rwCdb(0x2a, 0, 2) };
const noData = new Uint8Array(0);

async function session(keys: readonly TextPair[] = [], target = new TestTarget()): Promise<Initiator> {
  return new Initiator(target).start({ keys });
}

async function lives(initiator: Initiator): Promise<void> {
  assert.equal((await initiator.read(0, 1)).status, 0, 'the session lives');
}

async function loginFails(initiator: Initiator): Promise<void> {
  assert.equal((await initiator.takeLogin()).status, loginStatuses.initiatorError);
  await initiator.closed();
}

test('non-login PDU before full feature → 02/00, close', async () => {
  for (const send of [
    (initiator: Initiator) => initiator.nop(),
    (initiator: Initiator) => initiator.command({}),
    (initiator: Initiator) => initiator.text([['SendTargets', 'All']]),
    (initiator: Initiator) => initiator.logoutPdu(),
  ]) {
    const initiator = new Initiator(new TestTarget());
    send(initiator);
    await loginFails(initiator);
  }
});

test('DataSegmentLength > our MRDSL → Reject 04h, skipped', async () => {
  const initiator = await session();
  initiator.nop({}, pattern(262_145));
  assert.equal((await initiator.takeReject()).reason, rejectReasons.protocolError);
  initiator.command({ ...write, expectedBytes: 300_000 }, pattern(300_000));
  assert.equal((await initiator.takeReject()).reason, rejectReasons.protocolError);
  await lives(initiator);
});

test('DataSegmentLength > our MRDSL, whose data never come: no memory is taken for it, and silence ends it', async () => {
  const target = new TestTarget();
  const initiator = await session([], target);
  const header = initiator.bytesOf(scsiCommand, {
    immediate: false,
    final: true,
    read: false,
    attribute: 0,
    lun: new Uint8Array(8),
    taskTag: 1,
    cmdSn: initiator.cmdSn,
    expStatSn: 0,
    additionalBytes: 0,
    dataBytes: 0xff_ffff,
    ...write,
  });
  initiator.connection.receive(header);
  target.clock.advance(10_000);
  await initiator.take(targetOpcodes.nopIn);
  target.clock.advance(10_000);
  await initiator.closed();
});

test('login text > 8 KiB → login fails', async () => {
  const initiator = new Initiator(new TestTarget());
  const text = encodeText([...initiator.identity(), ['X-long', 'x'.repeat(8000)]]);
  initiator.loginPdu({ transit: false, continued: true, nextStage: 0 }, text);
  await initiator.takeLogin();
  initiator.loginPdu({}, encodeText([['X-more', 'x'.repeat(2000)]]));
  await loginFails(initiator);
  const large = new Initiator(new TestTarget());
  large.loginPdu({}, encodeText([['X-long', 'x'.repeat(10_000)]]));
  await loginFails(large);
});

for (const [why, text] of [
  ['no NUL', 'InitiatorName=iqn.2026-01.test:a'],
  ["no '='", 'InitiatorName\0'],
  ['duplicate key', 'InitiatorName=iqn.2026-01.test:a\0InitiatorName=iqn.2026-01.test:b\0'],
  ['not UTF-8', 'InitiatorName=\xff\0'],
] as const)
  test(`login text: ${why} → login fails`, async () => {
    const initiator = new Initiator(new TestTarget());
    initiator.loginPdu({}, why === 'not UTF-8' ? Uint8Array.from(text, (c) => c.charCodeAt(0)) : utf8Bytes(text));
    await loginFails(initiator);
  });

test('login text: duplicate key in a later request → login fails', async () => {
  const initiator = new Initiator(new TestTarget());
  const text = encodeText([...initiator.identity(), ['ImmediateData', 'Yes']]);
  initiator.loginPdu({ transit: false, nextStage: 0 }, text);
  await initiator.takeLogin();
  initiator.loginPdu({}, encodeText([['ImmediateData', 'No']]));
  await loginFails(initiator);
});

test('login text: endless C bit → login fails', async () => {
  const initiator = new Initiator(new TestTarget());
  for (let i = 0; i < 64; i++) {
    initiator.loginPdu({ transit: false, continued: true, nextStage: 0 });
    assert.equal((await initiator.takeLogin()).status, 0);
  }
  initiator.loginPdu({ transit: false, continued: true, nextStage: 0 });
  await loginFails(initiator);
});

test('no W and no F; EDTL > 0 without R or W; immediate > FirstBurst → Reject 09h', async () => {
  const initiator = await session([
    ['FirstBurstLength', '512'],
    ['InitialR2T', 'No'],
  ]);
  initiator.command({ final: false });
  assert.equal((await initiator.takeReject()).reason, rejectReasons.invalidField);
  initiator.command({ expectedBytes: 512 });
  assert.equal((await initiator.takeReject()).reason, rejectReasons.invalidField);
  initiator.command(write, pattern(1024));
  assert.equal((await initiator.takeReject()).reason, rejectReasons.invalidField);
  await lives(initiator);
});

test('immediate data when not negotiated, data > EDTL → Reject 04h', async () => {
  const without = await session([['ImmediateData', 'No']]);
  without.command(write, pattern(512));
  assert.equal((await without.takeReject()).reason, rejectReasons.protocolError);
  await lives(without);
  const initiator = await session();
  initiator.command({ ...write, expectedBytes: 512 }, pattern(1024));
  assert.equal((await initiator.takeReject()).reason, rejectReasons.protocolError);
  initiator.command({ read: true, expectedBytes: 512, cdb: rwCdb(0x28, 0, 1) }, pattern(512));
  assert.equal((await initiator.takeReject()).reason, rejectReasons.protocolError);
  await lives(initiator);
});

test('AHS unknown or lying → Reject 05h', async () => {
  const initiator = await session();
  const header = initiator.bytesOf(scsiCommand, {
    immediate: false,
    final: true,
    read: false,
    attribute: 0,
    lun: new Uint8Array(8),
    taskTag: 1,
    cmdSn: initiator.cmdSn++,
    expStatSn: 0,
    additionalBytes: 1020,
    dataBytes: 0,
    ...write,
  });
  initiator.connection.receive(header);
  initiator.connection.receive(new Uint8Array(1020).fill(0xff));
  assert.equal((await initiator.takeReject()).reason, rejectReasons.unsupported);
  await lives(initiator);
});

test('Data-Out for an unknown ITT/TTT → payload discarded, connection kept', async () => {
  const target = new TestTarget();
  const initiator = await session([['ImmediateData', 'No']], target);
  initiator.dataOut({ taskTag: 4711 }, pattern(512));
  initiator.dataOut({ taskTag: 4711, transferTag: 5 }, pattern(512));
  const taskTag = initiator.command(write);
  const r2t = await initiator.takeR2t();
  initiator.dataOut({ taskTag, transferTag: r2t.transferTag + 1 }, pattern(1024, 9));
  initiator.dataOut({ taskTag, transferTag: r2t.transferTag }, pattern(1024));
  assert.equal((await initiator.answer(taskTag)).status, 0);
  assert.deepEqual((await initiator.read(0, 2)).data, pattern(1024));
});

test('Data-Out past EDTL → Reject 09h, and the command fails', async () => {
  const target = new TestTarget();
  const initiator = await session([['ImmediateData', 'No']], target);
  const taskTag = initiator.command(write);
  const { transferTag } = await initiator.takeR2t();
  initiator.dataOut({ taskTag, transferTag }, pattern(1536));
  assert.equal((await initiator.takeReject()).reason, rejectReasons.invalidField);
  assert.equal((await initiator.answer(taskTag)).status, checkCondition);
  assert.ok(!target.device.calls.some(({ kind }) => kind === 'write'));
});

test('unsolicited when InitialR2T=Yes → CHECK CONDITION 0C/0C', async () => {
  const initiator = await session();
  const announced = initiator.command({ ...write, final: false });
  initiator.dataOut({ taskTag: announced }, pattern(1024));
  assert.equal(senseText((await initiator.answer(announced)).sense), 'b/0c/0c');
  const silent = await session([['ImmediateData', 'No']]);
  const taskTag = silent.command(write);
  const { transferTag } = await silent.takeR2t();
  silent.dataOut({ taskTag }, pattern(512));
  silent.dataOut({ taskTag, transferTag }, pattern(1024));
  assert.equal(senseText((await silent.answer(taskTag)).sense), 'b/0c/0c');
});

test('unsolicited data beyond FirstBurstLength → CHECK CONDITION', async () => {
  const initiator = await session([
    ['InitialR2T', 'No'],
    ['FirstBurstLength', '512'],
  ]);
  const taskTag = initiator.command({ ...write, final: false }, pattern(512));
  initiator.dataOut({ taskTag, bufferOffset: 512 }, pattern(512));
  assert.equal(senseText((await initiator.answer(taskTag)).sense), 'b/0c/0d');
});

test('header digest bad → close', async () => {
  const initiator = await session([['HeaderDigest', 'CRC32C']]);
  const fields = { immediate: true, lun: new Uint8Array(8), taskTag: 1, transferTag: 0xffff_ffff, cmdSn: 1 };
  const bytes = initiator.bytesOf(nopOut, { ...fields, expStatSn: 0, dataBytes: 0 });
  bytes[30] = 0xff;
  initiator.connection.receive(bytes);
  assert.ok(initiator.isDestroyed);
});

test('data digest bad → Reject 02h, that command fails', async () => {
  const target = new TestTarget();
  const initiator = await session([['DataDigest', 'CRC32C']], target);
  const damaged = (send: () => void): void => {
    const { connection } = initiator;
    const receive = connection.receive.bind(connection);
    connection.receive = (chunk) => {
      chunk[chunk.length - 9] = (chunk[chunk.length - 9] as number) ^ 1;
      receive(chunk);
    };
    send();
    connection.receive = receive;
  };
  let taskTag = 0;
  damaged(() => (taskTag = initiator.command(write, pattern(1024))));
  assert.equal((await initiator.takeReject()).reason, rejectReasons.dataDigest);
  assert.equal(senseText((await initiator.answer(taskTag)).sense), 'b/47/05');
  taskTag = initiator.command(write, noData);
  const { transferTag } = await initiator.takeR2t();
  damaged(() => initiator.dataOut({ taskTag, transferTag }, pattern(1024)));
  assert.equal((await initiator.takeReject()).reason, rejectReasons.dataDigest);
  assert.equal(senseText((await initiator.answer(taskTag)).sense), 'b/47/05');
  damaged(() => initiator.nop({}, pattern(64)));
  assert.equal((await initiator.takeReject()).reason, rejectReasons.dataDigest);
  assert.ok(!target.device.calls.some(({ kind }) => kind === 'write'));
  await lives(initiator);
});

test('SNACK at ERL 0, unknown opcode → Reject 03h/05h', async () => {
  const initiator = await session();
  for (const [opcode, reason] of [
    [0x10, rejectReasons.snack],
    [0x1c, rejectReasons.unsupported],
    [0x21, rejectReasons.unsupported],
    [0x3f, rejectReasons.unsupported],
  ] as const) {
    const bytes = new Uint8Array(48);
    bytes[0] = opcode;
    initiator.connection.receive(bytes);
    assert.equal((await initiator.takeReject()).reason, reason);
  }
  await lives(initiator);
});

test('a login in the midst of a session → Reject 04h', async () => {
  const initiator = await session();
  initiator.loginPdu({}, encodeText(initiator.identity()));
  assert.equal((await initiator.takeReject()).reason, rejectReasons.protocolError);
  assert.ok(loginRequest.opcode === 3);
  await lives(initiator);
});

test('floods of immediate commands → bounded, Reject 06h', async () => {
  const target = new TestTarget({ immediateMax: 4 });
  const initiator = await session([], target);
  const gate = Promise.withResolvers<void>();
  target.device.gate = () => gate.promise;
  const read = { immediate: true, read: true, expectedBytes: 512, cdb: rwCdb(0x28, 0, 1) };
  const tags = Array.from({ length: 6 }, () => initiator.command(read));
  for (let i = 0; i < 2; i++) assert.equal((await initiator.takeReject()).reason, rejectReasons.immediateCommand);
  initiator.manage({ function: taskFunctions.abortTaskSet });
  assert.equal((await initiator.takeReject()).reason, rejectReasons.immediateCommand);
  gate.resolve();
  for (const tag of tags.slice(0, 4)) assert.equal((await initiator.answer(tag)).status, 0);
});

test('a task tag in use → Reject 07h, and the first command goes on', async () => {
  const target = new TestTarget();
  const initiator = await session([], target);
  const gate = Promise.withResolvers<void>();
  target.device.gate = () => gate.promise;
  const read = { read: true, expectedBytes: 512, taskTag: 9 };
  initiator.command({ ...read, cdb: rwCdb(0x28, 0, 1) });
  initiator.command({ ...read, cdb: rwCdb(0x28, 1, 1) });
  assert.equal((await initiator.takeReject()).reason, rejectReasons.taskInProgress);
  gate.resolve();
  assert.equal((await initiator.answer(9)).status, 0);
});

test('SCSI commands and task management in a discovery session → Reject 04h', async () => {
  const initiator = await new Initiator(new TestTarget()).start({ discovery: true });
  initiator.command({});
  assert.equal((await initiator.takeReject()).reason, rejectReasons.protocolError);
  initiator.manage({ function: taskFunctions.targetColdReset });
  assert.equal((await initiator.takeReject()).reason, rejectReasons.protocolError);
});

test('payload in crumbs is taken whole, and kept in as much memory as it has bytes', async () => {
  const target = new TestTarget();
  const initiator = await session([], target);
  const data = pattern(8192);
  const fields = { write: true, expectedBytes: 8192, cdb: rwCdb(0x2a, 0, 16) };
  const crumbs: Uint8Array[] = [];
  const { connection } = initiator;
  const receive = connection.receive.bind(connection);
  connection.receive = (chunk) => crumbs.push(chunk);
  const taskTag = initiator.command(fields, data);
  connection.receive = receive;
  const bytes = crumbs[0] as Uint8Array;
  for (let at = 0; at < bytes.length; at += 7) receive(bytes.slice(at, at + 7));
  assert.equal((await initiator.answer(taskTag)).status, 0);
  assert.deepEqual((await initiator.read(0, 16)).data, data);
  await until(() => target.device.lastPieces.length < 12, 'few pieces');
});
