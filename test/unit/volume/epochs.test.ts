import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccessRules } from '../../../src/volume/access.ts';
import type { BlockDevice } from '../../../src/volume/block-device.ts';
import { block, mebi, World } from './world.ts';

// Changes of who may use a volume, on simulated Corelets: whoever drives the change may die at any step.

const onlyB: AccessRules = { hosts: ['b'], readOnly: false };

const filled = (value: number): Uint8Array[] => [new Uint8Array(block).fill(value)];

test('a host that lost its right writes nothing any more, wherever its writes were when the change was answered', async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const world = await new World(seed).started();
    const a = await world.open(1, 'a');
    const b = await world.open(2, 'b');
    assert.ok((await world.settle(a.write(0, filled(1)))).ok);
    const answers = Array.from({ length: 16 }, (_, i) => a.write(i * mebi, filled(100 + i)));
    await world.pass(seed % 3);
    await world.setAccess(0, onlyB);
    const then: number[] = [];
    for (let i = 0; i < 16; i++) then.push(await world.byteAt(b, i * mebi));
    for (const answer of answers) await world.settle(answer);
    await world.pass(3000);
    for (let i = 0; i < 16; i++) assert.equal(await world.byteAt(b, i * mebi), then[i], `seed ${seed}, chunk ${i}`);
    assert.deepEqual(await world.settle(a.write(0, filled(9))), { ok: false, code: 'GONE' });
    assert.deepEqual(await world.settle(a.read(0, block)), { ok: false, code: 'GONE' });
    assert.equal(await world.settle(world.catalog(1).open('v', 'a')), 'NOT_FOUND');
    assert.ok((await world.settle(b.write(0, filled(9)))).ok);
    assert.deepEqual(world.cluster.violations, []);
  }
});

test('the driver of a change dies at any step: whoever asks for the same, or only meets the volume, brings it to its end', async () => {
  for (let step = 0; step < 12; step++) {
    const world = await new World(100 + step).started();
    const a = await world.open(1, 'a');
    void world.control(0).setAccess('v', onlyB);
    await world.pass(step * 0.7);
    world.cluster.crash(0);
    if (step % 2 === 0) await world.setAccess(3, onlyB);
    else await world.open(3, 'b');
    const b = await world.open(2, 'b');
    assert.ok((await world.settle(b.write(0, filled(5)))).ok, 'I/O of whom both rules allow never stops');
    await world.pass(5000);
    const records = await world.settle(world.catalog(2).records());
    assert.ok(records !== 'unavailable');
    const [record] = records;
    assert.equal(record?.state, 'open', `step ${step}: nothing stays half done`);
    const changed = record.access.hosts !== 'any';
    if (step % 2 === 0) assert.ok(changed);
    const answer = await world.settle(a.write(0, filled(9)));
    assert.deepEqual(answer, changed ? { ok: false, code: 'GONE' } : { ok: true });
    assert.deepEqual(world.cluster.violations, []);
  }
});

test('a volume made read-only takes no write through anybody who had it open, and takes them again later', async () => {
  const world = await new World(7).started();
  const a = await world.open(1, 'a');
  await world.setAccess(0, { hosts: 'any', readOnly: true });
  assert.deepEqual(await world.settle(a.write(0, filled(1))), { ok: false, code: 'READ_ONLY' });
  assert.ok(a.readOnly);
  assert.equal(await world.byteAt(a, 0), 0);
  await world.setAccess(2, { hosts: 'any', readOnly: false });
  assert.ok((await world.settle(a.write(0, filled(1)))).ok);
});

test('a deletion whose driver died is finished by whoever deletes it or meets it; its name is free then', async () => {
  for (let step = 0; step < 6; step++) {
    const world = await new World(200 + step).started();
    const a = await world.open(1, 'a');
    assert.ok((await world.settle(a.write(0, filled(1)))).ok);
    void world.control(0).delete('v');
    await world.pass(step * 1.5);
    world.cluster.crash(0);
    for (let tries = 0; tries < 20; tries++) {
      const gone = await world.settle(world.control(2).delete('v'));
      if (gone.ok || gone.code === 'NOT_FOUND') break;
      await world.pass(500);
    }
    assert.deepEqual(await world.settle(a.write(0, filled(2))), { ok: false, code: 'GONE' });
    const made = await world.settle(world.control(3).create({ name: 'v', sizeBytes: mebi, copies: 3 }));
    assert.ok(made.ok, JSON.stringify(made));
    const again = await world.open(3, 'a');
    assert.equal(await world.byteAt(again, 0), 0, 'nothing of the old volume shows in the new one');
    assert.deepEqual(world.cluster.violations, []);
  }
});

test('a volume whose maker died is finished or made anew by whoever makes it next; nothing half made stays in the list', async () => {
  for (let step = 0; step < 8; step++) {
    const world = await new World(300 + step).started();
    const request = { name: 'w', sizeBytes: mebi, copies: 3 };
    void world.control(0).create(request);
    await world.pass(step * 0.9);
    world.cluster.crash(0);
    const ends: string[] = [];
    for (let tries = 0; tries < 20 && !ends.includes('EXISTS') && !ends.includes('ok'); tries++) {
      const made = await world.settle(world.control(1 + (tries % 3)).create(request));
      ends.push(made.ok ? 'ok' : made.code);
      await world.pass(500);
    }
    const device = await world.settle(world.catalog(3).open('w'));
    assert.ok(typeof device !== 'string', `step ${step}: it is there (${ends.join(', ')})`);
    assert.ok((await world.settle(device.write(0, filled(1)))).ok);
    const records = await world.settle(world.catalog(2).records());
    assert.ok(records !== 'unavailable');
    assert.deepEqual(
      records.map(({ name, state }) => `${name} ${state}`),
      ['v open', 'w open'],
    );
    assert.deepEqual(world.cluster.violations, []);
  }
});

test('compare-and-write through many Corelets at once: of those that expect the same, exactly one wins', async () => {
  const world = await new World(11).started();
  const devices = [
    await world.open(0, 'a'),
    await world.open(1, 'b'),
    await world.open(2, 'c'),
    await world.open(3, 'd'),
  ];
  const sector = (value: number) => new Uint8Array(512).fill(value);
  for (let round = 0; round < 10; round++) {
    const offset = 3 * mebi + 512 * (round % 3);
    const now = await world.byteAt(devices[0] as BlockDevice, offset);
    const tries = devices.map((device, i) => device.compareAndWrite(offset, sector(now), sector(10 * round + i + 1)));
    const results = await world.settle(Promise.all(tries));
    const winner = results.findIndex(({ ok }) => ok);
    assert.equal(results.filter(({ ok }) => ok).length, 1);
    for (const result of results) {
      if (!result.ok) assert.deepEqual(result, { ok: false, code: 'MISCOMPARE', byteOffset: 0 });
    }
    assert.equal(await world.byteAt(devices[1] as BlockDevice, offset), 10 * round + winner + 1);
  }
});

test('a compare that fails tells where the first byte differs', async () => {
  const world = await new World(12).started();
  const device = await world.open(1, 'a');
  const expected = new Uint8Array(512);
  expected[77] = 1;
  const result = await world.settle(device.compareAndWrite(512, expected, new Uint8Array(512)));
  assert.deepEqual(result, { ok: false, code: 'MISCOMPARE', byteOffset: 77 });
  const across = await world.settle(device.compareAndWrite(mebi - 512, new Uint8Array(1024), new Uint8Array(1024)));
  assert.deepEqual(across, { ok: false, code: 'OUT_OF_RANGE' }, 'one chunk, one entry');
});

test('write same fills whole blocks and edges alike, over chunks', async () => {
  const world = await new World(13).started();
  const device = await world.open(2, 'a');
  const pattern = new Uint8Array(512).map((_, i) => i % 251);
  const from = mebi - 3 * block - 512;
  const length = 6 * block + 1024;
  assert.ok((await world.settle(device.writeSame(from, length, pattern))).ok);
  const read = await world.settle(device.read(from - 512, length + 1024));
  assert.ok(read.ok);
  const bytes = Buffer.concat(read.parts);
  for (let at = 0; at < bytes.length; at++) {
    const inside = at >= 512 && at < 512 + length;
    assert.equal(bytes[at], inside ? (at % 512) % 251 : 0, `byte ${at}`);
  }
});

test('INV-5: a command that waited longer than its host may wait is refused, and its write never shows', async () => {
  const world = await new World(14).started();
  const device = await world.open(1, 'a');
  const command = { arrivedAfterMs: -10_000 };
  for (let chunk = 0; chunk < 8; chunk++) {
    const answer = await world.settle(device.write(chunk * mebi, filled(7), command));
    assert.deepEqual(answer, { ok: false, code: 'RETRYABLE' });
  }
  await world.pass(2000);
  for (let chunk = 0; chunk < 8; chunk++) assert.equal(await world.byteAt(device, chunk * mebi), 0);
});

test('of many that make a volume of one name at once, one is told that it is its own, and there is one', async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const world = await new World(300 + seed).started();
    world.cluster.slowLink(seed % 4, 3 + (seed % 7) * 3);
    const asked: ReturnType<ReturnType<World['control']>['create']>[] = [];
    for (const slot of [0, 1, 2, 3]) {
      asked.push(world.control(slot).create({ name: 'w', sizeBytes: mebi, copies: 3 }));
      await world.pass(((seed * (slot + 3)) % 5) * 0.7);
    }
    const answers: string[] = [];
    for (const one of asked) {
      const made = await world.settle(one);
      answers.push(made.ok ? 'ok' : made.code);
    }
    assert.deepEqual(answers.sort(), ['EXISTS', 'EXISTS', 'EXISTS', 'ok'], `seed ${seed}`);
    const records = await world.settle(world.catalog(2).records());
    assert.ok(records !== 'unavailable');
    assert.deepEqual(records.map(({ name, state }) => `${name} ${state}`).sort(), ['v open', 'w open']);
  }
});
