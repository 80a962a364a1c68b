import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { createClock } from '../../src/platform/clock.ts';
import { createFabric } from '../../src/platform/fabric.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { encodeHello, type HelloMessage, decodeHello } from '../../src/wire/peer/hello.ts';
import { helloOf, home, idOf, probe } from './fabric-suite.ts';
import { socketWorld, unixAddress, waitUntil } from './fabric-world.ts';

// What only real processes and strangers on the socket can do.

async function startChild(listen: string, incarnation: number): Promise<ChildProcess> {
  const script = new URL('fabric-child.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, listen, String(incarnation)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await waitUntil(() => said.includes('ready') || child.exitCode !== null, 'the child');
  assert.match(said, /ready/);
  return child;
}

test('SIGKILL of a peer’s process is noticed through its sockets, and its next start takes over the socket file', async () => {
  const world = await socketWorld(unixAddress);
  const children: ChildProcess[] = [];
  try {
    const listen = `unix:${world.folder}/child.sock`;
    children.push(await startChild(listen, 1));
    const a = await world.plug(helloOf(1));
    a.fabric.setPeers(new Map([[idOf(2), listen]]));
    await waitUntil(() => a.fabric.isUp(idOf(2)), 'connected');
    a.fabric.send(idOf(2), probe(0));
    await waitUntil(() => a.heard.length === 1, 'an answer');
    children[0]?.kill('SIGKILL');
    await waitUntil(() => a.news.length === 2, 'news of the kill');
    assert.deepEqual(a.news, [`up ${idOf(2)} 1`, `down ${idOf(2)} reset`]);
    children.push(await startChild(listen, 2));
    await waitUntil(() => a.fabric.isUp(idOf(2)), 'reconnected');
    a.fabric.send(idOf(2), probe(0));
    await waitUntil(() => a.heard.length === 2, 'an answer of the new start');
    assert.deepEqual(a.heard[1], probe(2));
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await world.end();
  }
});

test('a socket that answers is never taken away from its owner', async () => {
  const world = await socketWorld(unixAddress);
  try {
    const a = await world.plug(helloOf(1));
    const thief = createFabric({ self: helloOf(2), listen: a.address });
    await assert.rejects(thief.start({ message() {}, peerUp() {}, peerDown() {} }), { code: 'EADDRINUSE' });
    await thief.close();
    const b = await world.plug(helloOf(3));
    b.fabric.setPeers(new Map([[idOf(1), a.address]]));
    await waitUntil(() => b.fabric.isUp(idOf(1)), 'the owner still answers');
  } finally {
    await world.end();
  }
});

test('an address is unix:PATH or tcp:HOST:PORT, and nothing else is guessed', () => {
  for (const listen of ['', 'unix:', `unix:${'x'.repeat(108)}`, 'tcp:1.2.3.4', 'tcp:1.2.3.4:65536', 'udp:1.2.3.4:5']) {
    assert.throws(() => createFabric({ self: helloOf(1), listen }), TypeError, listen);
  }
});

const strangerHello = (more: Partial<HelloMessage> = {}): Uint8Array =>
  encodeHello({
    version: 1,
    versionOldest: 1,
    lane: 0,
    refusal: 'none',
    cluster: home,
    id: idOf(9),
    incarnation: 1,
    authentication: new Uint8Array(0),
    ...more,
  });

function call(address: string): { socket: Socket; received: () => Uint8Array; closed: () => boolean } {
  const socket = connect({ path: address.slice('unix:'.length) });
  const chunks: Buffer[] = [];
  let closed = false;
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('close', () => (closed = true));
  socket.on('error', () => {});
  return { socket, received: () => new Uint8Array(Buffer.concat(chunks)), closed: () => closed };
}

test('strangers, silence and other formats are closed with a reason, once on record, and harm nobody', async () => {
  const world = await socketWorld(unixAddress);
  // Time runs twenty times as fast for whoever says nothing.
  const real = createClock();
  const clock: Clock = {
    nowMs: () => real.nowMs(),
    wallMs: () => real.wallMs(),
    after: (delayMs, run) => real.after(delayMs / 20, run),
    soon: (run) => real.soon(run),
  };
  try {
    const a = await world.plug(helloOf(1), undefined, undefined, { clock });
    const web = call(a.address);
    web.socket.write('GET / HTTP/1.1\r\n\r\n');
    const silent = call(a.address);
    await waitUntil(() => web.closed() && silent.closed(), 'closed');
    for (const [more, reason] of [
      [{ version: 9, versionOldest: 8 }, 'version'],
      [{ version: 9, versionOldest: 8 }, 'version'],
      [{ id: idOf(1) }, 'self'],
    ] as const) {
      const caller = call(a.address);
      caller.socket.write(strangerHello(more));
      await waitUntil(caller.closed, 'refused');
      assert.equal(decodeHello(caller.received()).refusal, reason);
    }
    assert.equal(world.refusals(), 2);
    const b = await world.plug(helloOf(2));
    b.fabric.setPeers(new Map([[idOf(1), a.address]]));
    await waitUntil(() => b.fabric.isUp(idOf(1)), 'a peer is still welcome');
  } finally {
    await world.end();
  }
});

test('a peer that sends what is no frame is cut off as a protocol error', async () => {
  const world = await socketWorld(unixAddress);
  try {
    const a = await world.plug(helloOf(1));
    const calls = ([0, 1, 2] as const).map((lane) => {
      const caller = call(a.address);
      caller.socket.write(strangerHello({ lane }));
      return caller;
    });
    await waitUntil(() => a.fabric.isUp(idOf(9)), 'up');
    calls[1]?.socket.write(new Uint8Array(64));
    await waitUntil(() => a.news.length === 2, 'cut off');
    assert.deepEqual(a.news, [`up ${idOf(9)} 1`, `down ${idOf(9)} protocol`]);
    await waitUntil(() => calls.every(({ closed }) => closed()), 'all its lanes are closed');
  } finally {
    await world.end();
  }
});

test('more than the kernel takes at once arrives unharmed: a buffer under a pending write is never reused', async () => {
  const world = await socketWorld(unixAddress);
  try {
    const a = await world.plug(helloOf(1));
    const b = await world.plug(helloOf(2));
    a.fabric.setPeers(new Map([[idOf(2), b.address]]));
    await waitUntil(() => a.fabric.isUp(idOf(2)), 'up');
    let next = 0;
    for (let turn = 0; turn < 50; turn++) {
      for (let i = 0; i < 2000; i++) assert.equal(a.fabric.send(idOf(2), probe(next++)), 'queued');
      await new Promise((resolve) => setImmediate(resolve));
    }
    await waitUntil(() => b.heard.length === next, 'everything');
    assert.ok(b.heard.every((message, at) => message.type === 'readProbe' && message.context === at));
  } finally {
    await world.end();
  }
});
