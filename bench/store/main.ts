// node bench/store/main.ts
import { mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine } from '../report.ts';
import { measureAmplification } from './amplification.ts';
import { fileSystemOf, type JobReport, type StoreBenchReport, textOf, titleOf } from './figures.ts';
import { fioVersion } from './fio.ts';
import { measureMemory } from './memory.ts';
import { measureReads } from './reads.ts';
import { measureRestart } from './restart.ts';
import type { Setting } from './setting.ts';
import { measureAppends, measureWrites } from './writes.ts';

const jobs = {
  writes: measureWrites,
  appends: measureAppends,
  reads: measureReads,
  restart: measureRestart,
  amplification: measureAmplification,
  memory: measureMemory,
} as const;
type JobName = keyof typeof jobs;
const jobNames = Object.keys(jobs) as JobName[];

const usage = `npm run bench:store -- [--job ${jobNames.join(',')}] [--dir FOLDER] [--json] [--quick]

The store alone, on a file in FOLDER (default: here), with fio on the same file system as the yardstick where it is
installed. All jobs by default. Up to 20 GiB of FOLDER and 5 GiB of memory are used for a while; half an hour.`;

class UsageError extends Error {}

function options(): {
  readonly chosen: readonly JobName[];
  readonly dir: string;
  readonly json: boolean;
  readonly quick: boolean;
  readonly help: boolean;
} {
  const { values } = parseArgs({
    options: {
      job: { type: 'string', default: jobNames.join(',') },
      dir: { type: 'string', default: '.' },
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const chosen = values.job.split(',').map((name) => {
    const job = jobNames.find((known) => known === name);
    if (job === undefined) throw new UsageError(`--job takes ${jobNames.join(', ')}; not ${name}`);
    return job;
  });
  return { ...values, chosen };
}

async function bench({ chosen, dir, json, quick }: ReturnType<typeof options>): Promise<void> {
  const folder = mkdtempSync(join(resolve(dir), 'corelet-bench-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      remove();
      process.exit(1);
    });
  }
  try {
    const fio = fioVersion();
    const machine = describeMachine(fio ?? 'no fio');
    const setting: Setting = { folder, quick, fio, tell: (line) => console.error(`  ${line}`) };
    const title = {
      schemaVersion: 1,
      bench: 'store',
      machine,
      folder: resolve(dir),
      fileSystem: fileSystemOf(dir),
      quick,
    } as const;
    if (!json) console.log(titleOf(title));
    const reports: JobReport[] = [];
    for (const name of chosen) {
      console.error(`${name} …`);
      const report = await runJob(name, setting);
      if (report.failure !== undefined) process.exitCode = 1;
      reports.push(report);
      if (!json) console.log(textOf(report));
    }
    if (json) console.log(JSON.stringify({ ...title, jobs: reports } satisfies StoreBenchReport));
  } finally {
    remove();
  }
}

/** One that fails doesn't keep the others from running. */
async function runJob(name: JobName, setting: Setting): Promise<JobReport> {
  try {
    return await jobs[name](setting);
  } catch (error) {
    const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { job: name, how: 'no result', figures: [], notes: [], failure };
  }
}

try {
  const given = options();
  if (given.help) console.log(usage);
  else await bench(given);
} catch (error) {
  const isUsage =
    error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true;
  console.error(`bench:store: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  if (isUsage) console.error(usage);
  process.exitCode = isUsage ? 2 : 1;
}
