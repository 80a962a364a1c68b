import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { BlockDevice, HostCommand, IoResult } from '../../../src/volume/block-device.ts';
import { eventually } from '../../interop/commands.ts';
import { ManualClock } from '../nbd/clocks.ts';
import { MemoryCatalog, MemoryDevice } from '../nbd/memory-device.ts';
import {
  attach,
  codeOf,
  enabled,
  type Host,
  logOf,
  openQueue,
  propertyGet,
  propertySet,
  readOf,
  writeOf,
} from './host.ts';
import type { Initiator } from './initiator.ts';
import { serveNvme, type ServedNvme, type ServeOptions } from './serve.ts';

// Design §3: what ends a host's commands completes only when every affected write is committed or can't be any more.

const opened: ServedNvme[] = [];
after(async () => {
  for (const served of opened) await served.close();
});

/** Writes reach the device and stay there until they are let go; remembers which were given up. */
class SlowDevice extends MemoryDevice {
  readonly held: { readonly command: HostCommand | undefined; readonly release: () => void }[] = [];
  givenUp = 0;
  isSlow = false;

  override async write(offset: number, data: readonly Uint8Array[], command?: HostCommand): Promise<IoResult> {
    if (!this.isSlow) return super.write(offset, data, command);
    command?.abandonment?.attach(() => {
      this.givenUp += 1;
    });
    await new Promise<void>((release) => this.held.push({ command, release }));
    return super.write(offset, data, command);
  }

  release(): void {
    for (const { release } of this.held.splice(0)) release();
  }
}

interface World {
  readonly device: SlowDevice;
  readonly served: ServedNvme;
  readonly port: number;
  readonly host: Host;
  readonly queue: Initiator;
}

async function worldOf(options: ServeOptions = {}, katoMs = 0): Promise<World> {
  const device = new SlowDevice({ name: 'vol', sizeBytes: 4 * 1024 * 1024 });
  const served = await serveNvme(new MemoryCatalog(device), options);
  opened.push(served);
  const host = await attach(served.port, { katoMs });
  return { device, served, port: served.port, host, queue: await openQueue(served.port, host) };
}

/** A write that has reached the device and is not done. */
async function heldWrite({ device, queue }: World): Promise<{ readonly answer: Promise<string> }> {
  device.isSlow = true;
  const answer = queue.command(writeOf(0, Buffer.alloc(4096, 5))).then(codeOf, () => 'unanswered');
  await eventually('the write reaches the device', 5000, () => device.held.length > 0 || undefined);
  return { answer };
}

async function statusOf(admin: Initiator): Promise<number> {
  return (await admin.well(propertyGet(0x1c))).dw0;
}

test('a host that falls silent loses its controller, but only when no write of it can land any more', async () => {
  const clock = new ManualClock();
  const world = await worldOf({ clock }, 5000);
  const { answer } = await heldWrite(world);
  clock.advance(4000);
  await world.host.admin.well({ opcode: 0x18 });
  clock.advance(4000);
  assert.equal(world.device.givenUp, 0, 'it was heard in between');
  clock.advance(1001);
  clock.advance(150);
  assert.equal(world.device.givenUp, 1, 'its write is given up');
  let isOver = false;
  void world.host.admin.ended.then(() => {
    isOver = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isOver, false, 'the write may still land');
  world.device.release();
  await Promise.all([world.host.admin.ended, world.queue.ended]);
  assert.notEqual(await answer, undefined, 'answered or not, it is over');
  await eventually('the controller is gone', 5000, () => world.served.target.controllerCount === 0 || undefined);
});

test('a host that asks for no keep-alive is never given up for silence', async () => {
  const clock = new ManualClock();
  const world = await worldOf({ clock });
  clock.advance(10_000_000);
  assert.equal(await statusOf(world.host.admin), 1);
});

test('a controller that is reset is ready to be enabled again only when its writes are over', async () => {
  const world = await worldOf();
  await heldWrite(world);
  const { admin } = world.host;
  await admin.well(propertySet(0x14, enabled - 1));
  assert.equal(world.device.givenUp, 1);
  assert.equal((await statusOf(admin)) & 1, 1, 'a write may still land');
  world.device.release();
  await world.queue.ended;
  assert.equal((await statusOf(admin)) & 1, 0, 'none can any more');
  await admin.well(propertySet(0x14, enabled));
  assert.equal(await statusOf(admin), 1);
  world.device.isSlow = false;
  const again = await openQueue(world.port, world.host);
  await again.well(readOf(0, 1));
});

test('a shutdown is complete when what was begun is done', async () => {
  const world = await worldOf();
  const { answer } = await heldWrite(world);
  const { admin } = world.host;
  await admin.well(propertySet(0x14, enabled | 0x4000));
  assert.equal(((await statusOf(admin)) >>> 2) & 3, 1, 'under way');
  world.device.release();
  assert.equal(await answer, '0', 'the write was done, and its host was told');
  await eventually('shut down', 5000, async () => ((await statusOf(admin)) >>> 2) % 4 === 2 || undefined);
});

test('a queue whose connection breaks gives its writes up, and its id may be used when they are over', async () => {
  const world = await worldOf();
  await heldWrite(world);
  world.queue.close();
  await eventually('given up', 5000, () => world.device.givenUp === 1 || undefined);
  world.device.release();
  world.device.isSlow = false;
  const again = await openQueue(world.port, world.host);
  await again.well(readOf(0, 1));
});

test('Disconnect is answered when every write before it is over', async () => {
  const world = await worldOf();
  const { answer } = await heldWrite(world);
  const ended = world.queue.command({ opcode: 0x7f, nsid: 0x08 }).then(codeOf);
  await eventually('given up', 5000, () => world.device.givenUp === 1 || undefined);
  world.device.release();
  assert.equal(await ended, '0');
  assert.equal(await answer, '0');
  await world.queue.ended;
});

test('Abort gives a write up, and says that its own answer tells what became of it', async () => {
  const world = await worldOf();
  const { answer } = await heldWrite(world);
  const { dw0 } = await world.host.admin.well({ opcode: 0x08, cdw10: 1 | (2 << 16) });
  assert.equal(dw0, 1, 'not aborted');
  assert.equal(world.device.givenUp, 1);
  world.device.release();
  assert.equal(await answer, '0');
});

test('a Corelet that stops finishes what was begun and answers it, then ends its connections', async () => {
  const world = await worldOf();
  const { answer } = await heldWrite(world);
  const closed = world.served.close();
  await new Promise((resolve) => setImmediate(resolve));
  world.device.release();
  assert.equal(await answer, '0');
  await closed;
});

test('an outcome that can not be told is not told: the connection ends unanswered', async () => {
  const { device, queue } = await worldOf();
  device.fail = () => 'UNKNOWN';
  await assert.rejects(queue.command(writeOf(0, Buffer.alloc(512))), /closed/);
});

const refusals = [
  ['NO_SPACE', '81', true],
  ['READ_ONLY', '20', true],
  ['CORRUPT', '281', true],
  ['CONFLICT', '83', true],
  ['GONE', 'b', true],
  ['RETRYABLE', '21', false],
] as const;
for (const [code, status, isFinal] of refusals) {
  test(`${code} is told as status ${status}h${isFinal ? ', for good' : ': try again'}`, async () => {
    const { device, queue } = await worldOf();
    device.fail = () => code;
    const answer = await queue.command(readOf(0, 1));
    assert.deepEqual([codeOf(answer), (answer.status & 0x4000) !== 0], [status, isFinal]);
  });
}

test('a Corelet that hears no majority tells its hosts to take another path, and that it is back', async () => {
  let isConnected = true;
  const clock = new ManualClock();
  const { host, queue } = await worldOf({ clock, world: { isConnected: () => isConnected } });
  const { admin } = host;
  await admin.well({ opcode: 0x09, cdw10: 0x0b, cdw11: 0x900 });
  const event = admin.command({ opcode: 0x0c });
  isConnected = false;
  await admin.well({ opcode: 0x18 }); // the request was received
  clock.advance(1000);
  assert.equal((await event).dw0, 0x0c_03_02, 'ANA changed: read log 0Ch');
  assert.equal(codeOf(await queue.command(readOf(0, 1))), '302');
  assert.equal(((await admin.well(logOf(0x0c, 52))).data[32] as number) & 0xf, 3, 'inaccessible');
  const next = admin.command({ opcode: 0x0c });
  isConnected = true;
  await admin.well({ opcode: 0x18 });
  clock.advance(1000);
  assert.equal((await next).dw0, 0x0c_03_02);
  await queue.well(readOf(0, 1));
});

test('an event is told once until its log was read, and never beyond what the host may have outstanding', async () => {
  let isConnected = true;
  const clock = new ManualClock();
  const { host } = await worldOf({ clock, world: { isConnected: () => isConnected } });
  const { admin } = host;
  await admin.well({ opcode: 0x09, cdw10: 0x0b, cdw11: 0x800 });
  const events = Array.from({ length: 4 }, () => admin.command({ opcode: 0x0c }));
  assert.equal(codeOf(await admin.command({ opcode: 0x0c })), '105', 'a fifth');
  isConnected = false;
  clock.advance(1000);
  assert.equal((await events[0])?.status, 0);
  isConnected = true;
  clock.advance(1000);
  await admin.well(logOf(0x0c, 52, 0, true)); // RAE: the event is kept
  let told = 0;
  for (const event of events) event.then(() => (told += 1)).catch(() => undefined); // the last ones end with the connection
  await admin.well({ opcode: 0x18 });
  assert.equal(told, 1);
  await admin.well(logOf(0x0c, 52));
  await events[1];
});

test('a volume that is gone is told as a change of namespaces, and is no longer listed', async () => {
  const { device, host, queue } = await worldOf();
  const { admin } = host;
  await admin.well({ opcode: 0x09, cdw10: 0x0b, cdw11: 0x100 });
  const event = admin.command({ opcode: 0x0c });
  device.fail = () => 'GONE';
  await queue.command(readOf(0, 1));
  assert.equal((await event).dw0, 0x04_00_02);
  assert.equal((await admin.well(logOf(4, 4096))).data.readUInt32LE(0), 1);
  assert.equal((await admin.well({ opcode: 0x06, cdw10: 2, roomBytes: 4096 })).data.readUInt32LE(0), 0);
});

test('a host that may not use a volume, or asks for one that is not there, is refused for good; no leader: try again', async () => {
  const device = new MemoryDevice({ name: 'vol', sizeBytes: 1024 * 1024 });
  const catalog = new MemoryCatalog(device);
  const names: (string | undefined)[] = [];
  const open = catalog.open.bind(catalog) as (name: string) => Promise<BlockDevice | 'NOT_FOUND' | 'RETRYABLE'>;
  catalog.open = (name: string, host?: string) => {
    names.push(host);
    return host?.endsWith('forbidden') === true ? Promise.resolve('NOT_FOUND' as const) : open(name);
  };
  const served = await serveNvme(catalog);
  opened.push(served);
  await assert.rejects(attach(served.port, { hostNqn: 'nqn.2026-01.test:forbidden' }), /4182h/);
  await assert.rejects(attach(served.port, { subsystemNqn: 'nqn.2026-01.io.corelet:none' }), /4182h/);
  catalog.retryCount = 1;
  await assert.rejects(attach(served.port), /status 181h/);
  await attach(served.port);
  assert.equal(names[0], 'nqn.2026-01.test:forbidden', 'the volume is opened for the host by its name');
  assert.equal(device.closes, 0);
});
