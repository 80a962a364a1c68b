import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type DemoChassis, isRunning, startChassis } from '../chassis.ts';
import { eventually } from '../commands.ts';
import { NbdConnection } from '../nbd-connection.ts';
import { residentAtRestBytes } from '../processes.ts';

// 90 MB until it spoke iSCSI and NVMe/TCP, too: their code is some 5 MB, and a start leaves more to collect.
const residentBytesMax = 110e6;
const restLooksMax = 15;

async function started(t: TestContext, options: Parameters<typeof startChassis>[0]): Promise<DemoChassis> {
  const chassis = await startChassis(options);
  t.after(() => chassis.stop());
  return chassis;
}

test('the demo says when it serves, where, and at what cost in memory', {
  timeout: 120_000,
}, async (t: TestContext) => {
  const chassis = await started(t, { slots: 6, volume: 'demo:64MiB' });
  t.diagnostic(`ready after ${Math.round(chassis.readyMs)} ms`);

  const slots = chassis.slots();
  assert.deepEqual(
    slots.map(({ slot }) => slot),
    [0, 1, 2, 3, 4, 5],
  );
  for (const { slot, pid, nbd, admin } of slots) {
    assert.ok(isRunning(pid), `slot ${slot} has a process of its own`);
    assert.equal(nbd, `127.0.0.1:${chassis.nbdPort + slot}`);
    assert.equal(admin, `http://127.0.0.1:${chassis.adminPort + slot}`);
  }
  assert.equal(new Set(slots.map(({ pid }) => pid)).size, 6, 'one process each');
  for (const line of [
    `qemu-img info nbd://127.0.0.1:${chassis.nbdPort}/demo`,
    `iscsi-ls -s iscsi://127.0.0.1:${chassis.iscsiPort} `,
    `nvme connect-all -t tcp -a 127.0.0.1 -s ${chassis.nvmeDiscoveryPort} `,
  ])
    assert.ok(chassis.printed.includes(line), `it says how to connect: ${line}`);
  for (const { slot } of slots) {
    const connection = await NbdConnection.open(chassis.nbdPort + slot, 'demo');
    assert.equal(connection.sizeBytes, 64 * 1024 * 1024, `served through slot ${slot}`);
    connection.close();
  }

  // What the start and the connections above left for the collector is given back some time later, not at once.
  let resident = await residentAtRestBytes(slots.map(({ pid }) => pid));
  for (let look = 0; look < restLooksMax && Math.max(...resident) >= residentBytesMax; look++) {
    resident = await residentAtRestBytes(slots.map(({ pid }) => pid));
  }
  t.diagnostic(`RSS at rest in MB: ${resident.map((bytes) => (bytes / 1e6).toFixed(1)).join(', ')}`);
  assert.ok(Math.max(...resident) < residentBytesMax, 'a Corelet at rest takes less than 110 MB');
});

test('any Corelet answers for the chassis, and the command finds one that lives', {
  timeout: 120_000,
}, async (t: TestContext) => {
  const chassis = await started(t, { slots: 6, volume: 'demo:64MiB' });
  await chassis.full();
  for (let slot = 0; slot < 6; slot++) {
    const response = await fetch(`${chassis.adminUrl(slot)}/api/status`);
    const status = (await response.json()) as Awaited<ReturnType<DemoChassis['status']>>;
    assert.equal(status.slots.length, 6, `as slot ${slot} tells it`);
    assert.ok(status.arcs.total > 0);
    for (const field of ['full', 'reduced', 'unavailable'] as const) assert.equal(typeof status.arcs[field], 'number');
    assert.equal(typeof status.rebuild.bytesLeft, 'number');
  }
  assert.equal((await chassis.corelet(['slot', 'pull', '0'])).code, 0);
  const answered = await chassis.corelet(['status', '--json']);
  assert.equal(answered.code, 0, answered.stderr);
  assert.equal((JSON.parse(answered.stdout) as { slots: unknown[] }).slots.length, 6);
  await chassis.healedWithout(0);
  const why = await chassis.corelet(['why', '0']);
  assert.equal(why.code, 0, why.stderr);
  assert.match(why.stdout, /slot 0/i);
});

test('a pulled module that is put back serves again', { timeout: 120_000 }, async (t: TestContext) => {
  const chassis = await started(t, { slots: 6, volume: 'demo:64MiB' });
  await chassis.full();
  for (const blank of [false, true]) {
    const before = chassis.slots().find(({ slot }) => slot === 3);
    assert.equal((await chassis.corelet(['slot', 'pull', '3'])).code, 0);
    await chassis.healedWithout(3);
    const inserted = await chassis.corelet(['slot', 'insert', '3', ...(blank ? ['--blank'] : [])]);
    assert.equal(inserted.code, 0, inserted.stderr);
    const status = await chassis.until('slot 3 live and all full', 90_000, ({ slots, arcs }) => {
      return slots.some(({ slot, state }) => slot === 3 && state === 'live') && arcs.full === arcs.total;
    });
    const live = status.slots.find(({ slot, state }) => slot === 3 && state === 'live');
    assert.equal(live?.id === before?.id, !blank, blank ? 'a blank module is another Corelet' : 'the same Corelet');
    const connection = await NbdConnection.open(chassis.nbdPort + 3, 'demo');
    connection.close();
  }
});

test('Ctrl-C ends everything, and the next start finds the same volume with the same bytes', {
  timeout: 120_000,
}, async (t: TestContext) => {
  const first = await startChassis({ slots: 6, volume: 'demo:64MiB' });
  const pids = first.slots().map(({ pid }) => pid);
  const pattern = Buffer.alloc(8192, 'corelet ');
  try {
    const connection = await NbdConnection.open(first.nbdPort + 2, 'demo');
    await connection.write(4096 * 700, pattern);
    connection.close();
  } finally {
    await first.stop({ keepData: true });
  }
  for (const pid of pids) assert.ok(!isRunning(pid), `process ${pid} is left`);

  const second = await started(t, { slots: 6, volume: 'demo:64MiB', data: first.data });
  const connection = await NbdConnection.open(second.nbdPort + 5, 'demo');
  assert.deepEqual(await connection.read(4096 * 700, 8192), pattern);
  connection.close();
});

test('a killed chassis program is noticed by no volume, and the next one adopts the Corelets', {
  timeout: 120_000,
}, async (t: TestContext) => {
  const first = await startChassis({ slots: 6, volume: 'demo:64MiB' });
  let owner = first;
  t.after(() => owner.stop());
  const pids = first.slots().map(({ pid }) => pid);
  const connection = await NbdConnection.open(first.nbdPort + 1, 'demo');
  process.kill(first.programPid, 'SIGKILL');
  await eventually('the program gone', 10_000, () => (isRunning(first.programPid) ? undefined : true));
  const pattern = Buffer.alloc(4096, 'alone ');
  await connection.write(0, pattern);
  assert.deepEqual(await connection.read(0, 4096), pattern, 'served without a chassis program');

  const { data, nbdPort, iscsiPort, nvmePort, nvmeDiscoveryPort, adminPort } = first;
  const ports = { nbdPort, iscsiPort, nvmePort, nvmeDiscoveryPort, adminPort };
  const second = await startChassis({ slots: 6, volume: 'demo:64MiB', data, ...ports });
  owner = second;
  assert.deepEqual(
    second.slots().map(({ pid }) => pid),
    pids,
    'the same processes',
  );
  assert.deepEqual(await connection.read(0, 4096), pattern, 'over the same connection');
  connection.close();
});

test('volumes come and go, and keep to themselves', { timeout: 60_000 }, async (t: TestContext) => {
  const chassis = await started(t, { slots: 3, volume: 'demo:16MiB' });
  const created = await chassis.corelet(['volume', 'create', 'photos', '8MiB']);
  assert.equal(created.code, 0, created.stderr);
  const names = async () => {
    const { stdout } = await chassis.corelet(['volume', 'list', '--json']);
    return (JSON.parse(stdout) as { volumes: { name: string }[] }).volumes.map(({ name }) => name).sort();
  };
  assert.deepEqual(await names(), ['demo', 'photos']);
  const pattern = Buffer.alloc(4096, 'photo ');
  const photos = await NbdConnection.open(chassis.nbdPort + 1, 'photos');
  const demo = await NbdConnection.open(chassis.nbdPort + 1, 'demo');
  assert.equal(photos.sizeBytes, 8 * 1024 * 1024);
  await photos.write(0, pattern);
  assert.deepEqual(await demo.read(0, 4096), Buffer.alloc(4096), 'another volume is another one');
  photos.close();
  demo.close();
  const unconfirmed = await chassis.corelet(['volume', 'delete', 'photos']);
  assert.equal(unconfirmed.code, 4, 'nobody confirmed it');
  const deleted = await chassis.corelet(['volume', 'delete', 'photos', '--confirm', 'photos']);
  assert.equal(deleted.code, 0, deleted.stderr);
  assert.deepEqual(await names(), ['demo']);
  // The same name is another volume, without the old one's bytes.
  assert.equal((await chassis.corelet(['volume', 'create', 'photos', '8MiB'])).code, 0);
  const again = await NbdConnection.open(chassis.nbdPort + 2, 'photos');
  assert.deepEqual(await again.read(0, 4096), Buffer.alloc(4096));
  again.close();
});

test('the data folder tells what it is', { timeout: 60_000 }, async (t: TestContext) => {
  const chassis = await started(t, { slots: 3, volume: 'demo:16MiB' });
  const file = join(chassis.data, 'chassis.json');
  assert.ok(statSync(file).isFile());
  assert.equal((JSON.parse(readFileSync(file, 'utf8')) as { slots: unknown[] }).slots.length, 3);
});
