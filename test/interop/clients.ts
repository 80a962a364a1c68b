import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './commands.ts';

/** Debian's package for each client command, or block driver of qemu, that a test may want. */
const packages: Readonly<Record<string, string>> = {
  'block-iscsi.so': 'qemu-block-extra',
  chromium: 'chromium',
  fio: 'fio',
  'iscsi-inq': 'libiscsi-bin',
  'iscsi-ls': 'libiscsi-bin',
  'iscsi-perf': 'libiscsi-bin',
  'iscsi-test-cu': 'libiscsi-bin',
  'nbd-client': 'nbd-client',
  nbdcopy: 'libnbd-bin',
  nbdfuse: 'nbdfuse',
  nbdinfo: 'libnbd-bin',
  nbdkit: 'nbdkit',
  nbdsh: 'python3-libnbd',
  'qemu-img': 'qemu-utils',
  'qemu-io': 'qemu-utils',
  'mkfs.ext4': 'e2fsprogs',
};
const installLimitMs = 300_000;
const failureKeptMs = 10 * 60_000;
const answers = new Map<string, Promise<boolean>>();

/**
 * Whether `command` can be run, installing its package from Debian when this is root and apt is there. Asked once per
 * process; a failed installation is remembered for ten minutes, so that a machine without a network waits only once.
 */
export function ensureClient(command: string): Promise<boolean> {
  let answer = answers.get(command);
  if (answer === undefined) {
    answer = ensure(command);
    answers.set(command, answer);
  }
  return answer;
}

async function isInstalled(command: string): Promise<boolean> {
  const { code } = await run('sh', [
    '-c',
    'command -v "$1" || test -x "/usr/sbin/$1" || ls /usr/lib/*/qemu/"$1"',
    'sh',
    command,
  ]);
  return code === 0;
}

async function ensure(command: string): Promise<boolean> {
  if (await isInstalled(command)) return true;
  const name = packages[command];
  const isRoot = process.getuid?.() === 0;
  if (name === undefined || !isRoot || !(await isInstalled('apt-get'))) return false;
  const folder = join(tmpdir(), 'corelet-test-clients');
  const failure = join(folder, `${name}.failed`);
  const failedMs = statSync(failure, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (Date.now() - failedMs < failureKeptMs) return false;
  if ((await install(name)) && (await isInstalled(command))) return true;
  mkdirSync(folder, { recursive: true });
  writeFileSync(failure, '');
  return false;
}

async function install(name: string): Promise<boolean> {
  const lock = ['-o', 'DPkg::Lock::Timeout=120']; // another test file may be installing
  const args = ['install', '--yes', '--no-install-recommends', ...lock, name];
  const options = { limitMs: installLimitMs, env: { DEBIAN_FRONTEND: 'noninteractive' } };
  try {
    if ((await run('apt-get', args, options)).code === 0) return true;
    await run('apt-get', ['update', ...lock], options); // the lists may be missing or old
    return (await run('apt-get', args, options)).code === 0;
  } catch {
    return false; // not done within the limit
  }
}
