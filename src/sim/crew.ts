import { Worker } from 'node:worker_threads';
import type { SimOptions } from './options.ts';
import type { RunReport } from './run.ts';

/** Processor time of all threads, for each, while one run lasts: beyond it something loops without virtual time passing. */
const runCpuMsMax = 5 * 60_000;
/** Wall time of one run: beyond it something waits for what never comes. Far off: a busy or stopped machine is no failure. */
const runWallMsMax = 60 * 60_000;
const lookEveryMs = 5_000;

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
  await Promise.all(Array.from({ length: jobs }, () => runLine(seeds, { options }, jobs, ended)));
}

async function runLine(
  seeds: Iterator<number>,
  orders: CrewOrders,
  jobs: number,
  ended: (report: RunReport) => void,
): Promise<void> {
  let hand = new Hand(orders, jobs);
  for (let next = seeds.next(); next.done !== true; next = seeds.next()) {
    const report = await hand.run(next.value);
    if (typeof report === 'string') {
      await hand.end();
      hand = new Hand(orders, jobs);
    }
    ended(typeof report === 'string' ? lostRun(next.value, report) : report);
  }
  await hand.end();
}

/** One thread and the run that it is at. */
class Hand {
  readonly #worker: Worker;
  readonly #jobs: number;
  #finish: ((result: RunReport | string) => void) | undefined;

  constructor(orders: CrewOrders, jobs: number) {
    this.#jobs = jobs;
    this.#worker = new Worker(workerFile, { workerData: orders });
    this.#worker.on('message', (report: RunReport) => this.#finish?.(report));
    this.#worker.on('error', (error: unknown) => {
      this.#finish?.(error instanceof Error ? (error.stack ?? error.message) : String(error));
    });
    this.#worker.on('exit', (code) => this.#finish?.(`its thread ended with code ${code}`));
  }

  /** The report, or why there is none: then the thread is of no more use. */
  async run(seed: number): Promise<RunReport | string> {
    let timer: NodeJS.Timeout | undefined;
    const result = await new Promise<RunReport | string>((resolve) => {
      this.#finish = resolve;
      const sinceMs = performance.now();
      const since = process.cpuUsage();
      timer = setInterval(() => {
        const { user, system } = process.cpuUsage(since);
        if ((user + system) / 1000 > this.#jobs * runCpuMsMax) resolve(noEnd(runCpuMsMax, 'of processor time'));
        else if (performance.now() - sinceMs > runWallMsMax) resolve(noEnd(runWallMsMax, ''));
      }, lookEveryMs);
      this.#worker.postMessage(seed);
    });
    clearInterval(timer);
    this.#finish = undefined;
    return result;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}

function noEnd(ms: number, of: string): string {
  return `no end after ${ms / 60_000} minutes ${of}`.trimEnd();
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
    struck: [],
    givenUp: 0,
    durableChecks: 0,
    events: 0,
    wallMs: 0,
    registers: 0,
    uncheckedRegisters: 0,
    convergedAfterMs: undefined,
    journal: [],
    story: [],
  };
}
