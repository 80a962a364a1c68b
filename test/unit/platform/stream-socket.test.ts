import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { roomFor, StreamSocket, turnBytesMax } from '../../../src/platform/stream-socket.ts';

/** Two ends of a TCP connection: a plain socket and, behind a server, the one to be taken over. */
async function pair(t: TestContext, allowHalfOpen = false): Promise<{ client: Socket; accepted: Socket }> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  const [accepted] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    client.destroy();
    server.close();
  });
  return { client, accepted };
}

interface Heard {
  readonly bytes: number[];
  ended: boolean;
  closed: boolean;
}

function take(socket: Socket): { stream: StreamSocket; heard: Heard; changed: () => Promise<void> } {
  const heard: Heard = { bytes: [], ended: false, closed: false };
  let tell: () => void = () => {};
  const stream = new StreamSocket(socket, {
    received: (bytes) => {
      heard.bytes.push(...bytes);
      tell();
    },
    ended: () => {
      heard.ended = true;
      tell();
    },
    closed: () => {
      heard.closed = true;
      tell();
    },
  });
  const changed = () =>
    new Promise<void>((resolve) => {
      tell = resolve;
    });
  return { stream, heard, changed };
}

test('bytes read before a socket is taken over come first: no hello swallows the message behind it', async (t) => {
  const { client, accepted } = await pair(t);
  client.write('before');
  accepted.resume();
  const [first] = (await once(accepted, 'data')) as [Buffer];
  accepted.pause();
  accepted.unshift(first.subarray(2));
  const { heard, changed } = take(accepted);
  client.write(', after');
  while (heard.bytes.length < 'fore, after'.length) await changed();
  assert.equal(Buffer.from(heard.bytes).toString(), 'fore, after');
});

test('a reader that is slow gets every byte, once and in order, also where the system took a part only', async (t) => {
  const { client, accepted } = await pair(t);
  const { stream } = take(accepted);
  client.pause();
  const sent: Buffer[] = [];
  let inFull = 0;
  for (let i = 0; i < 600; i++) {
    const parts = [Buffer.alloc(100 + i, i), Buffer.alloc((i * 97) % 40_000, i + 1)];
    sent.push(...parts);
    let lengthBytes = 0;
    for (const part of parts) lengthBytes += part.length;
    if (stream.write(parts, lengthBytes)) inFull++;
  }
  assert.ok(inFull > 0 && inFull < 600, 'both ways were taken');
  assert.ok(stream.queuedBytes > 0, 'what waits is counted: a lane can be full');
  const expected = Buffer.concat(sent);
  const received: Buffer[] = [];
  let bytes = 0;
  client.on('data', (chunk: Buffer) => {
    received.push(chunk);
    bytes += chunk.length;
  });
  client.resume();
  while (bytes < expected.length) await once(client, 'data');
  assert.ok(Buffer.concat(received).equals(expected));
});

test('the other side’s end and a reset are heard: a dead peer is noticed by its connection', async (t) => {
  const { client, accepted } = await pair(t, true);
  const ending = take(accepted);
  client.end('last');
  while (!ending.heard.ended) await ending.changed();
  assert.equal(Buffer.from(ending.heard.bytes).toString(), 'last');
  assert.equal(ending.heard.closed, false, 'answers may still be sent');
  assert.equal(ending.stream.write([Buffer.from('reply')], 5), true);
  const [reply] = (await once(client, 'data')) as [Buffer];
  assert.equal(reply.toString(), 'reply');

  const other = await pair(t);
  const reset = take(other.accepted);
  other.client.resetAndDestroy();
  while (!reset.heard.closed) await reset.changed();
});

test('while it is paused nothing is delivered', async (t) => {
  const { client, accepted } = await pair(t);
  const { stream, heard, changed } = take(accepted);
  client.write('a');
  while (heard.bytes.length < 1) await changed();
  stream.pause();
  client.write('b');
  const echo = await pair(t);
  echo.client.write('x');
  echo.accepted.resume();
  await once(echo.accepted, 'data'); // whole turns of the event loop have passed
  assert.equal(heard.bytes.length, 1);
  stream.resume();
  while (heard.bytes.length < 2) await changed();
});

test('memory for what was received is never given twice', () => {
  const rooms = Array.from({ length: 200 }, (_, i) => roomFor(1 + ((i * 523) % 20_000)));
  for (const [i, room] of rooms.entries()) room.fill(i);
  for (const [i, room] of rooms.entries()) assert.ok(room.every((byte) => byte === (i & 0xff)));
});

test('who sends much has its turn, then others have theirs: between two rounds of the event loop little is read', async (t) => {
  const { client, accepted } = await pair(t);
  const sentBytes = 4 * 1024 * 1024;
  const oneReadBytes = 64 * 1024;
  let receivedBytes = 0;
  let turnBytes = 0;
  let longestTurnBytes = 0;
  const stream = new StreamSocket(accepted, {
    received: (bytes) => {
      receivedBytes += bytes.length;
      turnBytes += bytes.length;
      longestTurnBytes = Math.max(longestTurnBytes, turnBytes);
    },
    ended: () => undefined,
    closed: () => undefined,
  });
  stream.pause();
  // As much lies ready in the system as it holds.
  client.write(Buffer.alloc(sentBytes));
  for (let round = 0; round < 50; round++) await new Promise<void>((resolve) => void setImmediate(resolve));
  stream.resume();
  while (receivedBytes < sentBytes) {
    await new Promise<void>((resolve) => void setImmediate(resolve));
    turnBytes = 0;
  }
  assert.ok(longestTurnBytes > oneReadBytes, 'more than one read lay ready');
  assert.ok(longestTurnBytes < turnBytesMax + oneReadBytes, `${longestTurnBytes} bytes in one turn`);
});

test('a socket that waits for its next turn stays paused if it is paused meanwhile', async (t) => {
  const { client, accepted } = await pair(t);
  let receivedBytes = 0;
  let isHeldOnce = false;
  const stream = new StreamSocket(accepted, {
    received: (bytes, isHeld) => {
      receivedBytes += bytes.length;
      if (!isHeld || isHeldOnce) return;
      isHeldOnce = true;
      stream.pause();
    },
    ended: () => undefined,
    closed: () => undefined,
  });
  const sentBytes = 2 * 1024 * 1024;
  client.write(Buffer.alloc(sentBytes));
  while (!isHeldOnce) await new Promise<void>((resolve) => void setImmediate(resolve));
  const readBytes = receivedBytes;
  for (let round = 0; round < 50; round++) await new Promise<void>((resolve) => void setImmediate(resolve));
  assert.equal(receivedBytes, readBytes);
  stream.resume();
  while (receivedBytes < sentBytes) await new Promise<void>((resolve) => void setImmediate(resolve));
});
