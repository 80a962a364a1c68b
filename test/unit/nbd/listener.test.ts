import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { utf8Bytes } from '../../../src/base/bytes.ts';
import type { TargetListener } from '../../../src/platform/target-listener.ts';
import { commands, options } from '../../../src/wire/nbd/codes.ts';
import { readU32 } from '../../../src/wire/big-endian.ts';
import { encodeOption } from '../../../src/wire/nbd/option.ts';
import { MemoryCatalog, MemoryDevice } from './memory-device.ts';
import { serve } from './serve.ts';
import { pattern, requestBytesOf, until } from './session-client.ts';

const mebi = 1024 * 1024;
const handshake = [new Uint8Array([0, 0, 0, 3]), encodeOption(options.exportName, utf8Bytes('vol'))];
const handshakeAnswerBytes = 18 + 10;

const listeners: TargetListener[] = [];
after(async () => {
  for (const listener of listeners) await listener.close();
});

async function served(
  limits: Parameters<typeof serve>[2] = {},
): Promise<{ device: MemoryDevice; listener: TargetListener }> {
  const device = new MemoryDevice({ name: 'vol', sizeBytes: 8 * mebi });
  const listener = await serve(new MemoryCatalog(device), 0, limits);
  listeners.push(listener);
  return { device, listener };
}

/** A raw socket that remembers what it was sent. */
class RawClient {
  readonly socket: Socket;
  readonly #chunks: Buffer[] = [];
  receivedBytes = 0;
  isClosed = false;

  constructor(port: number) {
    this.socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.receivedBytes += chunk.length;
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => (this.isClosed = true));
  }

  write(...parts: Uint8Array[]): void {
    for (const part of parts) this.socket.write(part);
  }

  /** The next `count` bytes. */
  async take(count: number): Promise<Buffer> {
    await until(() => this.receivedBytes >= count || this.isClosed, `${count} bytes from the server`);
    assert.ok(this.receivedBytes >= count, 'the server closed the connection');
    const all = Buffer.concat(this.#chunks);
    this.#chunks.length = 0;
    this.#chunks.push(all.subarray(count));
    this.receivedBytes = all.length - count;
    return all.subarray(0, count);
  }

  async connected(): Promise<this> {
    this.write(...handshake);
    await this.take(handshakeAnswerBytes);
    return this;
  }

  async closed(): Promise<void> {
    if (!this.isClosed) await once(this.socket, 'close');
  }
}

async function writeAndReadBack(client: RawClient, round: number): Promise<void> {
  const payload = pattern(4096, round);
  const offset = round * 4096;
  client.write(requestBytesOf({ command: commands.write, offset, payload, cookie: round }));
  const written = await client.take(16);
  assert.deepEqual([readU32(written, 4), readU32(written, 12)], [0, round]);
  client.write(requestBytesOf({ command: commands.read, offset, lengthBytes: 4096, cookie: round }));
  const read = await client.take(16 + 4096);
  assert.deepEqual([readU32(read, 4), readU32(read, 12)], [0, round]);
  assert.ok(read.subarray(16).equals(payload));
}

test('a well-behaved client notices nothing of hostile ones beside it', async () => {
  const { listener } = await served();
  const good = await new RawClient(listener.port).connected();
  const lyingOption = encodeOption(options.info, new Uint8Array(0));
  lyingOption.fill(0xff, 12);
  const badRequest = requestBytesOf({ command: commands.read, lengthBytes: 4096 });
  badRequest[0] = 0;
  const tooLarge = requestBytesOf({ command: commands.write, lengthBytes: 0xffff_ffff });
  const attacks: Uint8Array[][] = [
    [pattern(100_000)],
    [new Uint8Array([0, 0, 0, 3]), lyingOption],
    [...handshake, badRequest],
    [...handshake, tooLarge],
    [...handshake, requestBytesOf({ command: commands.read, lengthBytes: mebi, cookie: 1 })],
    [...handshake, requestBytesOf({ command: commands.write, payload: pattern(9000) }).slice(0, 500)],
  ];
  for (let round = 1; round <= 60; round++) {
    const hostile = new RawClient(listener.port);
    hostile.write(...(attacks[round % attacks.length] as Uint8Array[]));
    await writeAndReadBack(good, round);
    hostile.socket.destroy();
    await hostile.closed();
  }
  await writeAndReadBack(good, 61);
  good.write(requestBytesOf({ command: commands.disconnect }));
  await good.closed();
  await until(() => listener.sessionCount === 0, 'no session is left behind');
});

test('a client that never reads its replies holds bounded memory and disturbs nobody', async () => {
  const { listener, device } = await served({ outputBytesMax: mebi });
  const deaf = await new RawClient(listener.port).connected();
  deaf.socket.pause();
  const flood = requestBytesOf({ command: commands.read, lengthBytes: 4 * mebi });
  for (let i = 0; i < 400; i++) deaf.write(flood);
  const good = await new RawClient(listener.port).connected();
  for (let round = 1; round <= 20; round++) await writeAndReadBack(good, round);
  const reads = device.calls.filter((call) => call.lengthBytes === 4 * mebi).length;
  assert.ok(reads <= 40, `${reads} reads were begun for a client that takes none`);
  deaf.socket.destroy();
  good.socket.destroy();
});

test('connections beyond the maximum are closed at once, those within it live', async () => {
  const { listener } = await served({ connectionsMax: 2 });
  const first = await new RawClient(listener.port).connected();
  const second = await new RawClient(listener.port).connected();
  const third = new RawClient(listener.port);
  await third.closed();
  assert.equal(third.receivedBytes, 0);
  await writeAndReadBack(first, 1);
  second.socket.destroy();
  await second.closed();
  await until(() => listener.sessionCount === 1, 'room again');
  await writeAndReadBack(await new RawClient(listener.port).connected(), 2);
  first.socket.destroy();
});

test('a client that hangs up in mid-write leaves the volume without that write and the listener without a session', async () => {
  const { listener, device } = await served();
  const client = await new RawClient(listener.port).connected();
  client.write(requestBytesOf({ command: commands.write, payload: pattern(100_000) }).slice(0, 60_000));
  client.socket.destroy();
  await until(() => listener.sessionCount === 0, 'the session is gone');
  assert.equal(device.calls.length, 0);
});

test('close: what is under way is answered, then connections end and nobody can connect', async () => {
  const device = new MemoryDevice({ name: 'vol', sizeBytes: mebi });
  let release = (): void => {};
  device.gate = () => new Promise<void>((resolve) => (release = resolve));
  const listener = await serve(new MemoryCatalog(device));
  const busy = await new RawClient(listener.port).connected();
  const idle = await new RawClient(listener.port).connected();
  busy.write(requestBytesOf({ command: commands.write, payload: pattern(512), cookie: 7 }));
  await until(() => device.calls.length === 1, 'the write is at the volume');
  const closing = listener.close();
  await idle.closed();
  release();
  const reply = await busy.take(16);
  assert.deepEqual([readU32(reply, 4), readU32(reply, 12)], [0, 7]);
  await busy.closed();
  await closing;
  await assert.rejects(once(connect({ host: '127.0.0.1', port: listener.port }), 'connect'));
});

test('a port in use is an error for the caller to tell, not a silent door', async () => {
  const { listener } = await served();
  await assert.rejects(serve(new MemoryCatalog(), listener.port), { code: 'EADDRINUSE' });
});
