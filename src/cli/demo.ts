import { mkdirSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { exitCodes } from '../admin/errors.ts';
import { formatBytes } from '../base/units.ts';
import { type ChassisFile, type ChassisRead, readChassis, withSlot, writeChassis } from '../chassis/chassis-file.ts';
import { acquireLock, type Lock } from '../chassis/lock.ts';
import { findRunning, lastLogLines, stopAll } from '../chassis/process.ts';
import { watchSlots } from '../chassis/supervise.ts';
import { defaultDataFolder } from './client.ts';
import type { Invocation } from './command.ts';
import { announce, openPage } from './demo-announce.ts';
import { agrees, type DemoOptions, demoOptions } from './demo-options.ts';
import { adoptAndStart, checkPorts, devicesAgree, found } from './demo-start.ts';
import { makeVolume, untilServing } from './demo-wait.ts';
import { CommandFailure } from './failure.ts';

const stopGraceMs = 10_000;
const lockWaitMs = 5_000;

export async function run(invocation: Invocation): Promise<number> {
  const options = demoOptions(invocation);
  const dir = resolve(invocation.text('data') ?? defaultDataFolder);
  const existing = existingChassis(readChassis(dir));
  if (existing !== undefined) {
    agrees(existing, options);
    devicesAgree(dir, options);
  }
  await checkPorts(dir, existing, options);
  if (invocation.flag('dry-run')) return dryRun(dir, existing, options);
  const madeFolder = mkdirSync(dir, { recursive: true, mode: 0o700 }) !== undefined;
  const lock = await acquireLock(dir, 'chassis', 0);
  if (lock === undefined)
    throw new CommandFailure('FOLDER_BUSY', `a chassis program runs on ${dir} already`, 'end it with Ctrl-C first');
  try {
    return await serve(dir, options, invocation.flag('no-open'));
  } finally {
    if (madeFolder && readChassis(dir).ok === false) rmSync(dir, { recursive: true, force: true });
    lock.release();
  }
}

/** undefined: the first start. @throws CommandFailure for a folder that is not ours to use. */
function existingChassis(read: ChassisRead): ChassisFile | undefined {
  if (read.ok) return read.chassis;
  switch (read.code) {
    case 'ABSENT':
    case 'FOUNDING':
      return undefined;
    case 'FOREIGN':
      throw new CommandFailure('FOLDER_FOREIGN', read.message);
    case 'VERSION':
      throw new CommandFailure('FOLDER_VERSION', read.message);
    case 'DAMAGED':
      throw new CommandFailure('FOLDER_DAMAGED', read.message);
  }
}

function dryRun(dir: string, existing: ChassisFile | undefined, options: DemoOptions): number {
  const { volume, slots, copies, flashBytes, devices } = options;
  const flash = `flash files of ${formatBytes(flashBytes)}, sparse${devices.length === 0 ? '' : `; devices ${devices.join(', ')}`}`;
  const made = `would make a chassis of ${slots} slots (${flash}) in ${dir} and volume ${volume.name} of ${formatBytes(volume.sizeBytes)} with ${copies} copies`;
  process.stdout.write(
    `${existing === undefined ? made : `would start the chassis of ${existing.slots.length} slots in ${dir} again`}\n`,
  );
  return exitCodes.done;
}

async function serve(dir: string, options: DemoOptions, noOpen: boolean): Promise<number> {
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, interrupt);
  // What ran before, other hosts may be using: it isn't stopped when this start fails.
  const adopted = findRunning(dir).size;
  let hasServed = false;
  try {
    const change = await changeLock(dir);
    try {
      const chassis = await start(dir, options);
      await untilServing(dir, chassis, interrupted.signal);
      const volume = await makeVolume(dir, options, interrupted.signal);
      hasServed = true;
      if (!interrupted.signal.aborted) announce(dir, volume);
    } finally {
      change.release();
    }
    if (!noOpen && !interrupted.signal.aborted) openPage(dir);
    if (!interrupted.signal.aborted) await watch(dir, interrupted.signal);
    return exitCodes.done;
  } finally {
    if (interrupted.signal.aborted || (!hasServed && adopted === 0)) await stop(dir);
  }
}

async function changeLock(dir: string): Promise<Lock> {
  const lock = await acquireLock(dir, 'change', lockWaitMs);
  if (lock === undefined) throw new CommandFailure('FOLDER_BUSY', `another command is changing the chassis in ${dir}`);
  return lock;
}

/** Under both locks: what was read before may have changed. */
async function start(dir: string, options: DemoOptions): Promise<ChassisFile> {
  const existing = existingChassis(readChassis(dir));
  if (existing === undefined) return found(dir, options);
  agrees(existing, options);
  return adoptAndStart(dir, existing, options);
}

function watch(dir: string, interrupted: AbortSignal): Promise<void> {
  const tell = (text: string): void => void process.stderr.write(`corelet: ${text}\n`);
  const watcher = watchSlots(dir, {
    ended: ({ slot }) => {
      const last = lastLogLines(dir, slot, 1)[0];
      tell(`the Corelet in slot ${slot} ended by itself${last === undefined ? '' : `: ${last}`}`);
      tell(`slot ${slot} stays empty; put its module back with: corelet slot insert ${slot}`);
    },
    pulled: ({ slot }) => tell(`slot ${slot} was pulled`),
    inserted: ({ slot, id }) => tell(`slot ${slot} holds module ${id.slice(0, 8)}`),
  });
  return new Promise((resolve) => {
    interrupted.addEventListener('abort', () => {
      watcher.stop();
      resolve();
    });
  });
}

/** Ctrl-C ends all Corelets; they take back up where they were at the next start. */
async function stop(dir: string): Promise<void> {
  process.stderr.write('corelet: stopping the Corelets …\n');
  const killed = await stopAll(dir, stopGraceMs);
  if (killed > 0)
    process.stderr.write(`corelet: ${killed} did not end within ${stopGraceMs / 1000} s and were killed\n`);
  const read = readChassis(dir);
  if (!read.ok) return;
  let chassis = read.chassis;
  for (const { slot } of chassis.slots) chassis = withSlot(chassis, slot, { pid: null });
  writeChassis(dir, chassis);
}
