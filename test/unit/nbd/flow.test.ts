import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commands, errors } from '../../../src/wire/nbd/codes.ts';
import { silenceMsMax } from '../../../src/targets/nbd/limits.ts';
import { ticketLifeMs } from '../../../src/wire/peer/limits.ts';
import type { NbdLimits } from '../../../src/targets/nbd/limits.ts';
import { MemoryCatalog, MemoryDevice } from './memory-device.ts';
import { pattern, requestBytesOf, SessionClient, until } from './session-client.ts';

const mebi = 1024 * 1024;

interface Gated {
  readonly client: SessionClient;
  readonly device: MemoryDevice;
  /** Lets the oldest waiting call be answered. */
  readonly release: () => void;
}

async function gated(limits: Partial<NbdLimits>): Promise<Gated> {
  const device = new MemoryDevice({ name: 'vol', sizeBytes: 8 * mebi });
  const waiting: (() => void)[] = [];
  device.gate = () => new Promise<void>((resolve) => waiting.push(resolve));
  const client = new SessionClient(new MemoryCatalog(device), limits);
  await client.go();
  const release = (): void => {
    const next = waiting.shift();
    assert.ok(next !== undefined, 'a call waits');
    next();
  };
  return { client, device, release };
}

test('INV-8: with all requests of the bound under way the session stops reading, and resumes when one is answered', async () => {
  const { client, device, release } = await gated({ requestsMax: 4, inputBytesMax: 0 });
  const flood = Array.from({ length: 10 }, (_, cookie) =>
    requestBytesOf({ command: commands.read, lengthBytes: 512, cookie }),
  );
  client.session.receive(new Uint8Array(Buffer.concat(flood)));
  assert.equal(device.calls.length, 4);
  assert.ok(client.isPaused);
  for (let answered = 1; answered <= 10; answered++) {
    release();
    await client.reply(512);
    await until(() => device.calls.length === Math.min(10, 4 + answered), 'the next request');
  }
  await until(() => !client.isPaused, 'reading again');
});

test('INV-8: payload under way is bounded too, but one request always passes', async () => {
  const { client, device, release } = await gated({ inFlightBytesMax: mebi, inputBytesMax: 0 });
  client.request({ command: commands.read, lengthBytes: 2 * mebi, cookie: 1 });
  client.request({ command: commands.read, lengthBytes: 512, cookie: 2 });
  assert.equal(device.calls.length, 1);
  assert.ok(client.isPaused);
  release();
  assert.equal((await client.reply(2 * mebi)).cookie, 1);
  await until(() => device.calls.length === 2, 'the second request');
  release();
  assert.equal((await client.reply(512)).cookie, 2);
  assert.ok(!client.isPaused);
});

test('INV-8: a client that does not read its replies is not read from', async () => {
  const device = new MemoryDevice({ name: 'vol', sizeBytes: 8 * mebi });
  const client = new SessionClient(new MemoryCatalog(device), { inputBytesMax: 0 });
  await client.go();
  client.isSlowReader = true;
  await client.ask({ command: commands.read, lengthBytes: mebi });
  assert.ok(client.isPaused);
  client.request({ command: commands.read, lengthBytes: mebi });
  assert.equal(device.calls.length, 1, 'the next request waits');
  client.isSlowReader = false;
  client.session.drained();
  assert.equal((await client.reply(mebi)).data.length, mebi);
  assert.ok(!client.isPaused);
});

test('requests beyond the bound are still taken off the socket, up to a bound of their own: what waits there can’t be told from what is old', async () => {
  const { client, device, release } = await gated({ requestsMax: 1, inputBytesMax: 100 });
  const write = (cookie: number) => requestBytesOf({ command: commands.write, payload: pattern(16), cookie });
  client.session.receive(write(1), 0);
  client.clock.advance(400);
  client.session.receive(write(2), 300);
  assert.ok(!client.isPaused, 'one request waits: read on');
  client.session.receive(write(3), 350);
  client.session.receive(write(4), 360);
  assert.ok(client.isPaused);
  for (let cookie = 1; cookie <= 4; cookie++) {
    release();
    assert.equal((await client.reply()).cookie, cookie);
  }
  assert.equal(device.calls.length, 4);
});

test('a request that waited longer than its host may wait stays unread, and its connection is closed', async () => {
  const { client, device, release } = await gated({ requestsMax: 1 });
  client.session.receive(requestBytesOf({ command: commands.write, payload: pattern(16), cookie: 1 }), 0);
  client.session.receive(requestBytesOf({ command: commands.write, payload: pattern(16), cookie: 2 }), 0);
  client.clock.advance(ticketLifeMs + 1);
  release();
  await until(() => client.isDestroyed, 'closed');
  assert.equal(device.calls.length, 1, 'the second write never reached the volume');
});

test('a client that sends nothing and keeps its connection open waits for the cluster; one that was silent for too long may be gone', async () => {
  const { client, device, release } = await gated({ requestsMax: 1 });
  client.session.receive(requestBytesOf({ command: commands.write, payload: pattern(16), cookie: 1 }), 0);
  client.session.receive(requestBytesOf({ command: commands.write, payload: pattern(16), cookie: 2 }), 0);
  client.session.receive(requestBytesOf({ command: commands.write, payload: pattern(16), cookie: 3 }), 0);
  client.clock.advance(silenceMsMax / 2);
  client.openMs = client.clock.nowMs() - 40;
  assert.equal(device.commands[0]?.arrivedAfterMs, client.openMs, 'a try now may carry a ticket of then');
  release();
  assert.equal((await client.reply()).cookie, 1);
  await until(() => device.calls.length === 2, 'the second write');
  client.clock.advance(silenceMsMax / 2 + ticketLifeMs + 1);
  client.openMs = client.clock.nowMs();
  release();
  await until(() => client.isDestroyed, 'closed');
  assert.equal(device.calls.length, 2, 'the third write never reached the volume');
});

test('the volume is told when a write had not come yet; what its client sends later proves that it is still there', async () => {
  const { client, device, release } = await gated({});
  client.clock.advance(400);
  client.session.receive(requestBytesOf({ command: commands.write, payload: pattern(16), cookie: 1 }), 300);
  const [command] = device.commands;
  assert.equal(command?.arrivedAfterMs, 300);
  client.clock.advance(700);
  client.session.receive(requestBytesOf({ command: commands.write, payload: pattern(16), cookie: 2 }), 1000);
  assert.equal(command.arrivedAfterMs, 1000, 'whoever still sends on a connection has not left it');
  release();
  release();
});

test('a write goes to the volume in the pieces in which it came: payload is not copied', async () => {
  const device = new MemoryDevice({ name: 'vol', sizeBytes: 8 * mebi });
  const client = new SessionClient(new MemoryCatalog(device));
  await client.go();
  const request = requestBytesOf({ command: commands.write, payload: pattern(200_000) });
  const chunks = [request.slice(0, 65_536), request.slice(65_536, 131_072), request.slice(131_072)];
  for (const chunk of chunks) client.session.receive(chunk);
  await client.reply();
  assert.deepEqual(
    device.lastPieces.map((piece) => piece.buffer),
    chunks.map((chunk) => chunk.buffer),
  );
});

test('a stopping Corelet finishes what is under way, answers the rest with ESHUTDOWN, then closes', async () => {
  const { client, device, release } = await gated({});
  client.request({ command: commands.write, payload: pattern(512), cookie: 1 });
  client.session.stop();
  assert.ok(!client.isClosed);
  client.request({ command: commands.write, payload: pattern(512), cookie: 2 });
  const refused = await client.reply();
  assert.deepEqual([refused.cookie, refused.error], [2, errors.shutdown]);
  release();
  const done = await client.reply();
  assert.deepEqual([done.cookie, done.error], [1, 0]);
  await until(() => client.isEnded, 'ended');
  assert.equal(device.calls.length, 1);
});

test('a stopping Corelet does not wait for a payload that may never come', async () => {
  const { client, device } = await gated({});
  client.session.receive(requestBytesOf({ command: commands.write, payload: pattern(4096) }).slice(0, 1000));
  client.session.stop();
  await until(() => client.isEnded, 'ended');
  assert.equal(device.calls.length, 0, 'half a write is no write');
});

test('a connection that goes away takes its unanswered requests with it, silently', async () => {
  const { client, release } = await gated({});
  client.request({ command: commands.read, lengthBytes: 512 });
  client.session.closed();
  release();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(client.bytes.length, 0);
});
