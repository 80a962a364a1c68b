import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { EventLog } from '../../../src/admin/events.ts';
import { type AdminServer, listenAdmin } from '../../../src/admin/server.ts';
import { writeChassis } from '../../../src/chassis/chassis-file.ts';
import { fakeCorelet, statusOf } from '../admin/fake-corelet.ts';
import { chassisOf } from '../chassis/sample.ts';

const program = join(import.meta.dirname, '../../../src/cli/main.ts');
let status = statusOf(3);
const corelet = fakeCorelet(() => status);
let server: AdminServer;
let dir: string;

before(async () => {
  const events = new EventLog(undefined, Date.now);
  events.record({ kind: 'view.removed', slot: 1, text: 'View 2 is without slot 1.' });
  const session = {
    protocol: 'iscsi',
    volume: 'vol',
    host: 'iqn.2026-01.test:web1',
    session: '00023d000001',
    from: '127.0.0.1:40000',
    to: '127.0.0.1:3260',
    sinceWallMs: 1,
    commands: 2,
    negotiated: {},
  };
  const source = { corelet, events, version: '0.1.0', peers: () => [], sessions: () => [session] };
  server = await listenAdmin(source, { host: '127.0.0.1', port: 0 });
  dir = mkdtempSync(join(tmpdir(), 'corelet-cli-'));
  // Only slot 2 answers: slots 0 and 1 are at port 1, where nobody listens.
  const chassis = chassisOf(3);
  const slots = chassis.slots.map((slot) => ({
    ...slot,
    admin: `http://127.0.0.1:${slot.slot === 2 ? server.port : 1}`,
  }));
  writeChassis(dir, { ...chassis, slots });
});
after(async () => {
  await server.close();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(() => {
  status = statusOf(3);
  corelet.made.clear();
});

interface Finished {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function corelets(...args: readonly string[]): Promise<Finished> {
  return new Promise((resolve) => {
    const env = { ...process.env, CORELET_ADMIN: '' };
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

const here = (...args: readonly string[]): Promise<Finished> => corelets(...args, '--data', dir);

async function refused(finished: Promise<Finished>, code: number, pattern: RegExp): Promise<void> {
  const got = await finished;
  assert.equal(got.code, code, got.err);
  assert.equal(got.out, '', 'data only on stdout');
  assert.match(got.err, pattern);
  assert.equal(got.err.trimEnd().split('\n').length, 1, `one line: ${got.err}`);
}

test('status finds a Corelet that lives and prints what the API says; --exit-code tells cron', async () => {
  const got = await here('status', '--json');
  assert.deepEqual(JSON.parse(got.out), status);
  assert.equal((await here('status', '--exit-code')).code, 0);
  status = statusOf(3, {
    arcs: { total: 256, full: 255, reduced: 1, noRedundancy: 0, unavailable: 0, waitingForRoom: 0 },
  });
  assert.equal((await here('status', '--exit-code')).code, 4);
  assert.equal((await corelets('status', '--admin', `127.0.0.1:${server.port}`)).code, 0);
});

test('volume access: shown, changed, and secrets only by file', async () => {
  assert.equal((await here('volume', 'create', 'vol', '1GiB')).code, 0);
  const key = join(dir, 'web1.key');
  writeFileSync(key, 'a-secret-of-many-bytes\n');
  const host = ['--host', 'iqn.2026-01.test:web1', '--read-only'];
  const chap = ['--chap-name', 'web1', '--key-file', key];
  const dry = await here('volume', 'access', 'vol', ...host, ...chap, '--dry-run', '--json');
  const asked = { hosts: ['iqn.2026-01.test:web1'], readOnly: true, chap: { initiator: 'web1', target: null } };
  assert.deepEqual(JSON.parse(dry.out), { schemaVersion: 1, name: 'vol', ...asked });
  assert.match((await here('volume', 'access', 'vol')).out, /Hosts +any/, 'nothing has changed yet');
  const changed = await here('volume', 'access', 'vol', ...host, ...chap);
  assert.match(changed.out, /iqn\.2026-01\.test:web1[^]*read-only[^]*web1/);
  assert.ok(!changed.out.includes('a-secret'));
  await refused(here('volume', 'access', 'vol', '--chap-name', 'web1'), 2, /belong together/);
  await refused(here('volume', 'access', 'vol', '--any-host', '--host', 'x'), 2, /exclude/);
  await refused(here('volume', 'access', 'vol', '--chap-name', 'a', '--key-file', '/nothing'), 1, /key file/);
  await refused(here('volume', 'access', 'nothing'), 3, /nothing/);
});

test('sessions: who is connected, by slot', async () => {
  const got = await here('sessions', '--json');
  const { sessions } = JSON.parse(got.out) as { sessions: { slot: number; host: string }[] };
  assert.deepEqual(
    sessions.map(({ slot, host }) => [slot, host]),
    [[0, 'iqn.2026-01.test:web1']],
  );
  assert.match((await here('sessions')).out, /iqn\.2026-01\.test:web1 +127\.0\.0\.1:40000/);
});

test('volumes: what exists, what does not, what is no size, and who confirmed', async () => {
  assert.equal((await here('volume', 'create', 'photos', '1GiB')).code, 0);
  assert.equal(corelet.made.get('photos')?.sizeBytes, 2 ** 30);
  await refused(here('volume', 'create', 'photos', '1GiB'), 6, /'photos' exists/);
  await refused(here('volume', 'create', 'other', 'plenty'), 2, /'plenty' is not a size.*256MiB/);
  await refused(here('volume', 'show', 'nothing'), 3, /no volume named 'nothing'/);
  await refused(here('volume', 'delete', 'photos'), 4, /no terminal to ask.*--confirm photos/);
  await refused(here('volume', 'delete', 'photos', '--confirm', 'photo'), 4, /nothing was changed/);
  assert.equal((await here('volume', 'delete', 'photos', '--dry-run')).code, 0);
  assert.ok(corelet.made.has('photos'), 'nothing was deleted so far');
  assert.equal((await here('volume', 'delete', 'photos', '--confirm', 'photos')).code, 0);
  assert.ok(!corelet.made.has('photos'));
});

test('slots that are empty, absent or no number are refused, and chassis.json stays as it is', async () => {
  const before = readFileSync(join(dir, 'chassis.json'), 'utf8');
  await refused(here('slot', 'pull', '1'), 3, /slot 1 is empty \(corelet slot insert 1\)/);
  await refused(here('slot', 'pull', '77'), 3, /no slot 77; this chassis has slots 0 to 2/);
  await refused(here('slot', 'pull', 'x'), 2, /not 'x'/);
  await refused(here('slot', 'insert', '1', '--discard'), 2, /--discard belongs to --blank/);
  await refused(here('slot', 'insert', '1', '--blank', '--discard'), 4, /no terminal/);
  assert.equal(readFileSync(join(dir, 'chassis.json'), 'utf8'), before);
});

test('why tells what is remembered about a slot', async () => {
  assert.match((await here('why', '1')).out, /View 2 is without slot 1\./);
});

test('commands that are none, and a chassis that is nowhere', async () => {
  await refused(corelets('destroy-everything'), 2, /unknown command 'destroy-everything'/);
  await refused(corelets('volume', 'burn'), 2, /corelet volume create\|list\|show\|delete/);
  await refused(corelets('status', '--data', join(dir, 'nothing')), 3, /no chassis/);
  await refused(corelets('status', '--admin', 'http://127.0.0.1:1'), 1, /no Corelet answers/);
  await refused(corelets('slot', '--data', dir), 2, /slot: which command\? \(usage: corelet slot pull\|insert/);
  await refused(corelets('why', '--data', dir), 2, /usage: corelet why SLOT\|arc ARC/);
  await refused(corelets('device', 'inspect', dir), 1, /no file or block device \(look at the path\)/);
  assert.equal((await corelets('slot', '--help')).code, 0);
});

test('the demo leaves a folder that is not its own alone', async () => {
  const other = mkdtempSync(join(tmpdir(), 'corelet-other-'));
  try {
    writeFileSync(join(other, 'thesis.txt'), 'years of work');
    await refused(corelets('demo', '--data', other), 6, /not empty/);
    writeFileSync(join(other, 'chassis.json'), '{"formatVersion":999,"slots":[]}');
    await refused(corelets('demo', '--data', other), 6, /format version 999/);
    assert.equal(readFileSync(join(other, 'thesis.txt'), 'utf8'), 'years of work');
    await refused(corelets('demo', '--data', dir, '--slots', '8'), 6, /--slots 3, not 8/);
  } finally {
    rmSync(other, { recursive: true, force: true });
  }
});
