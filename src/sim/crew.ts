import { Worker } from 'node:worker_threads';
import type { SimOptions } from './options.ts';
import type { RunReport } from './run.ts';

/** Wall time of one run: beyond it something loops without virtual time passing. */
const runMsMax = 15 * 60_000;

/** What a worker is given; it answers each seed with a `RunReport`. */
export interface CrewOrders {
  readonly options: SimOptions;
}

const workerFile = new URL(import.meta.url.endsWith('.ts') ? './crew-worker.ts' : './crew-worker.js', import.meta.url);

/** Runs seeds on several threads at once; each run is alone in its thread, so it replays alone. Reports come as they end. */
export async function runWithCrew(
  seeds: Iterator<number>,
  jobs: number,
  options: SimOptions,
  ended: (report: RunReport) => void,
): Promise<void> {
  await Promise.all(Array.from({ length: jobs }, () => runLine(seeds, { options }, ended)));
}

async function runLine(seeds: Iterator<number>, orders: CrewOrders, ended: (report: RunReport) => void): Promise<void> {
  let worker = new Worker(workerFile, { workerData: orders });
  try {
    for (let next = seeds.next(); next.done !== true; next = seeds.next()) {
      const report = await runSeed(worker, next.value);
      if (typeof report === 'string') {
        await worker.terminate();
        ended(lostRun(next.value, report));
        worker = new Worker(workerFile, { workerData: orders });
      } else ended(report);
    }
  } finally {
    await worker.terminate();
  }
}

/** The report, or why there is none. */
function runSeed(worker: Worker, seed: number): Promise<RunReport | string> {
  return new Promise((resolve) => {
    const finish = (result: RunReport | string) => {
      clearTimeout(timer);
      worker.removeAllListeners();
      resolve(result);
    };
    const timer = setTimeout(() => finish(`no end after ${runMsMax / 60_000} minutes`), runMsMax);
    worker.once('message', finish);
    worker.once('error', (error: unknown) =>
      finish(error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
    worker.once('exit', (code) => finish(`its thread ended with code ${code}`));
    worker.postMessage(seed);
  });
}

function lostRun(seed: number, summary: string): RunReport {
  return {
    seed,
    violations: [{ invariant: 'INV-8', summary, story: [] }],
    traceHash: '',
    virtualMs: 0,
    operations: 0,
    acknowledged: 0,
    unknown: 0,
    faults: {},
    events: 0,
    wallMs: 0,
    registers: 0,
    uncheckedRegisters: 0,
    convergedAfterMs: undefined,
    journal: [],
  };
}
