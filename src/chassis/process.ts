import { spawn } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import type { CoreletId } from '../base/ids.ts';
import type { ChassisFile, SlotRecord } from './chassis-file.ts';
import { chassisFileName, fabricSocket, flashFile, logFile, slotFolder } from './layout.ts';

/** How a Corelet's process is started: the `corelet` program itself. */
export interface CoreletProgram {
  /** A command that sets something and then becomes the rest of its words; empty where there is none. */
  readonly through: readonly string[];
  readonly node: string;
  readonly nodeFlags: readonly string[];
  readonly script: string;
}

/** A log above this is put aside at the next start. */
const logBytesMax = 1024 * 1024;

/**
 * Starts the module in a slot: a session of its own and output to the slot's log, so that it outlives the chassis program.
 * The working folder is the data folder: socket paths stay short, and `findRunning` knows the process by it.
 * @returns the process id.
 */
export function spawnCorelet(program: CoreletProgram, dir: string, record: SlotRecord): number {
  mkdirSync(join(dir, slotFolder(record.slot)), { recursive: true });
  mkdirSync(join(dir, 'fabric'), { recursive: true, mode: 0o700 });
  rmSync(join(dir, fabricSocket(record.slot)), { force: true });
  const log = openLog(join(dir, logFile(record.slot)));
  try {
    const flags = [
      '--device',
      flashFile(record.slot),
      '--slot',
      String(record.slot),
      '--fabric',
      record.fabric,
      '--nbd',
      record.nbd,
      '--iscsi',
      record.iscsi,
      '--nvme',
      record.nvme,
      '--nvme-discovery',
      record.nvmeDiscovery,
    ];
    flags.push('--admin', record.admin.replace('http://', ''), '--role', record.role, '--chassis', chassisFileName);
    const [command, ...words] = [...program.through, program.node, ...program.nodeFlags, program.script];
    const child = spawn(command, [...words, 'run', ...flags], {
      cwd: dir,
      detached: true,
      stdio: ['ignore', log, log],
    });
    // A program that can't be started shows as a slot whose process is gone; the supervisor tells.
    child.on('error', () => undefined);
    child.unref();
    return child.pid ?? 0;
  } finally {
    closeSync(log);
  }
}

function openLog(path: string): number {
  try {
    if (statSync(path).size > logBytesMax) renameSync(path, `${path}.1`);
  } catch {
    // No log yet.
  }
  return openSync(path, 'a', 0o600);
}

/** The last lines that the module in a slot printed. */
export function lastLogLines(dir: string, slot: number, count: number): readonly string[] {
  try {
    return readFileSync(join(dir, logFile(slot)), 'utf8')
      .trimEnd()
      .split('\n')
      .slice(-count);
  } catch {
    return [];
  }
}

/** Process ids of this data folder's running Corelets, by slot; found by what runs, not by what chassis.json remembers. */
export function findRunning(dir: string): ReadonlyMap<number, number> {
  const running = new Map<number, number>();
  const folder = realpathSync(dir);
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const slot = slotOfProcess(folder, Number(name));
    if (slot !== undefined) running.set(slot, Number(name));
  }
  return running;
}

/** Whether `pid` is (still) the Corelet of that slot in that folder, and not a stranger with its number. */
export function isRunning(dir: string, slot: number, pid: number): boolean {
  return slotOfProcess(realpathSync(dir), pid) === slot;
}

function slotOfProcess(folder: string, pid: number): number | undefined {
  try {
    if (readlinkSync(`/proc/${pid}/cwd`) !== folder) return undefined;
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    const slot = words[words.indexOf('--slot') + 1];
    return words.includes('run') && words.includes('--device') && slot !== undefined && /^\d+$/.test(slot)
      ? Number(slot)
      : undefined;
  } catch {
    return undefined; // Gone, or somebody else's.
  }
}

/** Sends a signal; false when there is no such process any more. */
export function signal(pid: number, name: 'SIGTERM' | 'SIGKILL'): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}

/** Waits until `done` holds, looking every 20 ms; false when `limitMs` passed first. */
export async function waitUntil(done: () => boolean, limitMs: number): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  while (!done()) {
    if (Date.now() >= deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

/** Stops every running Corelet of the folder: asked first, killed when it takes longer than `graceMs`. @returns how many were killed. */
export async function stopAll(dir: string, graceMs: number): Promise<number> {
  const asked = findRunning(dir);
  for (const pid of asked.values()) signal(pid, 'SIGTERM');
  const gone = (): boolean => [...asked].every(([slot, pid]) => !isRunning(dir, slot, pid));
  if (await waitUntil(gone, graceMs)) return 0;
  const left = findRunning(dir);
  for (const pid of left.values()) signal(pid, 'SIGKILL');
  await waitUntil(() => findRunning(dir).size === 0, graceMs);
  return left.size;
}

/** What every Corelet but `self` says it is reachable at: for a blank module that asks for admission. */
export function seedsFor(
  chassis: ChassisFile,
  self: string,
): readonly { readonly id: CoreletId; readonly address: string }[] {
  return chassis.slots
    .filter((record) => record.id !== self && !record.pulled)
    .map((record) => ({ id: record.id, address: record.fabric }));
}
