import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventsFile } from '../../src/chassis/layout.ts';
import type { EventRecord } from '../../src/ports/events.ts';
import { eventually, type Finished, type RunOptions, run } from './commands.ts';

export const projectRoot = join(import.meta.dirname, '..', '..');
export const coreletCommand = join(projectRoot, 'corelet');

/** A line of `chassis.json`. */
export interface SlotRecord {
  readonly slot: number;
  readonly id: string;
  readonly pid: number;
  readonly nbd: string;
  readonly iscsi: string;
  readonly nvme: string;
  readonly nvmeDiscovery: string;
  readonly admin: string;
}

/** The part of `GET /api/status` that is promised. */
export interface ChassisStatus {
  readonly slots: readonly {
    readonly slot: number;
    readonly id: string;
    readonly state: string;
    readonly slow?: { readonly flashMs?: number; readonly answersMs?: number; readonly answersUsualMs?: number };
  }[];
  readonly arcs: {
    readonly total: number;
    readonly full: number;
    readonly reduced: number;
    readonly unavailable: number;
  };
  readonly rebuild: {
    readonly bytesLeft: number;
    readonly bytesPerSecond: number;
    readonly secondsLeft: number | null;
  };
}

export interface ChassisOptions {
  readonly slots?: number;
  /** NAME:SIZE of the volume made at first. */
  readonly volume?: string;
  /** An existing data folder to start again on; a fresh one otherwise. */
  readonly data?: string;
  readonly nbdPort?: number;
  readonly iscsiPort?: number;
  readonly nvmePort?: number;
  readonly nvmeDiscoveryPort?: number;
  readonly adminPort?: number;
  readonly limitMs?: number;
  /** Further options of `corelet demo`. */
  readonly more?: readonly string[];
}

/** `./corelet demo`, run as a user runs it: real processes, real files, real ports. Ended by `stop`, whatever happened before. */
export class DemoChassis {
  readonly data: string;
  readonly slotCount: number;
  readonly nbdPort: number;
  readonly iscsiPort: number;
  readonly nvmePort: number;
  readonly nvmeDiscoveryPort: number;
  readonly adminPort: number;
  readonly readyLine: string;
  readonly readyMs: number;
  readonly #program: ChildProcess;
  readonly #printed: () => string;

  constructor(started: {
    data: string;
    slotCount: number;
    nbdPort: number;
    iscsiPort: number;
    nvmePort: number;
    nvmeDiscoveryPort: number;
    adminPort: number;
    readyLine: string;
    readyMs: number;
    program: ChildProcess;
    printed: () => string;
  }) {
    this.data = started.data;
    this.slotCount = started.slotCount;
    this.nbdPort = started.nbdPort;
    this.iscsiPort = started.iscsiPort;
    this.nvmePort = started.nvmePort;
    this.nvmeDiscoveryPort = started.nvmeDiscoveryPort;
    this.adminPort = started.adminPort;
    this.readyLine = started.readyLine;
    this.readyMs = started.readyMs;
    this.#program = started.program;
    this.#printed = started.printed;
  }

  /** Everything that the chassis program printed so far. */
  get printed(): string {
    return this.#printed();
  }

  get programPid(): number {
    return this.#program.pid as number;
  }

  nbdUri(slot: number, volume = 'demo'): string {
    return `nbd://127.0.0.1:${this.nbdPort + slot}/${volume}`;
  }

  iscsiUri(slot: number, volume = 'demo'): string {
    return `iscsi://127.0.0.1:${this.iscsiPort + slot}/iqn.2026-01.io.corelet:${volume}/0`;
  }

  adminUrl(slot: number): string {
    return `http://127.0.0.1:${this.adminPort + slot}`;
  }

  /** As `chassis.json` tells it now. */
  slots(): SlotRecord[] {
    return readSlots(this.data);
  }

  /** Runs `./corelet ARGS --data DIR`. */
  corelet(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return run(coreletCommand, [...args, '--data', this.data], options);
  }

  /** From the first Corelet that answers, lowest slot first. */
  async status(): Promise<ChassisStatus> {
    let last: unknown;
    for (const slot of this.slots()) {
      try {
        const response = await fetch(`${slot.admin}/api/status`, { signal: AbortSignal.timeout(2000) });
        if (response.ok) return (await response.json()) as ChassisStatus;
        last = new Error(`${slot.admin}: HTTP ${response.status}`);
      } catch (error) {
        last = error;
      }
    }
    throw new Error('no Corelet answers', { cause: last });
  }

  /** Until all arcs are full, in the eyes of the Corelet that answers. */
  full(limitMs = 60_000): Promise<ChassisStatus> {
    return this.until('all arcs full', limitMs, (status) => isFull(status));
  }

  /** Until the loss of this slot was noticed by all and made good: it is no member, and all arcs are full. */
  healedWithout(slot: number, limitMs = 60_000): Promise<ChassisStatus> {
    return this.until(`all arcs full without slot ${slot}`, limitMs, (status) => {
      const state = status.slots.find((candidate) => candidate.slot === slot)?.state;
      return (state === undefined || state === 'gone') && isFull(status);
    });
  }

  until(what: string, limitMs: number, holds: (status: ChassisStatus) => boolean): Promise<ChassisStatus> {
    let seen: ChassisStatus | undefined;
    return eventually(what, limitMs, async () => {
      seen = await this.status();
      return holds(seen) ? seen : undefined;
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}; last status ${JSON.stringify(seen)}\n${this.printed}`, { cause: error });
    });
  }

  /** What the Corelet in that slot recorded, oldest first. */
  recorded(slot: number): EventRecord[] {
    const lines = readFileSync(join(this.data, eventsFile(slot)), 'utf8')
      .trimEnd()
      .split('\n');
    return lines.map((line) => JSON.parse(line) as EventRecord);
  }

  /** A power cut: the chassis program and every Corelet end at once, without a word. */
  async cutPower(): Promise<void> {
    const pids = [this.programPid, ...this.slots().map(({ pid }) => pid)];
    for (const pid of pids) signal(pid, 'SIGKILL');
    await gone(pids);
  }

  /** Ctrl-C, then whatever is left by force, then the data folder. */
  async stop(options: { readonly keepData?: boolean } = {}): Promise<void> {
    const pids = [this.programPid, ...this.slots().map(({ pid }) => pid)];
    if (this.#program.exitCode === null && this.#program.signalCode === null) this.#program.kill('SIGINT');
    try {
      await gone(pids, 15_000);
    } catch {
      for (const pid of pids) signal(pid, 'SIGKILL');
      await gone(pids);
    }
    if (options.keepData !== true) rmSync(this.data, { recursive: true, force: true });
  }
}

/** Starts `./corelet demo` and resolves at its `ready` line. When it doesn't come, nothing is left running. */
export async function startChassis(options: ChassisOptions = {}): Promise<DemoChassis> {
  const slotCount = options.slots ?? 6;
  const fresh = options.data === undefined;
  const data = options.data ?? mkdtempSync(join(tmpdir(), 'corelet-test-'));
  const nbdPort = options.nbdPort ?? (await freePorts(slotCount));
  const iscsiPort = options.iscsiPort ?? (await freePorts(slotCount, nbdPort));
  const nvmePort = options.nvmePort ?? (await freePorts(slotCount, nbdPort, iscsiPort));
  const nvmeDiscoveryPort = options.nvmeDiscoveryPort ?? (await freePorts(slotCount, nbdPort, iscsiPort, nvmePort));
  const adminPort = options.adminPort ?? (await freePorts(slotCount, nbdPort, iscsiPort, nvmePort, nvmeDiscoveryPort));
  const args = ['demo', '--slots', String(slotCount), '--data', data, '--nbd-port', String(nbdPort)];
  args.push('--iscsi-port', String(iscsiPort), '--nvme-port', String(nvmePort));
  args.push('--nvme-discovery-port', String(nvmeDiscoveryPort));
  args.push('--admin-port', String(adminPort), '--volume', options.volume ?? 'demo:256MiB', ...(options.more ?? []));
  const began = performance.now();
  const program = spawn(coreletCommand, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  // The runner may end this process at its limit: then too nothing may be left behind.
  const end = () => endNow(program, data);
  process.once('exit', end);
  program.once('exit', () => process.off('exit', end));
  let printed = '';
  program.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  program.stderr.setEncoding('utf8').on('data', (text: string) => (printed += text));
  try {
    const readyLine = await eventually('ready', options.limitMs ?? 60_000, () => {
      if (program.exitCode !== null || program.signalCode !== null) return 'ended';
      return /^ready.*$/m.exec(printed)?.[0];
    });
    if (readyLine === 'ended') throw new Error(`corelet demo ended with exit code ${program.exitCode}`);
    const readyMs = performance.now() - began;
    const output = () => printed;
    return new DemoChassis({
      data,
      slotCount,
      nbdPort,
      iscsiPort,
      nvmePort,
      nvmeDiscoveryPort,
      adminPort,
      readyLine,
      readyMs,
      program,
      printed: output,
    });
  } catch (error) {
    const pids = [program.pid ?? 0, ...readSlots(data).map(({ pid }) => pid)];
    endNow(program, data);
    await gone(pids);
    if (fresh) rmSync(data, { recursive: true, force: true, maxRetries: 5 });
    throw new Error(`${String(error)}\n${printed}`, { cause: error });
  }
}

function endNow(program: ChildProcess, data: string): void {
  program.kill('SIGKILL');
  for (const { pid } of readSlots(data)) signal(pid, 'SIGKILL');
}

function readSlots(data: string): SlotRecord[] {
  try {
    const { slots } = JSON.parse(readFileSync(join(data, 'chassis.json'), 'utf8')) as { slots: SlotRecord[] };
    return [...slots].sort((a, b) => a.slot - b.slot);
  } catch {
    return []; // not started far enough to have one
  }
}

function isFull({ arcs }: ChassisStatus): boolean {
  return arcs.total > 0 && arcs.full === arcs.total && arcs.reduced === 0 && arcs.unavailable === 0;
}

function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 1) return false; // an empty slot
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}

/** A process that ended but wasn't waited for yet counts as gone: it holds no file and no port. */
export function isRunning(pid: number): boolean {
  if (!signal(pid, 0)) return false;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return false;
  }
}

async function gone(pids: readonly number[], limitMs = 10_000): Promise<void> {
  await eventually('processes gone', limitMs, () => (pids.some(isRunning) ? undefined : true));
}

/** First of `count` consecutive free ports on 127.0.0.1, outside the kernel's range for outgoing connections. */
export async function freePorts(count: number, ...notNear: readonly number[]): Promise<number> {
  return eventually('free ports', 10_000, async () => {
    const first = 10_000 + Math.floor(Math.random() * 20_000);
    if (notNear.some((port) => Math.abs(first - port) < 64)) return undefined;
    for (let port = first; port < first + count; port++) if (!(await isFree(port))) return undefined;
    return first;
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
