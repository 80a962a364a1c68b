import { parseArgs } from 'node:util';
import { ensureClient } from '../test/interop/clients.ts';
import { runWell } from '../test/interop/commands.ts';
import { coreletStore } from './corelet-store.ts';
import { measure, type Plan } from './jobs.ts';
import { nbdkitStore } from './nbdkit-store.ts';
import { type BenchReport, describeMachine, tableOf } from './report.ts';

const usage = `npm run bench -- [--json] [--seconds 10] [--warm-up 0] [--repetitions 3] [--slots 6] [--volume-mib 256]

A fresh demo chassis, and beside it one file behind nbdkit as the yardstick, measured by fio's nbd engine. With --warm-up, each job of
small blocks runs that many seconds before it is counted, on both.`;

const mib = 1024 * 1024;

class UsageError extends Error {}

function options() {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      seconds: { type: 'string', default: '10' },
      'warm-up': { type: 'string', default: '0' },
      repetitions: { type: 'string', default: '3' },
      slots: { type: 'string', default: '6' },
      'volume-mib': { type: 'string', default: '256' },
    },
  });
  const number = (name: 'seconds' | 'warm-up' | 'repetitions' | 'slots' | 'volume-mib', min: number, max: number) => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new UsageError(`--${name} takes a whole number from ${min} to ${max}, not ${values[name]}`);
    }
    return value;
  };
  return {
    json: values.json,
    help: values.help,
    slots: number('slots', 3, 64),
    seconds: number('seconds', 1, 600),
    warmUpSeconds: number('warm-up', 0, 600),
    repetitions: number('repetitions', 1, 25),
    volumeBytes: number('volume-mib', 16, 4096) * mib,
  };
}

async function bench(chosen: ReturnType<typeof options>): Promise<void> {
  for (const command of ['fio', 'nbdkit']) {
    if (!(await ensureClient(command)))
      throw new Error(`${command} is missing; next: apt-get install ${command} (as root)`);
  }
  const { seconds, warmUpSeconds, repetitions, volumeBytes } = chosen;
  const plan: Plan = { seconds, warmUpSeconds, repetitions, volumeBytes, jobBytesMax: 4 * volumeBytes };
  const stores = await measure([coreletStore(chosen.slots), await nbdkitStore()], plan, (line) => console.error(line));
  const machine = describeMachine((await runWell('fio', ['--version'])).stdout.trim());
  const report: BenchReport = { schemaVersion: 1, bench: 'demo-chassis', machine, plan, stores };
  console.log(chosen.json ? JSON.stringify(report) : tableOf(report));
}

try {
  const chosen = options();
  if (chosen.help) console.log(usage);
  else await bench(chosen);
} catch (error) {
  const isUsage =
    error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true;
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  if (isUsage) console.error(usage);
  process.exitCode = isUsage ? 2 : 1;
}
