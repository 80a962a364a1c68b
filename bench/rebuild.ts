import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureClient } from '../test/interop/clients.ts';
import { type DemoChassis, startChassis } from '../test/interop/chassis.ts';
import { runFio } from '../test/interop/fio.ts';
import { type CpuTime, cpuTime } from '../test/interop/processes.ts';
import { rest } from '../test/interop/commands.ts';
import { runBench } from './command-line.ts';

const usage = `npm run bench:rebuild -- [--slots 6,12,24] [--gib 2] [--block 4096] [--depth 16] [--healthy 10] [--after 5]
    [--json]

A volume is written full; a host then reads and writes random blocks of it through slot 0 without a pause. One module is
drawn (SIGKILL, the last slot) and the time is taken until every arc has all its copies again, beside the host's I/O per
second before, meanwhile and after, its longest I/O, and the processor time of all other Corelets. --depth 0: no host, for
what the copying itself costs.`;

const gib = 1024 * 1024 * 1024;
const sampleMs = 250;
const pollMs = 100;
const settleMs = 2_000;
/** The bars: seconds from the pull to full for 2 GiB in 6 slots, and the share of the host's I/O that must remain. */
const bars = { fullSeconds: 20, share: 0.7 } as const;

interface Setting {
  readonly gib: number;
  readonly blockBytes: number;
  readonly depth: number;
  readonly healthySeconds: number;
  readonly afterSeconds: number;
}

/** A stretch of time: what the host did, and what the Corelets that live on used for it. */
interface Phase {
  readonly seconds: number;
  readonly iops: number;
  /** Of the healthy phase's I/O per second. */
  readonly share: number;
  /** Processor seconds of all Corelets but the drawn one. */
  readonly userSeconds: number;
  readonly systemSeconds: number;
}

interface Rebuild {
  readonly slots: number;
  readonly gib: number;
  /** From the pull until no arc counted the module as a copy, and until all arcs were full again. */
  readonly goneSeconds: number;
  readonly fullSeconds: number;
  /** Bytes that came to other slots from the pull to the end, as their devices tell. */
  readonly copiedBytes: number;
  /** Of the host, from the pull to full, against before. */
  readonly share: number;
  readonly longestMs: number;
  readonly healthy: Phase;
  /** From the pull until the module was out of the view, from then until full, and from full on. */
  readonly noticing: Phase;
  readonly copying: Phase;
  readonly after: Phase;
  /** Where no host worked: processor seconds of the Corelets from the pull to full, for each GiB that was copied. */
  readonly cpuSecondsPerGib: number | undefined;
}

interface HostRecord {
  /** Of the time between two moments since its start. */
  iops(fromMs: number, toMs: number): number;
  readonly longestMs: number;
}

interface Host {
  readonly startedMs: number;
  end(): Promise<HostRecord>;
  abandon(): void;
}

/** Nobody: the Corelets have the machine to themselves. */
const noHost = (): Host => ({
  startedMs: performance.now(),
  end: () => Promise.resolve({ iops: () => 0, longestMs: 0 }),
  abandon: () => {},
});

/** fio, until told to end: I/Os per second over time, from its start on. */
class HostLoad implements Host {
  readonly #folder = mkdtempSync(join(tmpdir(), 'corelet-rebuild-'));
  readonly #program: ChildProcess;
  readonly #ended: Promise<number | null>;
  readonly startedMs = performance.now();
  #said = '';

  constructor(uri: string, setting: Setting) {
    const args = ['--name=host', '--ioengine=nbd', `--uri=${uri}`, '--rw=randrw', `--bs=${setting.blockBytes}`];
    args.push(
      `--iodepth=${setting.depth}`,
      `--size=${setting.gib * gib}`,
      '--time_based',
      '--runtime=600',
      '--norandommap=1',
    );
    args.push(`--write_iops_log=${join(this.#folder, 'host')}`, `--log_avg_msec=${sampleMs}`);
    args.push('--output-format=json', `--output=${join(this.#folder, 'fio.json')}`);
    this.#program = spawn('fio', args, { cwd: this.#folder, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#program.stdout, this.#program.stderr])
      stream?.on('data', (text) => (this.#said += String(text)));
    this.#ended = new Promise((resolve) => this.#program.once('close', resolve));
  }

  async end(): Promise<HostRecord> {
    this.#program.kill('SIGINT'); // fio then writes what it has
    await this.#ended;
    try {
      const text = readFileSync(join(this.#folder, 'fio.json'), 'utf8');
      const output = JSON.parse(text.slice(text.indexOf('{'))) as {
        jobs: { error: number; read: { lat_ns: { max: number } }; write: { lat_ns: { max: number } } }[];
      };
      const job = output.jobs[0];
      if (job === undefined || job.error !== 0) throw new Error(`the host saw an error: ${this.#said}`);
      const rows = readFileSync(join(this.#folder, 'host_iops.1.log'), 'utf8')
        .split('\n')
        .map((line) => line.split(',').map(Number))
        .filter((row) => row.length >= 3);
      return {
        longestMs: Math.round(Math.max(job.read.lat_ns.max, job.write.lat_ns.max) / 1e6),
        // A row per direction and sample, at the sample's end.
        iops: (fromMs, toMs) => {
          let ios = 0;
          for (const [atMs, iops] of rows as [number, number][])
            if (atMs > fromMs && atMs <= toMs) ios += (iops * sampleMs) / 1000;
          return (ios * 1000) / Math.max(sampleMs, toMs - fromMs);
        },
      };
    } finally {
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }

  abandon(): void {
    this.#program.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

interface Device {
  readonly slots: readonly { readonly slot: number; readonly usedBytes: number; readonly state: string }[];
}

const usedBytes = (status: unknown, except: number): number =>
  (status as Device).slots.filter(({ slot }) => slot !== except).reduce((sum, slot) => sum + slot.usedBytes, 0);

/** A moment, and what the Corelets had used by then. */
interface Mark {
  readonly atMs: number;
  readonly cpu: CpuTime;
}

const markNow = (pids: readonly number[]): Mark => ({ atMs: performance.now(), cpu: cpuTime(pids) });

function phaseOf(host: HostRecord, startedMs: number, from: Mark, to: Mark, healthyIops: number | undefined): Phase {
  const iops = host.iops(from.atMs - startedMs, to.atMs - startedMs);
  return {
    seconds: (to.atMs - from.atMs) / 1000,
    iops: Math.round(iops),
    share: healthyIops === undefined ? 1 : iops / Math.max(1, healthyIops),
    userSeconds: (to.cpu.userMicros - from.cpu.userMicros) / 1e6,
    systemSeconds: (to.cpu.systemMicros - from.cpu.systemMicros) / 1e6,
  };
}

const cpuSeconds = ({ userSeconds, systemSeconds }: Phase): number => userSeconds + systemSeconds;

/** Draws the module and waits until every arc is full again: when it was out of the view, and how it ended. */
async function drawAndWait(
  chassis: DemoChassis,
  victim: number,
  pids: readonly number[],
): Promise<{ pulled: Mark; gone: Mark; full: Mark }> {
  const pulled = markNow(pids);
  process.kill(chassis.slots().find(({ slot }) => slot === victim)?.pid as number, 'SIGKILL');
  let gone: Mark | undefined;
  for (;;) {
    await rest(pollMs);
    const status = await chassis.status();
    const state = status.slots.find(({ slot }) => slot === victim)?.state;
    if (state !== undefined && state !== 'gone') continue;
    gone ??= markNow(pids);
    if (status.arcs.full === status.arcs.total) return { pulled, gone, full: markNow(pids) };
    if (performance.now() - pulled.atMs > 600_000) throw new Error(`not full after 10 min: ${JSON.stringify(status)}`);
  }
}

async function measure(chassis: DemoChassis, slots: number, setting: Setting): Promise<Rebuild> {
  const uri = chassis.nbdUri(0);
  await runFio({
    uri,
    rw: 'write',
    blockSizeBytes: 1024 * 1024,
    queueDepth: 4,
    sizeBytes: setting.gib * gib,
    seconds: 0,
  });
  await chassis.full();
  await rest(settleMs);
  const load = setting.depth > 0 ? new HostLoad(uri, setting) : noHost();
  try {
    const victim = slots - 1;
    const pids = chassis
      .slots()
      .filter(({ slot }) => slot !== victim)
      .map(({ pid }) => pid);
    await rest(settleMs);
    const healthyFrom = markNow(pids);
    await rest(setting.healthySeconds * 1000);
    const usedBefore = usedBytes(await chassis.status(), victim);
    const { pulled, gone, full } = await drawAndWait(chassis, victim, pids);
    await rest(setting.afterSeconds * 1000);
    const end = markNow(pids);
    const copiedBytes = usedBytes(await chassis.status(), victim) - usedBefore; // what is full was told later than that it is
    const host = await load.end();
    const healthy = phaseOf(host, load.startedMs, healthyFrom, pulled, undefined);
    const phase = (from: Mark, to: Mark): Phase => phaseOf(host, load.startedMs, from, to, healthy.iops);
    const meanwhile = phase(pulled, full);
    return {
      slots,
      gib: setting.gib,
      goneSeconds: (gone.atMs - pulled.atMs) / 1000,
      fullSeconds: meanwhile.seconds,
      copiedBytes,
      share: meanwhile.share,
      longestMs: host.longestMs,
      healthy,
      noticing: phase(pulled, gone),
      copying: phase(gone, full),
      after: phase(full, end),
      cpuSecondsPerGib: setting.depth > 0 ? undefined : (cpuSeconds(meanwhile) * gib) / copiedBytes,
    };
  } finally {
    load.abandon();
  }
}

function tellPhase(name: string, phase: Phase): string {
  const cores = (seconds: number): string => (seconds / Math.max(0.001, phase.seconds)).toFixed(2);
  return (
    `  ${name.padEnd(9)} ${phase.seconds.toFixed(1).padStart(5)} s: ${phase.iops} I/O/s (${(100 * phase.share).toFixed(0)} %); ` +
    `Corelets ${cpuSeconds(phase).toFixed(1)} s of processor, ${cores(phase.userSeconds)} cores user, ${cores(phase.systemSeconds)} system`
  );
}

function tell(result: Rebuild): string {
  const { slots, gib: size, goneSeconds, fullSeconds, copiedBytes, share, longestMs, cpuSecondsPerGib } = result;
  const copied = `${(copiedBytes / 1024 / 1024).toFixed(0)} MiB copied`;
  const cost = cpuSecondsPerGib === undefined ? '' : ` for ${cpuSecondsPerGib.toFixed(2)} s of processor per GiB`;
  return [
    `${slots} slots, ${size} GiB: full ${fullSeconds.toFixed(1)} s after the pull (out of the view after ${goneSeconds.toFixed(1)} s), ` +
      `${copied}${cost}; host ${(100 * share).toFixed(0)} % of healthy meanwhile, longest I/O ${longestMs} ms`,
    tellPhase('healthy', result.healthy),
    tellPhase('noticing', result.noticing),
    tellPhase('copying', result.copying),
    tellPhase('after', result.after),
  ].join('\n');
}

const defaults = { slots: '6,12,24', gib: '2', block: '4096', depth: '16', healthy: '10', after: '5' };

await runBench(usage, defaults, async (chosen) => {
  await ensureClient('fio');
  const setting = {
    gib: Number(chosen.gib),
    blockBytes: Number(chosen.block),
    depth: Number(chosen.depth),
    healthySeconds: Number(chosen.healthy),
    afterSeconds: Number(chosen.after),
  };
  const results: Rebuild[] = [];
  for (const slots of chosen.slots.split(',').map(Number)) {
    const chassis = await startChassis({
      slots,
      volume: `demo:${Math.round(setting.gib * 1024)}MiB`,
      limitMs: 120_000,
    });
    try {
      results.push(await measure(chassis, slots, setting));
    } finally {
      await chassis.stop();
    }
    const newest = results.at(-1);
    if (newest !== undefined && !chosen.json) console.log(tell(newest));
  }
  if (chosen.json) console.log(JSON.stringify({ schemaVersion: 1, bench: 'rebuild', bars, results }));
});
