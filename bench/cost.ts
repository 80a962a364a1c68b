import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureClient } from '../test/interop/clients.ts';
import type * as Chassis from '../test/interop/chassis.ts';
import { projectRoot } from '../test/interop/chassis.ts';
import { type FioJob, runFio } from '../test/interop/fio.ts';
import { runBench } from './command-line.ts';
import { fabricCounts, processCounts } from './counts.ts';
import { median } from './jobs.ts';

const usage = `npm run bench:cost -- [--json] [--beside DIR,DIR] [--rw randwrite] [--kib 4] [--depth 16] [--slots 6] [--seconds 4] [--rounds 5]

What one I/O costs all Corelets together: processor time, context switches, system calls, messages and the writes that carry them.
With --beside, chassis of other checkouts run at the same time and are measured in turns: on a machine whose speed changes from minute to
minute, only such pairs tell, and counts tell sooner than times. The first round of each is printed and left out of the medians: in it
the compiler is still at work.`;

const mib = 1024 * 1024;
const volumeBytes = 256 * mib;

/** Per I/O, but for `iops`. */
interface Cost {
  readonly iops: number;
  readonly userMicros: number;
  readonly systemMicros: number;
  readonly switches: number;
  readonly readCalls: number;
  readonly writeCalls: number;
  readonly messages: number;
  readonly frames: number;
}

type Job = Pick<FioJob, 'rw' | 'blockSizeBytes' | 'queueDepth' | 'seconds'>;

interface Side {
  readonly checkout: string;
  readonly chassis: Chassis.DemoChassis;
  readonly rounds: Cost[];
}

/** A chassis of that checkout's own code, with data everywhere. */
async function start(checkout: string, slots: number): Promise<Side> {
  const module = pathToFileURL(`${checkout}/test/interop/chassis.ts`).href;
  const { startChassis } = (await import(module)) as typeof Chassis;
  const chassis = await startChassis({ slots, volume: `demo:${volumeBytes / mib}MiB` });
  try {
    await chassis.full();
    const whole = { rw: 'write', blockSizeBytes: mib, queueDepth: 4, seconds: 0 } as const;
    await runFio({ ...whole, uri: chassis.nbdUri(0), sizeBytes: volumeBytes });
  } catch (error) {
    await chassis.stop();
    throw error;
  }
  return { checkout, chassis, rounds: [] };
}

async function round({ chassis }: Side, job: Job): Promise<Cost> {
  const slots = chassis.slots();
  const pids = slots.map(({ pid }) => pid);
  const admins = slots.map(({ admin }) => admin);
  const fabricBefore = await fabricCounts(admins);
  const before = processCounts(pids);
  const { ios, iops } = await runFio({
    ...job,
    uri: chassis.nbdUri(0),
    sizeBytes: volumeBytes,
    bytesMax: 4 * volumeBytes,
  });
  if (ios === 0) throw new Error('fio did nothing');
  const after = processCounts(pids);
  const fabric = await fabricCounts(admins);
  return {
    iops,
    userMicros: (after.userMicros - before.userMicros) / ios,
    systemMicros: (after.systemMicros - before.systemMicros) / ios,
    switches: (after.switches - before.switches) / ios,
    readCalls: (after.readCalls - before.readCalls) / ios,
    writeCalls: (after.writeCalls - before.writeCalls) / ios,
    messages: (fabric.messages - fabricBefore.messages) / ios,
    frames: (fabric.frames - fabricBefore.frames) / ios,
  };
}

const columns = ['IOPS', 'user µs', 'system µs', 'switches', 'reads', 'writes', 'messages', 'frames'];

function row(name: string, cells: readonly string[]): string {
  return name.padEnd(12) + cells.map((cell) => cell.padStart(11)).join('');
}

function cellsOf(cost: Cost): string[] {
  const { iops, userMicros, systemMicros, ...counts } = cost;
  return [
    iops.toFixed(0),
    userMicros.toFixed(0),
    systemMicros.toFixed(0),
    ...Object.values(counts).map((n) => n.toFixed(2)),
  ];
}

function medianOf(rounds: readonly Cost[]): Cost {
  const of = (figure: keyof Cost) => median(rounds.map((cost) => cost[figure]));
  return {
    iops: of('iops'),
    userMicros: of('userMicros'),
    systemMicros: of('systemMicros'),
    switches: of('switches'),
    readCalls: of('readCalls'),
    writeCalls: of('writeCalls'),
    messages: of('messages'),
    frames: of('frames'),
  };
}

async function bench(checkouts: readonly string[], slots: number, rounds: number, job: Job): Promise<readonly Side[]> {
  if (!(await ensureClient('fio'))) throw new Error('fio is missing; next: apt-get install fio (as root)');
  const sides: Side[] = [];
  try {
    for (const checkout of checkouts) sides.push(await start(checkout, slots));
    // The order is turned each time: who comes second finds a warmer machine.
    for (let i = 0; i <= rounds; i++) {
      for (const side of i % 2 === 0 ? sides : sides.toReversed()) side.rounds.push(await round(side, job));
    }
  } finally {
    for (const { chassis } of sides) await chassis.stop();
  }
  return sides;
}

function tableOf({ checkout, rounds }: Side): string {
  const lines = rounds.map((cost, i) => row(i === 0 ? '  warming up' : `  round ${i}`, cellsOf(cost)));
  return [row('', columns), ...lines, row('  median', cellsOf(medianOf(rounds.slice(1)))), `  ${checkout}`].join('\n');
}

const defaults = { beside: '', rw: 'randwrite', kib: '4', depth: '16', slots: '6', seconds: '4', rounds: '5' };
await runBench(usage, defaults, async (chosen) => {
  const others = chosen.beside.split(',').filter((dir) => dir !== '');
  const job: Job = {
    rw: chosen.rw as Job['rw'],
    blockSizeBytes: Number(chosen.kib) * 1024,
    queueDepth: Number(chosen.depth),
    seconds: Number(chosen.seconds),
  };
  const checkouts = [projectRoot, ...others.map((dir) => resolve(dir))];
  const sides = await bench(checkouts, Number(chosen.slots), Number(chosen.rounds), job);
  if (chosen.json) {
    const told = sides.map(({ checkout, rounds }) => ({ checkout, rounds, median: medianOf(rounds.slice(1)) }));
    console.log(JSON.stringify({ schemaVersion: 1, bench: 'cost', job, sides: told }));
  } else for (const side of sides) console.log(tableOf(side));
});
