import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { Prng } from '../../../src/base/prng.ts';
import { listenTarget, type TargetListener } from '../../../src/platform/target-listener.ts';
import { encodeText } from '../../../src/wire/iscsi/text.ts';
import { realClock } from '../nbd/clocks.ts';
import { until } from '../nbd/session-client.ts';
import { hostilePdu } from './hostile-pdu.ts';
import { Initiator, pattern, TestTarget } from './initiator.ts';

const cases = 10_000;
const strangersMax = 8;
const seed = 1_128;

interface Served {
  readonly target: TestTarget;
  readonly listener: TargetListener;
}

async function served(): Promise<Served> {
  const target = new TestTarget({}, 64 * 1024 * 1024, realClock);
  const openSession: Parameters<typeof listenTarget>[0]['openSession'] = (output) => target.target.open(output);
  return { target, listener: await listenTarget({ host: '127.0.0.1', port: 0, clock: realClock, openSession }) };
}

/** An initiator at the other end of a real connection. */
function dial({ target, listener }: Served): { readonly initiator: Initiator; readonly socket: Socket } {
  const socket = connect(listener.port, '127.0.0.1');
  const initiator = new Initiator(target, { receive: (chunk) => void socket.write(chunk) });
  socket.on('data', (chunk: Buffer) => void initiator.send([new Uint8Array(chunk)]));
  socket.on('error', () => {}); // 'close' follows
  socket.on('close', () => initiator.end());
  return { initiator, socket };
}

test('over a socket: who is connected from where is known, and a broken connection ends its session', async () => {
  const door = await served();
  const { initiator, socket } = dial(door);
  await initiator.start();
  const data = pattern(64 * 512);
  assert.equal((await initiator.write(3, data)).status, 0);
  assert.deepEqual((await initiator.read(3, 64)).data, data);
  const [session] = door.target.target.sessions();
  assert.equal(session?.localAddress, `127.0.0.1:${door.listener.port}`);
  assert.equal(session?.remoteAddress, `127.0.0.1:${socket.localPort}`);
  socket.destroy();
  await until(() => door.target.target.sessions().length === 0, 'its session ended');
  await door.listener.close();
});

test(`${cases} hostile PDUs over sockets: no crash, nothing left behind; a session beside them notices nothing`, async (t) => {
  const random = new Prng(seed);
  const door = await served();
  const neighbour = dial(door).initiator;
  await neighbour.start({ name: 'iqn.2026-01.test:neighbour' });
  const mine = pattern(4096);
  const strangers: (ReturnType<typeof dial> | undefined)[] = [];
  let sessions = 0;
  for (let sent = 0; sent < cases; sent++) {
    const at = random.below(strangersMax);
    let stranger = strangers[at];
    if (stranger === undefined || stranger.initiator.isClosed || random.chance(0.01)) {
      stranger?.socket.destroy();
      stranger = dial(door);
      strangers[at] = stranger;
      sessions += 1;
      const isid = sessions.toString(16).padStart(12, '0');
      // Not waited for: what follows may come in the midst of the login.
      if (random.chance(0.9)) stranger.initiator.loginPdu({ isid }, encodeText(stranger.initiator.identity()));
    }
    if (stranger.socket.writable) stranger.socket.write(hostilePdu(random));
    stranger.initiator.received.length = 0;
    if (sent % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (sent % 500 !== 0) continue;
    // A reset by a stranger costs a unit attention, and nothing else.
    let written = await neighbour.write(100_000, mine);
    while (written.status !== 0) {
      assert.equal((written.sense[2] as number) & 15, 6, 'a unit attention');
      written = await neighbour.write(100_000, mine);
    }
    assert.deepEqual((await neighbour.read(100_000, 8)).data, mine);
  }
  for (const stranger of strangers) stranger?.socket.destroy();
  await until(() => door.target.target.sessions().length === 1, 'only the neighbour is left');
  assert.ok(!neighbour.isClosed);
  t.diagnostic(`${sessions} connections`);
  neighbour.logoutPdu();
  await door.listener.close();
});
