import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { type DemoChassis, startChassis } from '../chassis.ts';
import { run } from '../commands.ts';

// The Linux initiator, in a small virtual machine (test/interop/guest): what a host really does.

const guest = join(import.meta.dirname, '../guest');
const jobLimitMs = 240_000;
const buildLimitMs = 280_000;
const target = (volume: string) => `iqn.2026-01.io.corelet:${volume}`;
let chassis: DemoChassis;
let folder: string;
/** Undefined: there is no guest, and `why` says it. */
let machine: string | undefined;
let why = '';

before(async () => {
  // Kept between runs, by what it is made from.
  const recipe = createHash('sha256')
    .update(readFileSync(join(guest, 'build.sh')))
    .digest('hex');
  const place = join(tmpdir(), `corelet-test-guest-${recipe.slice(0, 12)}`);
  if (process.getuid?.() !== 0) why = 'making the guest installs packages, and this is not root';
  else if (!existsSync(join(place, 'initrd.gz'))) {
    const built = await run(join(guest, 'build.sh'), [place], { limitMs: buildLimitMs });
    if (built.code !== 0) why = `the guest can't be made here: ${built.stderr.trim().split('\n').at(-1)}`;
  }
  if (why !== '') return;
  machine = place;
  folder = mkdtempSync(join(tmpdir(), 'corelet-linux-'));
  chassis = await startChassis({ slots: 4, volume: 'demo:64MiB' });
});
after(async () => {
  if (machine === undefined) return;
  await chassis.stop();
  rmSync(folder, { recursive: true });
});

interface Job {
  readonly code: number | null;
  readonly console: string;
}

/** Runs a job in the guest; `said` sees its console grow. */
function guestJob(
  name: string,
  variables: Readonly<Record<string, string>>,
  said?: (text: string) => void,
): Promise<Job> {
  const job = join(folder, name);
  const lines = Object.entries(variables).map(([key, value]) => `${key}='${value}'\n`);
  writeFileSync(job, lines.join('') + readFileSync(join(import.meta.dirname, name), 'utf8'));
  return new Promise((resolve, reject) => {
    const child = spawn(join(guest, 'run.sh'), [machine as string, job], { stdio: ['ignore', 'pipe', 'pipe'] });
    const limit = setTimeout(() => child.kill('SIGTERM'), jobLimitMs);
    let console = '';
    const hear = (text: string): void => {
      console += text;
      said?.(console);
    };
    child.stdout.setEncoding('utf8').on('data', hear);
    child.stderr.setEncoding('utf8').on('data', hear);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(limit);
      resolve({ code, console });
    });
  });
}

function inGuest(promise: string, body: (t: TestContext) => Promise<void>): void {
  test(promise, { timeout: jobLimitMs + 30_000 }, async (t) => {
    if (machine === undefined) return t.skip(why);
    await body(t);
  });
}

inGuest(
  'Linux logs in with mutual CHAP and both digests, makes a file system, fills it, checks it, logs out',
  async () => {
    const secrets = { CHAP_SECRET: 'initiator-secret', TARGET_CHAP_SECRET: 'another-secret-2' };
    for (const [name, secret] of Object.entries(secrets)) writeFileSync(join(folder, name), secret);
    assert.equal((await chassis.corelet(['volume', 'create', 'guest', '96MiB'])).code, 0);
    const chap = ['--chap-name', 'guest', '--key-file', join(folder, 'CHAP_SECRET')];
    const mutual = ['--target-chap-name', 'array', '--target-key-file', join(folder, 'TARGET_CHAP_SECRET')];
    const host = ['--host', 'iqn.2026-01.test:guest'];
    const changed = await chassis.corelet(['volume', 'access', 'guest', ...host, ...chap, ...mutual]);
    assert.equal(changed.code, 0, changed.stderr);
    const names = { CHAP_NAME: 'guest', TARGET_CHAP_NAME: 'array' };
    const where = { PORT: String(chassis.iscsiPort + 1), TARGET: target('guest') };
    const { code, console } = await guestJob('linux-job.sh', { ...where, ...names, ...secrets });
    assert.equal(code, 0, console);
    assert.match(console, /^DIGESTS 1 1\r?$/m, 'CRC32C on headers and data');
    assert.match(console, /DISCOVERED 8\r?$/m, 'two volumes at four Corelets');
    assert.match(console, /^DISK CORELET +100663296\r?$/m);
    assert.match(console, /^LOGGED-OUT\r?$/m);
  },
);

inGuest('dm-multipath over two Corelets: one is pulled, and the host sees no error', async (t) => {
  assert.equal((await chassis.corelet(['volume', 'create', 'paths', '96MiB'])).code, 0);
  let pull: ReturnType<DemoChassis['corelet']> | undefined;
  const where = { PORT: String(chassis.iscsiPort), OTHER_PORT: String(chassis.iscsiPort + 2), TARGET: target('paths') };
  const { code, console } = await guestJob('multipath-job.sh', { ...where, SECONDS_MAX: '12' }, (text) => {
    if (/^PULL\r?$/m.test(text)) pull ??= chassis.corelet(['slot', 'pull', '0', '--force']);
  });
  assert.equal((await pull)?.code, 0, `the slot was pulled in the midst\n${console}`);
  assert.equal(code, 0, console);
  const [, writes, longestMs] = /^WRITES (\d+) LONGEST-MS (\d+)/m.exec(console) ?? [];
  assert.ok(Number(writes) > 20, 'it wrote on after the pull');
  t.diagnostic(`${writes} synced writes, the longest took ${longestMs} ms, one Corelet pulled meanwhile`);
});
