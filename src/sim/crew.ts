import { Worker } from 'node:worker_threads';
import type { SimOptions } from './options.ts';
import type { RunReport } from './run.ts';

/** Wall time of one run: beyond it something loops without virtual time passing. */
const runMsMax = 5 * 60_000;

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
  let hand = new Hand(orders);
  for (let next = seeds.next(); next.done !== true; next = seeds.next()) {
    const report = await hand.run(next.value);
    if (typeof report === 'string') {
      await hand.end();
      hand = new Hand(orders);
    }
    ended(typeof report === 'string' ? lostRun(next.value, report) : report);
  }
  await hand.end();
}

/** One thread and the run that it is at. */
class Hand {
  readonly #worker: Worker;
  #finish: ((result: RunReport | string) => void) | undefined;

  constructor(orders: CrewOrders) {
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
      timer = setTimeout(() => resolve(`no end after ${runMsMax / 60_000} minutes`), runMsMax);
      this.#worker.postMessage(seed);
    });
    clearTimeout(timer);
    this.#finish = undefined;
    return result;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
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
