import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlockDevice, HostReservations, ReservationResult } from '../../../src/volume/block-device.ts';
import type { ReservationAction } from '../../../src/volume/reservation-actions.ts';
import { noKey } from '../../../src/volume/reservations.ts';
import { block, mebi, World } from './world.ts';

// Reservations through gateways of simulated Corelets: what one changes holds for all, from the answer on.

const keys = { a: '000000000000000a', b: '000000000000000b', c: '000000000000000c' } as const;
type Name = keyof typeof keys;
const filled = (value: number): Uint8Array[] => [new Uint8Array(block).fill(value)];

const registers = (id: Name): ReservationAction => ({
  kind: 'register',
  id,
  key: noKey,
  newKey: keys[id],
  ignoreKey: true,
});
const preempts = (id: Name, victim: Name): ReservationAction => ({
  kind: 'preempt',
  id,
  key: keys[id],
  victim: keys[victim],
  type: 'writeExclusiveRegistrants',
});

function reservationsOf(device: BlockDevice): HostReservations {
  assert.ok(device.reservations);
  return device.reservations;
}

class Table {
  readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  async change(device: BlockDevice, action: ReservationAction): Promise<ReservationResult> {
    for (let tries = 0; ; tries++) {
      const result = await this.world.settle(reservationsOf(device).change(action));
      if (result.ok || result.code !== 'RETRYABLE' || tries === 20) return result;
      await this.world.pass(500);
    }
  }

  async done(device: BlockDevice, ...actions: ReservationAction[]): Promise<void> {
    for (const action of actions) {
      const result = await this.change(device, action);
      assert.ok(result.ok, JSON.stringify(result));
    }
  }

  write(device: BlockDevice, offset: number, value: number) {
    return this.world.settle(device.write(offset, filled(value)));
  }
}

test('after PREEMPT no write of the preempted host lands, wherever its writes were: each byte stays as it was then', async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const world = await new World(500 + seed).started();
    const table = new Table(world);
    const a = await world.open(1, 'a', 'a');
    const b = await world.open(2, 'b', 'b');
    await table.done(a, registers('a'));
    await table.done(b, registers('b'));
    await table.done(a, { kind: 'reserve', id: 'a', key: keys.a, type: 'writeExclusiveRegistrants' });
    const answers = Array.from({ length: 16 }, (_, i) => a.write(i * mebi, filled(100 + i)));
    await world.pass(seed % 4);
    await table.done(b, preempts('b', 'a'));
    const then: number[] = [];
    for (let i = 0; i < 16; i++) then.push(await world.byteAt(b, i * mebi));
    for (const answer of answers) await world.settle(answer);
    await world.pass(3000);
    for (let i = 0; i < 16; i++) assert.equal(await world.byteAt(b, i * mebi), then[i], `seed ${seed}, chunk ${i}`);
    assert.deepEqual(await table.write(a, 0, 9), { ok: false, code: 'CONFLICT' });
    assert.ok((await table.write(b, 0, 9)).ok);
    const stranger = await world.open(3, 'x');
    assert.deepEqual(await table.write(stranger, 0, 9), { ok: false, code: 'CONFLICT' });
    assert.equal(await world.byteAt(stranger, 0), 9, 'write exclusive: anyone may read');
    assert.deepEqual(world.cluster.violations, []);
  }
});

test('the driver of a preemption dies at any step: it has happened or it hasn’t, and hosts that both states allow go on', async () => {
  for (let step = 0; step < 10; step++) {
    const world = await new World(600 + step).started();
    const table = new Table(world);
    const a = await world.open(1, 'a', 'a');
    const b = await world.open(0, 'b', 'b');
    const c = await world.open(2, 'c', 'c');
    for (const [device, name] of [
      [a, 'a'],
      [b, 'b'],
      [c, 'c'],
    ] as const)
      await table.done(device, registers(name));
    await table.done(b, { kind: 'reserve', id: 'b', key: keys.b, type: 'writeExclusiveRegistrants' });
    void reservationsOf(b).change(preempts('b', 'a'));
    await world.pass(step * 0.8);
    world.cluster.crash(0);
    assert.ok((await table.write(c, 0, 1)).ok, 'who loses nothing never stops');
    await world.pass(5000);
    const last = await world.settle(reservationsOf(c).state());
    assert.ok(typeof last !== 'string');
    const isOut = last.registrants.every(({ id }) => id !== 'a');
    assert.deepEqual(await table.write(a, 0, 2), isOut ? { ok: false, code: 'CONFLICT' } : { ok: true });
    const records = await world.settle(world.catalog(3).records());
    assert.ok(records !== 'unavailable');
    assert.equal(records[0]?.state, 'open', `step ${step}: nothing stays half done`);
    assert.deepEqual(world.cluster.violations, []);
  }
});

test('a reservation outlives a restart of every Corelet', async () => {
  const world = await new World(700).started();
  const table = new Table(world);
  const a = await world.open(1, 'a', 'a');
  await table.done(a, registers('a'), { kind: 'reserve', id: 'a', key: keys.a, type: 'exclusiveAccess' });
  for (let slot = 0; slot < 4; slot++) world.cluster.crash(slot);
  for (let slot = 0; slot < 4; slot++) void world.cluster.start(slot);
  await world.pass(3000);
  let b: BlockDevice | string = 'RETRYABLE';
  for (let tries = 0; typeof b === 'string' && tries < 20; tries++) {
    b = await world.settle(world.catalog(2).open('v', 'b', 'b'));
    await world.pass(500);
  }
  assert.ok(typeof b !== 'string');
  assert.deepEqual(await table.write(b, 0, 1), { ok: false, code: 'CONFLICT' });
  assert.deepEqual(await world.settle(b.read(0, block)), { ok: false, code: 'CONFLICT' });
  const again = await world.open(3, 'a', 'a');
  assert.ok((await table.write(again, 0, 1)).ok);
});

test('two hosts preempt each other at once: one of them wins, and the other is out everywhere', async () => {
  for (let seed = 0; seed < 6; seed++) {
    const world = await new World(800 + seed).started();
    const table = new Table(world);
    const a = await world.open(1, 'a', 'a');
    const b = await world.open(2, 'b', 'b');
    await table.done(a, registers('a'));
    await table.done(b, registers('b'));
    await table.done(a, { kind: 'reserve', id: 'a', key: keys.a, type: 'writeExclusive' });
    const [one, two] = await Promise.all([table.change(a, preempts('a', 'b')), table.change(b, preempts('b', 'a'))]);
    assert.equal([one, two].filter(({ ok }) => ok).length, 1);
    assert.equal((await table.write(a, 0, 1)).ok, one.ok);
    assert.equal((await table.write(b, 0, 2)).ok, two.ok);
    assert.deepEqual(world.cluster.violations, []);
  }
});

test('what is given is had at once, through every gateway, without anyone being told', async () => {
  const world = await new World(900).started();
  const table = new Table(world);
  const a = await world.open(1, 'a', 'a');
  const b = await world.open(2, 'b', 'b');
  await table.done(a, { kind: 'sessionReserve', id: 'a' });
  assert.deepEqual(await table.write(b, 0, 1), { ok: false, code: 'CONFLICT' });
  assert.equal(await world.settle(reservationsOf(b).refused('attend')), 'CONFLICT');
  await table.done(a, { kind: 'sessionRelease', id: 'a' });
  assert.ok((await table.write(b, 0, 1)).ok);
  await table.done(a, { kind: 'sessionReserve', id: 'a' });
  await table.done(b, { kind: 'reset' });
  assert.ok((await table.write(b, 0, 2)).ok, 'a reset drops what a session held');
});
