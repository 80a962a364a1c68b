import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cdb, Initiator, mebi, reserveOutList, serverOver, u64 } from './initiator.ts';
import { MemoryVolume } from './memory-volume.ts';

const names = ['iqn.2026-01.test:a', 'iqn.2026-01.test:b', 'iqn.2026-01.test:c'];
const conflict = 0x18;
const [register, reserve, release, clear, preempt, preemptAndAbort, registerAnyway] = [0, 1, 2, 3, 4, 5, 6] as const;

/** Three hosts, the third through another Corelet. */
async function setUp() {
  const volume = new MemoryVolume('v', mebi);
  const [here, there] = [serverOver([volume], 0), serverOver([volume], 1)];
  const a = await Initiator.ready(here, names[0]);
  const b = await Initiator.ready(here, names[1]);
  const c = await Initiator.ready(there, names[2]);
  const out = (host: Initiator, action: number, key: number, actionKey = 0, type = 0) =>
    host.run(cdb.reserveOut(action, type), reserveOutList(key, actionKey));
  const status = async (...asked: Parameters<typeof out>) => (await out(...asked)).status;
  const may = async (host: Initiator) => {
    const read = (await host.run(cdb.read10(0, 1))).status === 0;
    return `${read ? 'r' : '-'}${(await host.run(cdb.write10(0, 1), new Uint8Array(512))).status === 0 ? 'w' : '-'}`;
  };
  return { volume, here, a, b, c, status, may, out };
}

test('who may read and write, by type: holder, registrant, anyone else', async () => {
  for (const [type, expected] of [
    [1, ['rw', 'r-', 'r-']],
    [3, ['rw', '--', '--']],
    [5, ['rw', 'rw', 'r-']],
    [6, ['rw', 'rw', '--']],
    [7, ['rw', 'rw', 'r-']],
    [8, ['rw', 'rw', '--']],
  ] as const) {
    const { a, b, c, status, may } = await setUp();
    assert.equal(await status(a, register, 0, 0xa), 0);
    assert.equal(await status(b, register, 0, 0xb), 0);
    assert.equal(await status(a, reserve, 0xa, 0, type), 0);
    assert.deepEqual([await may(a), await may(b), await may(c)], expected, `type ${type}`);
    assert.equal(await status(a, release, 0xa, 0, type), 0);
    // Registrants that could do something by it hear that it is gone.
    const heard = await b.run([0, 0, 0, 0, 0, 0]);
    assert.equal(heard.sense?.code, type >= 5 ? 0x2a04 : undefined);
    assert.deepEqual([await may(a), await may(b), await may(c)], ['rw', 'rw', 'rw']);
  }
});

test('READ KEYS, READ RESERVATION, FULL STATUS and CAPABILITIES tell what is so, through any Corelet', async () => {
  const { a, b, c, status } = await setUp();
  await status(a, register, 0, 0xa);
  await status(b, register, 0, 0xb);
  await status(b, reserve, 0xb, 0, 5);
  const keys = await c.good(cdb.reserveIn(0));
  assert.deepEqual([...keys], [0, 0, 0, 2, 0, 0, 0, 16, ...u64(0xa), ...u64(0xb)]);
  assert.equal((await c.good(cdb.reserveIn(0, 10))).length, 10);
  const held = await c.good(cdb.reserveIn(1));
  assert.deepEqual([...held.subarray(8, 16), held[21]], [...u64(0xb), 5]);
  const full = Buffer.from(await c.good(cdb.reserveIn(3)));
  assert.equal(full.readUInt32BE(4), full.length - 8);
  assert.ok(full.includes(`${names[1]},i,0x00023d000001`));
  assert.deepEqual([...(await c.good(cdb.reserveIn(2)))], [0, 8, 5, 0x81, 0xea, 1, 0, 0]);
  assert.deepEqual(await c.bad(cdb.reserveIn(4)), [5, 0x2400]);
});

test('the wrong key, no registration, another’s reservation: a conflict; wrong types and lists: an error', async () => {
  const { a, b, status, out } = await setUp();
  assert.equal(await status(a, reserve, 0, 0, 1), conflict);
  await status(a, register, 0, 0xa);
  assert.equal(await status(a, register, 0xb, 0xc), conflict);
  assert.equal(await status(a, reserve, 0xb, 0, 1), conflict);
  assert.equal(await status(a, reserve, 0xa, 0, 1), 0);
  assert.equal(await status(a, reserve, 0xa, 0, 1), 0, 'again the same is nothing new');
  assert.equal(await status(a, reserve, 0xa, 0, 3), conflict);
  await status(b, registerAnyway, 0xdead, 0xb);
  assert.equal(await status(b, reserve, 0xb, 0, 1), conflict);
  assert.equal(await status(b, release, 0xb, 0, 1), 0, 'what one doesn’t hold one may release');
  assert.equal((await out(a, release, 0xa, 0, 3)).sense?.code, 0x2604);
  assert.deepEqual(await a.bad(cdb.reserveOut(1, 2), reserveOutList(0xa, 0)), [5, 0x2400]);
  assert.deepEqual(await a.bad(cdb.reserveOut(1, 1, 16), new Uint8Array(16)), [5, 0x1a00]);
  assert.deepEqual(await a.bad(cdb.reserveOut(0), reserveOutList(0xa, 0xb, 0x08)), [5, 0x2600], 'SPEC_I_PT');
});

test('a preempted host loses its registration and its tasks, and hears of it; one elsewhere when it asks', async () => {
  const { a, b, c, status, may } = await setUp();
  await status(a, register, 0, 0xa);
  await status(b, register, 0, 0xb);
  await status(c, register, 0, 0xb);
  await status(b, reserve, 0xb, 0, 3);
  assert.equal(await status(a, preemptAndAbort, 0xa, 0xb, 1), 0);
  assert.deepEqual(b.losses, ['preempted']);
  assert.deepEqual(await b.bad([0, 0, 0, 0, 0, 0]), [6, 0x2a05]);
  assert.deepEqual(await b.bad([0, 0, 0, 0, 0, 0]), [6, 0x2f00]);
  assert.deepEqual([await may(a), await may(b), await may(c)], ['rw', 'r-', 'r-']);
  await c.run(cdb.reserveIn(0));
  assert.deepEqual(await c.bad([0, 0, 0, 0, 0, 0]), [6, 0x2a05]);
  assert.equal(await status(a, preempt, 0xa, 0xb, 1), conflict, 'nobody has that key any more');
});

test('CLEAR ends all of it, and those who were registered hear', async () => {
  const { a, b, status, may } = await setUp();
  await status(a, register, 0, 0xa);
  await status(b, register, 0, 0xb);
  await status(a, reserve, 0xa, 0, 3);
  assert.equal(await status(b, clear, 0xb), 0);
  assert.deepEqual(await a.bad([0, 0, 0, 0, 0, 0]), [6, 0x2a03]);
  assert.deepEqual([await may(a), await may(b)], ['rw', 'rw']);
});

test('a holder that unregisters releases what it held, and the other registrants hear', async () => {
  const { a, b, status, may } = await setUp();
  await status(a, register, 0, 0xa);
  await status(b, register, 0, 0xb);
  await status(a, reserve, 0xa, 0, 6);
  assert.equal(await status(a, register, 0xa, 0), 0);
  assert.deepEqual(await b.bad([0, 0, 0, 0, 0, 0]), [6, 0x2a04]);
  assert.equal(await may(a), 'rw');
});

test('RESERVE (6) keeps all others out until it is released or its session ends', async () => {
  const { a, b, c, may, volume, status } = await setUp();
  await a.good([0x16, 0, 0, 0, 0, 0]);
  assert.deepEqual([await may(a), await may(b), await may(c)], ['rw', '--', '--']);
  assert.equal((await c.run([0, 0, 0, 0, 0, 0])).status, conflict);
  assert.equal((await c.run([0x16, 0, 0, 0, 0, 0])).status, conflict);
  assert.equal(await status(c, register, 0, 0xc), conflict);
  await c.good([0x17, 0, 0, 0, 0, 0]);
  await c.good([0x12, 0, 0, 0, 96, 0]);
  assert.equal(await may(c), '--', 'only its holder can give it back');
  await a.nexus.close();
  assert.equal(volume.state.sessionHolder, undefined);
  assert.equal(await may(c), 'rw');
  await status(c, register, 0, 0xc);
  assert.equal((await b.run([0x16, 0, 0, 0, 0, 0])).status, conflict, 'not beside registrations');
});

test('a registration is its initiator port’s, through every session that it comes with', async () => {
  const { a, here, status, may } = await setUp();
  await status(a, register, 0, 0xa);
  await status(a, reserve, 0xa, 0, 3);
  await a.nexus.close();
  const again = await Initiator.ready(here, names[0]);
  assert.equal(await may(again), 'rw');
});
