import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type DemoChassis, startChassis } from '../test/interop/chassis.ts';
import { ensureClient } from '../test/interop/clients.ts';
import { runWell } from '../test/interop/commands.ts';
import { cpuMicros } from '../test/interop/processes.ts';
import { runBench } from './command-line.ts';
import { median } from './jobs.ts';

const usage = `npm run bench:protocols -- [--json] [--rounds 5] [--seconds 1] [--slots 6] [--jobs REGEX]

\`qemu-img bench\` over iSCSI and over NBD, against the same volume of the same chassis through the same Corelet: in each round
one after the other, and the other way round in the next. Printed are medians, and the median of each round's ratio. Then, the
longest turn of each Corelet's event loop, as its own metrics tell, and for how long this program, which does next to nothing
meanwhile, stood still: what the machine itself takes. (No NVMe/TCP: there is no such client outside of the kernel in Debian.)`;

const kib = 1024;
const mib = 1024 * kib;
const volumeBytes = 256 * mib;
const gateway = 0;
/** iSCSI's share of NBD's I/O per second, and the longest that an event loop may stand still. */
const bars = { share: 0.8, turnMs: 100 } as const;

const protocols = ['nbd', 'iscsi'] as const;
type Protocol = (typeof protocols)[number];

interface Shape {
  readonly name: string;
  readonly writes: boolean;
  readonly bytes: number;
  readonly depth: number;
}

const shapes: readonly Shape[] = [
  [4 * kib, [1, 4, 16, 64]],
  [64 * kib, [1, 16]],
  [mib, [1, 4]],
].flatMap(([bytes, depths]) =>
  (depths as number[]).flatMap((depth) =>
    [true, false].map((writes) => {
      const size = (bytes as number) >= mib ? `${(bytes as number) / mib} MiB` : `${(bytes as number) / kib} KiB`;
      return { name: `${size} ${writes ? 'write' : 'read'}`, writes, bytes: bytes as number, depth };
    }),
  ),
);

/** One run, or the medians of several. */
interface Figures {
  readonly iops: number;
  /** Of the Corelet that serves the host, and of all of them, per I/O. */
  readonly gatewayCpuMicros: number;
  readonly allCpuMicros: number;
}

interface ShapeReport extends Shape, Record<Protocol, Figures> {
  /** iSCSI's I/O per second by NBD's: the median over rounds, and each. */
  readonly share: number;
  readonly shareEach: readonly number[];
}

async function runOnce(chassis: DemoChassis, protocol: Protocol, shape: Shape, count: number): Promise<Figures> {
  const uri = protocol === 'nbd' ? chassis.nbdUri(gateway) : chassis.iscsiUri(gateway);
  const slots = chassis.slots();
  const all = slots.map(({ pid }) => pid);
  const mine = slots.filter(({ slot }) => slot === gateway).map(({ pid }) => pid);
  const before = [cpuMicros(mine), cpuMicros(all)] as const;
  const args = ['bench', '-f', 'raw', '-c', String(count), '-d', String(shape.depth), '-s', String(shape.bytes)];
  if (shape.writes) args.push('-w', '--pattern=90');
  const { stdout } = await runWell('qemu-img', [...args, uri], { limitMs: 300_000 });
  const seconds = Number(/completed in ([\d.]+) seconds/.exec(stdout)?.[1]);
  if (!(seconds > 0)) throw new Error(`qemu-img bench said: ${stdout}`);
  return {
    iops: count / seconds,
    gatewayCpuMicros: (cpuMicros(mine) - before[0]) / count,
    allCpuMicros: (cpuMicros(all) - before[1]) / count,
  };
}

async function measure(chassis: DemoChassis, shape: Shape, rounds: number, seconds: number): Promise<ShapeReport> {
  // Once unmeasured: caches and compiled code are warm, and it is known how many make a round.
  const trial = Math.max(32, Math.min(1000, (16 * mib) / shape.bytes));
  let iops = 0;
  for (const protocol of protocols) iops = Math.max(iops, (await runOnce(chassis, protocol, shape, trial)).iops);
  const count = Math.max(trial, Math.round(iops * seconds));
  const runs: Record<Protocol, Figures[]> = { nbd: [], iscsi: [] };
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? protocols : protocols.toReversed();
    for (const protocol of order) runs[protocol].push(await runOnce(chassis, protocol, shape, count));
  }
  const shareEach = runs.iscsi.map((figures, round) => figures.iops / (runs.nbd[round] as Figures).iops);
  return { ...shape, nbd: medianOf(runs.nbd), iscsi: medianOf(runs.iscsi), share: median(shareEach), shareEach };
}

function medianOf(runs: readonly Figures[]): Figures {
  const of = (figure: keyof Figures) => median(runs.map((run) => run[figure]));
  return { iops: of('iops'), gatewayCpuMicros: of('gatewayCpuMicros'), allCpuMicros: of('allCpuMicros') };
}

/** Longest turn of each Corelet's event loop while hosts were connected, in milliseconds, by slot. */
async function longestTurnsMs(chassis: DemoChassis): Promise<number[]> {
  const turns: number[] = [];
  for (const { admin } of chassis.slots()) {
    const text = await (await fetch(`${admin}/metrics`)).text();
    turns.push(1000 * Number(/^corelet_event_loop_longest_turn_seconds (\S+)$/m.exec(text)?.[1]));
  }
  return turns;
}

const lookMs = 5;

function row(cells: readonly (string | number)[]): string {
  return cells.map((cell, i) => (i === 0 ? String(cell).padEnd(16) : String(cell).padStart(i === 1 ? 6 : 12))).join('');
}

function rowOf({ name, depth, nbd, iscsi, share, shareEach }: ShapeReport): string {
  const cpu = ({ gatewayCpuMicros, allCpuMicros }: Figures) =>
    `${gatewayCpuMicros.toFixed(0)} / ${allCpuMicros.toFixed(0)}`;
  const spread = `${(100 * Math.min(...shareEach)).toFixed(0)}–${(100 * Math.max(...shareEach)).toFixed(0)}`;
  const iops = [nbd, iscsi].map((figures) => Math.round(figures.iops));
  return row([name, depth, ...iops, `${(100 * share).toFixed(0)} %`, spread, cpu(nbd), cpu(iscsi)]);
}

async function bench(setting: { rounds: number; seconds: number; slots: number; jobs: RegExp; json: boolean }) {
  for (const command of ['qemu-img', 'block-iscsi.so'])
    if (!(await ensureClient(command)))
      throw new Error(`${command} is missing; next: apt-get install qemu-utils qemu-block-extra (as root)`);
  const { rounds, seconds, slots, json } = setting;
  const chassis = await startChassis({ slots, volume: `demo:${volumeBytes / mib}MiB` });
  try {
    await chassis.full();
    const fill: Shape = { name: 'fill', writes: true, bytes: mib, depth: 4 };
    await runOnce(chassis, 'nbd', fill, volumeBytes / mib); // every read finds data
    const heads = ['depth', 'NBD/s', 'iSCSI/s', 'share', 'spread %', 'CPU µs NBD', 'iSCSI'];
    if (!json) console.log(row(['', ...heads]));
    const results: ShapeReport[] = [];
    const delays = monitorEventLoopDelay({ resolution: lookMs });
    delays.enable();
    for (const shape of shapes) {
      if (!setting.jobs.test(`${shape.name} ${shape.depth}`)) continue;
      const result = await measure(chassis, shape, rounds, seconds);
      results.push(result);
      if (!json) console.log(rowOf(result));
    }
    delays.disable();
    const ownTurnMs = delays.max / 1e6;
    const turnsMs = await longestTurnsMs(chassis);
    if (json)
      console.log(
        JSON.stringify({ schemaVersion: 1, bench: 'protocols', slots, rounds, bars, results, turnsMs, ownTurnMs }),
      );
    else {
      console.log(`CPU: of the Corelet in slot ${gateway}, which serves the host / of all ${slots}, per I/O`);
      console.log(
        `longest turn of the event loop in slot ${gateway}: ${turnsMs[gateway]?.toFixed(0)} ms; the bar: ${bars.turnMs} ms\n` +
          `this program, which only waits and looks at the clock every ${lookMs} ms, stood still for ${ownTurnMs.toFixed(0)} ms at most`,
      );
    }
    const isSlow = results.some(({ share }) => share < bars.share);
    if (isSlow || !((turnsMs[gateway] as number) <= bars.turnMs)) process.exitCode = 1;
  } finally {
    await chassis.stop();
  }
}

await runBench(usage, { rounds: '5', seconds: '1', slots: '6', jobs: '.' }, (chosen) =>
  bench({
    rounds: Number(chosen.rounds),
    seconds: Number(chosen.seconds),
    slots: Number(chosen.slots),
    jobs: new RegExp(chosen.jobs),
    json: chosen.json,
  }),
);
