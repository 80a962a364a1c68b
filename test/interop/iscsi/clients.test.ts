import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { pattern } from '../../unit/nbd/session-client.ts';
import { type DemoChassis, startChassis } from '../chassis.ts';
import { ensureClient } from '../clients.ts';
import { eventually, run, runWell } from '../commands.ts';

// iSCSI by clients that others wrote, through every Corelet of a running chassis.

const mebi = 1024 * 1024;
const slots = 3;
const target = 'iqn.2026-01.io.corelet:demo';
let chassis: DemoChassis;
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'corelet-iscsi-'));
  chassis = await startChassis({ slots, volume: 'demo:64MiB' });
});
after(async () => {
  await chassis.stop();
  rmSync(folder, { recursive: true });
});

/** A test of a real client, skipped with a sentence where there is none. */
function withClients(commands: readonly string[], promise: string, body: (t: TestContext) => Promise<void>): void {
  test(`${commands[0]}: ${promise}`, async (t) => {
    for (const command of commands)
      if (!(await ensureClient(command))) return t.skip(`${command} is not installed and can't be`);
    await body(t);
  });
}

withClients(['iscsi-ls'], 'finds the volume behind every Corelet, and its size', async () => {
  for (let slot = 0; slot < slots; slot++) {
    const { stdout } = await runWell('iscsi-ls', ['-s', `iscsi://127.0.0.1:${chassis.iscsiPort + slot}`]);
    for (let other = 0; other < slots; other++)
      assert.ok(stdout.includes(`Target:${target} Portal:127.0.0.1:${chassis.iscsiPort + other},${other + 1}`), stdout);
    assert.equal(stdout.match(/Lun:0 +Type:DIRECT_ACCESS/g)?.length, slots);
  }
});

withClients(['iscsi-inq'], 'hears one name of the volume from every Corelet', async () => {
  const names = new Set<string>();
  for (let slot = 0; slot < slots; slot++) {
    const { stdout } = await runWell('iscsi-inq', ['-e', '1', '-c', '0x83', chassis.iscsiUri(slot)]);
    const name = /NAA[^]*?((?:[0-9a-f]{2} ?){16}|[0-9a-f]{32})/i.exec(stdout);
    names.add(name?.[1] ?? stdout);
  }
  assert.equal(names.size, 1, [...names].join('\n---\n'));
});

withClients(
  ['qemu-img', 'qemu-io', 'block-iscsi.so'],
  'an image written through one Corelet is whole through the others',
  async () => {
    const image = join(folder, 'disk.img');
    const bytes = new Uint8Array(64 * mebi);
    bytes.set(pattern(3 * mebi + 5), 7);
    bytes.set(pattern(100_000, 2), 20 * mebi + 513);
    bytes.set(pattern(4096, 3), bytes.length - 4096);
    writeFileSync(image, bytes);
    await runWell('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'raw', image, chassis.iscsiUri(0)]);
    const compare = (uri: string) => runWell('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', image, uri]);
    await compare(chassis.iscsiUri(1));
    await compare(chassis.nbdUri(2));
    const commands = [
      'write -P 0x5a 1M 64k',
      'write -z 2M 1M',
      'discard 3M 1M',
      'read -P 0x5a 1M 64k',
      'read -P 0 2M 2M',
    ];
    const args = commands.flatMap((command) => ['-c', command]);
    const { stdout } = await runWell('qemu-io', ['-f', 'raw', ...args, chassis.iscsiUri(2)]);
    assert.ok(!/verification failed/i.test(stdout), stdout);
  },
);

withClients(['iscsi-perf'], 'a client that only reads as fast as it can does no harm', async (t) => {
  const { stdout } = await runWell('iscsi-perf', ['-t', '2', '-m', '16', '-b', '8', chassis.iscsiUri(1)]);
  const figure = /iops average (\d+)/.exec(stdout)?.[1];
  t.diagnostic(`${figure ?? '?'} reads of 4 KiB a second`);
});

withClients(['iscsi-inq'], 'CHAP and the list of hosts decide who gets in; nothing shows the secrets', async () => {
  const secrets = { initiator: 'first-secret-of-many', target: 'second-secret-of-many' };
  await chassis.corelet(['volume', 'create', 'closed', '8MiB']);
  for (const [name, secret] of Object.entries(secrets)) writeFileSync(join(folder, `${name}.key`), `${secret}\n`);
  const chap = ['--chap-name', 'host', '--key-file', join(folder, 'initiator.key')];
  const mutual = ['--target-chap-name', 'array', '--target-key-file', join(folder, 'target.key')];
  const host = ['--host', 'iqn.2026-01.test:Allowed'];
  const changed = await chassis.corelet(['volume', 'access', 'closed', ...host, ...chap, ...mutual]);
  assert.equal(changed.code, 0, changed.stderr);
  const portal = `127.0.0.1:${chassis.iscsiPort + 1}/iqn.2026-01.io.corelet:closed/0`;
  const inquire = (user: string, initiator: string) =>
    run('iscsi-inq', ['-i', initiator, `iscsi://${user}${portal}`], { limitMs: 20_000 });
  const allowed = 'iqn.2026-01.test:allowed';
  assert.equal((await inquire(`host%${secrets.initiator}@`, allowed)).code, 0);
  const refused = [
    await inquire(`host%${secrets.initiator}@`, 'iqn.2026-01.test:stranger'),
    await inquire('host%a-wrong-secret-here@', allowed),
    await inquire('', allowed),
  ];
  for (const { code, stdout } of refused) {
    assert.notEqual(code, 0);
    assert.ok(!stdout.includes('CORELET'));
  }
  const found = await runWell('iscsi-ls', [
    '-i',
    'iqn.2026-01.test:stranger',
    `iscsi://127.0.0.1:${chassis.iscsiPort}`,
  ]);
  assert.ok(!found.stdout.includes(':closed'), 'who may not use it need not know of it');
  const shown = await chassis.corelet(['volume', 'access', 'closed', '--json']);
  const listed = await chassis.corelet(['volume', 'show', 'closed', '--json']);
  const seen = await chassis.corelet(['sessions', '--json']);
  const told = [shown, changed, listed, seen].map(({ stdout, stderr }) => stdout + stderr);
  told.push(chassis.printed);
  for (const path of ['volumes', 'volumes/closed', 'volumes/closed/access', 'sessions', 'events', 'status'])
    told.push(await (await fetch(`${chassis.adminUrl(0)}/api/${path}`)).text());
  for (let slot = 0; slot < slots; slot++) {
    const at = join(chassis.data, 'slots', String(slot));
    for (const name of readdirSync(at)) {
      const file = join(at, name);
      assert.equal(statSync(file).mode & 0o077, 0, `${name} is its owner's alone`);
      if (name !== 'flash.img') told.push(readFileSync(file, 'latin1'));
    }
    const inspected = await chassis.corelet(['device', 'inspect', join(at, 'flash.img'), '--json', '--segments']);
    told.push(inspected.stdout + inspected.stderr);
  }
  for (const text of told) for (const secret of Object.values(secrets)) assert.ok(!text.includes(secret));
});

withClients(
  ['qemu-io', 'block-iscsi.so'],
  'a connected host is listed, from where and with what negotiated',
  async () => {
    const client = run('qemu-io', ['-f', 'raw', '-c', 'sleep 4000', chassis.iscsiUri(2)], { limitMs: 60_000 });
    const session = await eventually('a session', 30_000, async () => {
      const { stdout } = await chassis.corelet(['sessions', '--json']);
      const { sessions } = JSON.parse(stdout) as { sessions: Record<string, unknown>[] };
      return sessions.find(({ slot, volume }) => slot === 2 && volume === 'demo');
    });
    assert.equal(session['protocol'], 'iscsi');
    assert.match(String(session['host']), /^iqn\./);
    assert.match(String(session['from']), /^127\.0\.0\.1:\d+$/);
    assert.ok(typeof session['negotiated'] === 'object');
    await client;
  },
);
