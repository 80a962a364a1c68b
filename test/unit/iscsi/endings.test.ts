import assert from 'node:assert/strict';
import { test } from 'node:test';
import { taskFunctions, taskResponses } from '../../../src/wire/iscsi/codes.ts';
import { until } from '../nbd/session-client.ts';
import { Initiator, pattern, rwCdb, TestTarget } from './initiator.ts';

// How commands and sessions are given up: nothing is told to be over while a write of it may still land (design §3, §10.1).

interface Held {
  readonly target: TestTarget;
  readonly initiator: Initiator;
  /** Of a write that the volume has and doesn't answer. */
  readonly taskTag: number;
  readonly cmdSn: number;
  readonly release: () => void;
}

async function heldWrite(): Promise<Held> {
  const target = new TestTarget();
  const initiator = await new Initiator(target).start();
  const gate = Promise.withResolvers<void>();
  target.device.gate = () => gate.promise;
  const { cmdSn } = initiator;
  const taskTag = initiator.command({ write: true, expectedBytes: 512, cdb: rwCdb(0x2a, 0, 1) }, pattern(512));
  await until(() => target.device.commands.length === 1, 'the write');
  return { target, initiator, taskTag, cmdSn, release: () => gate.resolve() };
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

for (const [why, request] of [
  [
    'ABORT TASK',
    ({ taskTag, cmdSn }) => ({ function: taskFunctions.abortTask, referencedTag: taskTag, referencedCmdSn: cmdSn }),
  ],
  ['ABORT TASK SET', () => ({ function: taskFunctions.abortTaskSet })],
  ['CLEAR TASK SET', () => ({ function: taskFunctions.clearTaskSet })],
  ['LOGICAL UNIT RESET', () => ({ function: taskFunctions.logicalUnitReset })],
  ['TARGET WARM RESET', () => ({ function: taskFunctions.targetWarmReset })],
  ['TARGET COLD RESET', () => ({ function: taskFunctions.targetColdReset })],
] as readonly (readonly [
  string,
  (held: Held) => { function: number; referencedTag?: number; referencedCmdSn?: number },
])[])
  test(`T17: ${why} gives the write up, says so only when it can't land any more, and no response follows`, async () => {
    const held = await heldWrite();
    const { initiator, target } = held;
    initiator.manage(request(held));
    await until(() => target.device.commands[0]?.abandonment?.isGivenUp === true, 'given up');
    await turns();
    assert.equal(initiator.received.length, 0, 'not told yet');
    held.release();
    assert.equal(await initiator.takeTask(), taskResponses.complete);
    await turns();
    assert.equal(initiator.received.length, 0, 'nothing of the write');
    assert.equal(initiator.isClosed, why === 'TARGET COLD RESET');
  });

test('T17: a task that still receives its data is gone at once, and its data go nowhere', async () => {
  const target = new TestTarget();
  const initiator = await new Initiator(target).start({ keys: [['ImmediateData', 'No']] });
  const taskTag = initiator.command({ write: true, expectedBytes: 512, cdb: rwCdb(0x2a, 0, 1) });
  const { transferTag } = await initiator.takeR2t();
  initiator.manage({ function: taskFunctions.abortTask, referencedTag: taskTag });
  assert.equal(await initiator.takeTask(), taskResponses.complete);
  initiator.dataOut({ taskTag, transferTag }, pattern(512));
  assert.equal((await initiator.read(0, 1)).status, 0);
  assert.deepEqual((await initiator.read(0, 1)).data, new Uint8Array(512));
});

test('T17: a task that is none, one that may not have come yet, another LUN, unknown functions', async () => {
  const initiator = await new Initiator(new TestTarget()).start();
  const { cmdSn } = initiator;
  const ask = (fields: Parameters<Initiator['manage']>[0]): Promise<number> => {
    initiator.manage(fields);
    return initiator.takeTask();
  };
  const abort = { function: taskFunctions.abortTask, referencedTag: 4711 };
  assert.equal(await ask({ ...abort, referencedCmdSn: cmdSn - 1 }), taskResponses.noTask);
  // Sent before the abort, and lost or slower: it must never begin.
  assert.equal(await ask({ ...abort, referencedCmdSn: cmdSn, cmdSn: cmdSn + 1 }), taskResponses.complete);
  initiator.command({ taskTag: 4711, cmdSn });
  initiator.cmdSn = cmdSn + 1;
  assert.equal((await initiator.read(0, 1)).status, 0);
  const lun = Uint8Array.of(0, 3, 0, 0, 0, 0, 0, 0);
  assert.equal(await ask({ function: taskFunctions.logicalUnitReset, lun }), taskResponses.noLun);
  assert.equal(await ask({ function: taskFunctions.taskReassign }), taskResponses.reassignUnsupported);
  assert.equal(await ask({ function: taskFunctions.clearAca }), taskResponses.unsupported);
  assert.equal(await ask({ function: 99 }), taskResponses.unsupported);
});

test('a reset through one session takes the tasks of another', async () => {
  const held = await heldWrite();
  const other = await new Initiator(held.target).start({ isid: '00023d000009', name: 'iqn.2026-01.test:other' });
  other.manage({ function: taskFunctions.logicalUnitReset });
  await turns();
  assert.equal(other.received.length, 0, 'not told yet');
  held.release();
  assert.equal(await other.takeTask(), taskResponses.complete);
  assert.equal(held.initiator.received.length, 0);
});

test('T18: logout with I/O in flight is answered when the I/O is over', async () => {
  const { initiator, release } = await heldWrite();
  initiator.logoutPdu();
  await turns();
  assert.equal(initiator.received.length, 0);
  release();
  assert.equal(await initiator.takeLogout(), 0);
  await initiator.closed();
  assert.ok(initiator.isEnded && !initiator.isDestroyed);
});

test('logout of a connection that isn’t there, for recovery, for no reason', async () => {
  const initiator = await new Initiator(new TestTarget()).start();
  initiator.logoutPdu({ reason: 1, connectionId: 5 });
  assert.equal(await initiator.takeLogout(), 1);
  initiator.logoutPdu({ reason: 2 });
  assert.equal(await initiator.takeLogout(), 2);
  initiator.logoutPdu({ reason: 9 });
  await initiator.takeReject();
  assert.ok(!initiator.isClosed);
});

test('T10: reinstatement ends the old session first: the new one begins when no write of the old can land', async () => {
  const { target, initiator, release } = await heldWrite();
  const again = new Initiator(target);
  const login = again.login();
  await until(() => initiator.isDestroyed, 'the old session closed');
  await turns();
  assert.equal(again.received.length, 0, 'the new one waits');
  release();
  await login;
  assert.equal(target.target.sessions().length, 1);
});

test('another ISID, another volume or another name is another session', async () => {
  const target = new TestTarget();
  const first = await new Initiator(target).start();
  await new Initiator(target).start({ isid: '00023d000002' });
  await new Initiator(target).start({ name: 'iqn.2026-01.test:other' });
  assert.ok(!first.isClosed);
  assert.equal(target.target.sessions().length, 3);
});

test('two logins of one nexus at once: the later one has it, and nobody waits for ever', async () => {
  const target = new TestTarget();
  const logins = Array.from({ length: 4 }, () => new Initiator(target));
  await Promise.all(
    logins
      .slice(-1)
      .concat(logins.slice(0, -1))
      .map((initiator) => initiator.login().catch(() => {})),
  );
  await until(() => target.target.sessions().length === 1, 'one session');
  assert.equal(logins.filter(({ isClosed }) => !isClosed).length, 1);
});

test('a connection that breaks ends its session when its writes are over', async () => {
  const { target, initiator, release } = await heldWrite();
  initiator.connection.closed();
  await turns();
  assert.equal(target.device.commands[0]?.abandonment?.isGivenUp, true);
  assert.equal(target.target.sessions().length, 1);
  release();
  await until(() => target.target.sessions().length === 0, 'gone');
  assert.equal(target.device.closes, 1);
});
