import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { MemoryCatalog, MemoryDevice } from '../nbd/memory-device.ts';
import { attach, codeOf, compareOf, openQueue, readOf, writeOf } from './host.ts';
import type { Asked, Completion, Initiator } from './initiator.ts';
import { serveNvme, type ServedNvme } from './serve.ts';

const opened: ServedNvme[] = [];
after(async () => {
  for (const served of opened) await served.close();
});

async function queueOf(): Promise<{ device: MemoryDevice; queue: Initiator }> {
  const device = new MemoryDevice({ name: 'vol', sizeBytes: 4 * 1024 * 1024 });
  const served = await serveNvme(new MemoryCatalog(device));
  opened.push(served);
  return { device, queue: await openQueue(served.port, await attach(served.port)) };
}

/** Both commands in one write, one right behind the other. */
function pair(queue: Initiator, ...asked: Asked[]): Promise<Completion[]> {
  const cids = asked.map(() => queue.nextCid());
  const answers = asked.map((one, i) => queue.expect(one, cids[i] as number));
  queue.send(...asked.map((one, i) => queue.commandPdu(one, cids[i] as number)));
  return Promise.all(answers);
}

const old = Buffer.alloc(4096, 1);
const fresh = Buffer.alloc(4096, 2);

for (const inCapsule of [true, false]) {
  const how = inCapsule ? 'data with the commands' : 'data that is asked for';
  test(`compare and write, ${how}: done when it compares, and not when it does not`, async () => {
    const { device, queue } = await queueOf();
    await queue.well(writeOf(8, old));
    const both = () =>
      pair(queue, { ...compareOf(8, old, 1), inCapsule }, { ...writeOf(8, fresh, inCapsule), fuse: 2 });
    assert.deepEqual((await both()).map(codeOf), ['0', '0']);
    assert.equal(device.bytes[4096], 2, 'written');
    assert.deepEqual((await both()).map(codeOf), ['285', '9'], 'the second time it is no longer what was expected');
    assert.equal(device.calls.filter(({ kind }) => kind === 'compareAndWrite').length, 2, 'as one, each time');
  });
}

test('a first without its second, and a second without its first, are refused, and nothing is written', async () => {
  const { device, queue } = await queueOf();
  const [first, read] = await pair(queue, compareOf(0, old, 1), readOf(0, 1));
  assert.deepEqual([codeOf(first as Completion), codeOf(read as Completion)], ['a', '0']);
  assert.equal(codeOf(await queue.command({ ...writeOf(0, fresh), fuse: 2 })), 'a');
  assert.equal(device.bytes[0], 0);
});

test('two of a pair that do not belong together are both refused', async () => {
  const { device, queue } = await queueOf();
  const places = await pair(queue, compareOf(0, old, 1), { ...writeOf(8, fresh), fuse: 2 });
  assert.deepEqual(places.map(codeOf), ['9', '2']);
  const opcodes = await pair(queue, { ...writeOf(0, old), fuse: 1 }, { ...writeOf(0, fresh), fuse: 2 });
  assert.deepEqual(opcodes.map(codeOf), ['2', 'a']);
  const beyond = await pair(queue, compareOf(8192, old, 1), { ...writeOf(8192, fresh), fuse: 2 });
  assert.deepEqual(beyond.map(codeOf), ['80', '80']);
  assert.ok(device.bytes.every((byte) => byte === 0));
});

test('more than 4 KiB can not be compared and written as one, and is refused rather than torn', async () => {
  const { device, queue } = await queueOf();
  const zeros = Buffer.alloc(8192);
  const answers = await pair(queue, compareOf(0, zeros, 1), { ...writeOf(0, Buffer.alloc(8192, 3)), fuse: 2 });
  assert.deepEqual(answers.map(codeOf), ['14', '9']);
  assert.equal(device.bytes[0], 0);
});
