import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { utf8Bytes } from '../../../src/base/bytes.ts';
import { Arrivals, PollWatch } from '../../../src/platform/poll-watch.ts';
import { commands, options } from '../../../src/wire/nbd/codes.ts';
import { encodeOption } from '../../../src/wire/nbd/option.ts';
import { ticketLifeMs } from '../../../src/wire/peer/limits.ts';
import { realClock } from './clocks.ts';
import { pattern, requestBytesOf, until } from './session-client.ts';

const full = 65_536;
const bufferBytes = 10 * full;

/** A watch that the test moves by hand. */
function watched(passedMs: number): { watch: PollWatch; arrivals: Arrivals } {
  const watch = new PollWatch(realClock, ticketLifeMs, () => undefined);
  watch.passedMs = passedMs;
  return { watch, arrivals: new Arrivals(watch, bufferBytes) };
}

test('a connection that brought nothing was empty: what comes next came after the newest whole poll', () => {
  const { watch, arrivals } = watched(100);
  assert.equal(arrivals.read(100, 120), 100);
  watch.passedMs = 5000;
  assert.equal(arrivals.read(100, 5010), 5000);
});

test('after a read that filled its buffer more may have waited: only a whole poll without anything tells that it did not', () => {
  const { watch, arrivals } = watched(100);
  assert.equal(arrivals.read(full, 120), 100);
  watch.passedMs = 110;
  assert.equal(arrivals.read(full, 130), 100);
  watch.passedMs = 125; // a poll, but the connection was read full after it
  assert.equal(arrivals.read(50, 140), 100);
  assert.equal(arrivals.read(50, 141), 125, 'the last read left room in its buffer: it was empty');
  assert.equal(arrivals.read(full, 150), 125);
  watch.passedMs = 160;
  assert.equal(arrivals.read(50, 170), 160);
});

test('a connection that had to wait for the next turn may have held more: as after a read that filled its buffer', () => {
  const { watch, arrivals } = watched(100);
  assert.equal(arrivals.read(50, 120, true), 100);
  watch.passedMs = 110;
  assert.equal(arrivals.openMs, 100, 'that poll had its part of this connection only');
  assert.equal(arrivals.read(50, 130), 100);
  watch.passedMs = 140;
  assert.equal(arrivals.read(50, 150), 140);
});

test('what came while reading was paused may be as old as the pause', () => {
  const { watch, arrivals } = watched(100);
  arrivals.read(50, 110);
  watch.passedMs = 900;
  arrivals.resumed(910);
  assert.equal(arrivals.read(50, 911), 100);
  watch.passedMs = 905;
  assert.equal(arrivals.read(50, 912), 100, 'that poll did not look at this connection');
  watch.passedMs = 915;
  assert.equal(arrivals.read(50, 930), 915);
});

test('a connection is known to be open as of a whole poll that looked at it: not while reading is paused, or after its end', () => {
  const { watch, arrivals } = watched(100);
  arrivals.read(50, 110);
  watch.passedMs = 400;
  assert.equal(arrivals.openMs, 400);
  arrivals.read(full, 410);
  assert.ok(arrivals.openMs <= 400, 'its end may lie behind what is still unread');
  watch.passedMs = 420;
  assert.equal(arrivals.openMs, 420);
  arrivals.paused();
  watch.passedMs = 900;
  assert.ok(arrivals.openMs <= 420);
  arrivals.resumed(910);
  assert.ok(arrivals.openMs <= 420);
  watch.passedMs = 915;
  assert.equal(arrivals.openMs, 915);
});

test('a connection that never runs dry is no older than a whole receive buffer', () => {
  const { watch, arrivals } = watched(100);
  let moment = 0;
  for (let read = 0; read < 40; read++) {
    watch.passedMs = 90 + 10 * read; // before the read that came last: that one filled its buffer
    moment = arrivals.read(full, 105 + 10 * read);
  }
  const readsPerBuffer = bufferBytes / full;
  assert.ok(moment >= 100 + 10 * (40 - 2 * readsPerBuffer - 1), `moment ${moment}`);
  assert.ok(moment <= 100 + 10 * (40 - readsPerBuffer), 'never newer than what may still have been unread');
});

test('the watch: its moment is past, a whole poll lies behind it, and it goes on while someone watches', async () => {
  const watch = new PollWatch(realClock, 60_000, () => undefined);
  const before = watch.passedMs;
  watch.start();
  await until(() => watch.passedMs > before, 'a first sample');
  const first = watch.passedMs;
  await until(() => watch.passedMs > first, 'another one');
  assert.ok(watch.passedMs <= realClock.nowMs());
  watch.stop();
});

test('a stopped Corelet, awake again, does not read what its hosts sent meanwhile: they may have gone another way', async () => {
  const child = spawn(process.execPath, [new URL('stalled.fixture.ts', import.meta.url).pathname], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    let told = '';
    child.stdout.on('data', (chunk: Buffer) => (told += chunk.toString()));
    await until(() => told.includes('port '), 'the child listens');
    const port = Number(/port (\d+)/.exec(told)?.[1]);
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    let received = 0;
    let isClosed = false;
    socket.on('data', (chunk: Buffer) => (received += chunk.length));
    socket.on('error', () => {});
    socket.on('close', () => (isClosed = true));
    socket.write(new Uint8Array([0, 0, 0, 3]));
    socket.write(encodeOption(options.exportName, utf8Bytes('vol')));
    await until(() => received >= 28, 'the handshake');
    socket.write(requestBytesOf({ command: commands.write, payload: pattern(512), cookie: 1 }));
    await until(() => told.includes('writes 1'), 'a first write');
    child.kill('SIGSTOP');
    socket.write(requestBytesOf({ command: commands.write, payload: pattern(512), cookie: 2 }));
    const stoppedMs = performance.now();
    await until(() => performance.now() - stoppedMs > 1.5 * ticketLifeMs, 'its hosts gave up');
    child.kill('SIGCONT');
    await until(() => isClosed, 'the connection is closed');
    assert.ok(!told.includes('writes 2'), 'the second write was never carried out');
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});
