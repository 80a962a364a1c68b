import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { TextPair } from '../../../src/wire/iscsi/text.ts';
import { until } from '../nbd/session-client.ts';
import { blockBytes, Initiator, pattern, rwCdb, TestTarget } from './initiator.ts';

// What many initiators together may take of a Corelet's memory.

const kibi = 1024;
const solicited: readonly TextPair[] = [
  ['InitialR2T', 'Yes'],
  ['ImmediateData', 'No'],
];
const immediate: readonly TextPair[] = [['FirstBurstLength', '262144']];
const limits = { sharedBytesMax: 256 * kibi, floorBytes: 64 * kibi };

/** Holds every answer of the device back until it is called. */
function gated(target: TestTarget): () => void {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  target.device.gate = () => opened;
  return () => {
    target.device.gate = undefined;
    open();
  };
}

async function logIn(target: TestTarget, count: number, keys: readonly TextPair[]): Promise<Initiator[]> {
  const initiators: Initiator[] = [];
  for (let i = 0; i < count; i++) {
    const isid = `00023d0000${(16 + i).toString(16)}`;
    initiators.push(await new Initiator(target).start({ keys, isid }));
  }
  return initiators;
}

const writeOf = (initiator: Initiator, blocks: number): number =>
  initiator.command({ write: true, expectedBytes: blocks * blockBytes, cdb: rwCdb(0x2a, 0, blocks) });

test('many sessions ask for no more data than the Corelet has memory for, and each gets its turn', async () => {
  const target = new TestTarget(limits);
  const initiators = await logIn(target, 8, solicited);
  const open = gated(target);
  const blocks = 256; // 128 KiB
  const tags = initiators.map((initiator) => writeOf(initiator, blocks));
  await turn();
  const asked = initiators.filter(({ received }) => received.length > 0);
  assert.equal(asked.length, 2, 'as many as there is room for');
  open();
  const data = pattern(blocks * blockBytes);
  for (const [i, initiator] of initiators.entries()) {
    const { transferTag } = await initiator.takeR2t();
    initiator.dataOut({ taskTag: tags[i] as number, transferTag }, data);
    assert.equal((await initiator.answer(tags[i] as number)).status, 0);
  }
});

test('who holds nothing gets a small command through, however much the others hold', async () => {
  const target = new TestTarget(limits);
  const [greedy, modest] = (await logIn(target, 2, solicited)) as [Initiator, Initiator];
  writeOf(greedy, 256);
  writeOf(greedy, 256);
  await turn();
  assert.equal(greedy.received.length, 2, 'all there is');
  assert.equal((await modest.read(0, 8)).status, 0);
});

test('data that nobody asked for are bounded too: reading stops, and goes on when there is room', async () => {
  const target = new TestTarget({ ...limits, inputBytesMax: 64 * kibi });
  const [initiator] = (await logIn(target, 1, immediate)) as [Initiator];
  const open = gated(target);
  const blocks = 64; // 32 KiB
  const data = pattern(blocks * blockBytes);
  const fields = { write: true, expectedBytes: data.length, cdb: rwCdb(0x2a, 0, blocks) };
  const tags: number[] = [];
  while (!initiator.isPaused && tags.length < 100) tags.push(initiator.command(fields, data));
  const heldBytes = tags.length * data.length;
  assert.ok(heldBytes <= 512 * kibi, `${heldBytes} bytes were taken`);
  open();
  for (const tag of tags) assert.equal((await initiator.answer(tag)).status, 0);
  await until(() => !initiator.isPaused, 'reading goes on');
});

test('answers that an initiator does not take count: others are not begun', async () => {
  const target = new TestTarget(limits);
  const [slow, other] = (await logIn(target, 2, solicited)) as [Initiator, Initiator];
  slow.queuedBytes = 300 * kibi;
  await slow.read(0, 8);
  const tag = writeOf(other, 256);
  await turn();
  assert.equal(other.received.length, 0);
  slow.queuedBytes = 0;
  slow.connection.drained();
  const { transferTag } = await other.takeR2t();
  other.dataOut({ taskTag: tag, transferTag }, pattern(256 * blockBytes));
  assert.equal((await other.answer(tag)).status, 0);
});

test('a session that ends gives everything back', async () => {
  const target = new TestTarget(limits);
  const [gone, other] = (await logIn(target, 2, solicited)) as [Initiator, Initiator];
  gone.queuedBytes = 300 * kibi;
  await gone.read(0, 8);
  writeOf(gone, 512);
  writeOf(other, 512);
  await turn();
  assert.equal(other.received.length, 0);
  gone.connection.closed();
  await other.takeR2t();
});

for (const [what, act] of [
  ['owes data', (initiator: Initiator) => void writeOf(initiator, 64)],
  ['left a command number out', (initiator: Initiator) => void initiator.command({ cmdSn: initiator.cmdSn + 1 })],
  [
    'takes no answers',
    (initiator: Initiator) => {
      initiator.isSlowReader = true;
      initiator.nop();
    },
  ],
] as const) {
  test(`who ${what} for a minute is cut off, though it answers every question`, async () => {
    const target = new TestTarget({ busyPingMs: 1000, idlePingMs: 1000 });
    const [initiator] = (await logIn(target, 1, solicited)) as [Initiator];
    act(initiator);
    await until(() => initiator.received.length > 0 || what !== 'takes no answers', 'the answer queued');
    for (let seconds = 0; seconds < 58; seconds++) {
      target.clock.advance(1000);
      initiator.nop({ taskTag: 0xffff_ffff });
      assert.equal(initiator.isClosed, false, `alive after ${seconds} s`);
    }
    for (let seconds = 0; seconds < 4; seconds++) target.clock.advance(1000);
    await initiator.closed();
  });
}
