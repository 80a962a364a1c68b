import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureClient } from '../test/interop/clients.ts';
import { type DemoChassis, startChassis } from '../test/interop/chassis.ts';
import { runFio } from '../test/interop/fio.ts';
import { rest, runBench } from './command-line.ts';

const usage = `npm run bench:rebuild -- [--slots 6,12,24] [--gib 2] [--block 4096] [--depth 16] [--healthy 10] [--json]

A volume is written full; a host then reads and writes random blocks of it through slot 0 without a pause. One module is
drawn (SIGKILL, the last slot) and the time is taken until every arc has all its copies again, beside the host's I/O per
second before and meanwhile, and its longest I/O.`;

const gib = 1024 * 1024 * 1024;
const sampleMs = 250;
const pollMs = 50;
const settleMs = 2_000;
/** The bars: seconds from the pull to full for 2 GiB in 6 slots, and the share of the host's I/O that must remain. */
const bars = { fullSeconds: 20, share: 0.7 } as const;

interface Setting {
  readonly gib: number;
  readonly blockBytes: number;
  readonly depth: number;
  readonly healthySeconds: number;
}

interface Rebuild {
  readonly slots: number;
  readonly gib: number;
  /** From the pull until no arc counted the module as a copy, and until all arcs were full again. */
  readonly goneSeconds: number;
  readonly fullSeconds: number;
  /** Bytes that came to other slots meanwhile, as their devices tell. */
  readonly copiedBytes: number;
  readonly healthyIops: number;
  readonly meanwhileIops: number;
  readonly share: number;
  readonly longestMs: number;
}

/** fio, until told to end: I/Os per second over time, from its start on. */
class HostLoad {
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

  async end(): Promise<{ iops(fromMs: number, toMs: number): number; longestMs: number }> {
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
  const load = new HostLoad(uri, setting);
  try {
    await rest(setting.healthySeconds * 1000 + settleMs);
    const victim = slots - 1;
    const pid = chassis.slots().find(({ slot }) => slot === victim)?.pid as number;
    const usedBefore = usedBytes(await chassis.status(), victim);
    const pulledMs = performance.now();
    process.kill(pid, 'SIGKILL');
    let goneMs = Number.NaN;
    let after: Awaited<ReturnType<DemoChassis['status']>>;
    for (;;) {
      await rest(pollMs);
      after = await chassis.status();
      const state = after.slots.find(({ slot }) => slot === victim)?.state;
      if (state !== undefined && state !== 'gone') continue;
      if (Number.isNaN(goneMs)) goneMs = performance.now();
      if (after.arcs.full === after.arcs.total) break;
      if (performance.now() - pulledMs > 600_000) throw new Error(`not full after 10 min: ${JSON.stringify(after)}`);
    }
    const fullMs = performance.now();
    const copiedBytes = usedBytes(after, victim) - usedBefore;
    const host = await load.end();
    const at = (ms: number) => ms - load.startedMs;
    const healthyIops = host.iops(settleMs, at(pulledMs));
    const meanwhileIops = host.iops(at(pulledMs), at(fullMs));
    return {
      slots,
      gib: setting.gib,
      goneSeconds: (goneMs - pulledMs) / 1000,
      fullSeconds: (fullMs - pulledMs) / 1000,
      copiedBytes,
      healthyIops: Math.round(healthyIops),
      meanwhileIops: Math.round(meanwhileIops),
      share: meanwhileIops / healthyIops,
      longestMs: host.longestMs,
    };
  } finally {
    load.abandon();
  }
}

function tell(result: Rebuild): string {
  const {
    slots,
    gib: size,
    goneSeconds,
    fullSeconds,
    copiedBytes,
    healthyIops,
    meanwhileIops,
    share,
    longestMs,
  } = result;
  return (
    `${slots} slots, ${size} GiB: full ${fullSeconds.toFixed(1)} s after the pull (out of the view after ${goneSeconds.toFixed(1)} s), ` +
    `${(copiedBytes / 1024 / 1024).toFixed(0)} MiB copied; host ${healthyIops} I/O/s healthy, ${meanwhileIops} meanwhile ` +
    `(${(100 * share).toFixed(0)} %), longest I/O ${longestMs} ms`
  );
}

const defaults = { slots: '6,12,24', gib: '2', block: '4096', depth: '16', healthy: '10' };

await runBench(usage, defaults, async (chosen) => {
  await ensureClient('fio');
  const setting = {
    gib: Number(chosen.gib),
    blockBytes: Number(chosen.block),
    depth: Number(chosen.depth),
    healthySeconds: Number(chosen.healthy),
  };
  const results: Rebuild[] = [];
  for (const slots of chosen.slots.split(',').map(Number)) {
    const chassis = await startChassis({ slots, volume: `demo:${setting.gib * 1024}MiB`, limitMs: 120_000 });
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
