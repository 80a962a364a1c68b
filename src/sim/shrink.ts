import type { SimOptions } from './options.ts';
import { runOnce } from './run.ts';
import type { RunReport } from './run.ts';
import { runOptionsOf } from './seeded.ts';

const runsMax = 120;

export interface Shrunk {
  readonly options: SimOptions;
  readonly report: RunReport;
  readonly runs: number;
}

/**
 * A shorter run that breaks the same invariant: less time, fewer operations, fewer faults, fewer hosts, in this order, each as
 * far as it goes. `tell` is called with every success.
 */
export async function shrink(options: SimOptions, failed: RunReport, tell: (text: string) => void): Promise<Shrunk> {
  const shrinker = new Shrinker(options, failed, tell);
  await shrinker.number('virtualMs', 10, (value) => `${(value / 1000).toFixed(3)} s of load`);
  await shrinker.number('operations', 1, (value) => `${value} operations`);
  await shrinker.faults();
  await shrinker.number('hosts', 1, (value) => `${value} hosts`);
  await shrinker.number('queueDepth', 1, (value) => `${value} operations under way per host`);
  await shrinker.number('operations', 1, (value) => `${value} operations`);
  return { options: shrinker.options, report: shrinker.report, runs: shrinker.runs };
}

class Shrinker {
  options: SimOptions;
  report: RunReport;
  runs = 0;
  readonly #tell: (text: string) => void;
  readonly #invariant: string | undefined;

  constructor(options: SimOptions, failed: RunReport, tell: (text: string) => void) {
    // The time of the last fault or operation is what the run needed, not what it was given.
    this.options = { ...options, virtualMs: Math.min(options.virtualMs, Math.max(1, failed.virtualMs)) };
    this.report = failed;
    this.#tell = tell;
    this.#invariant = failed.violations[0]?.invariant;
  }

  /** Tries less and less of one number, first by halves. */
  async number(
    name: 'virtualMs' | 'operations' | 'hosts' | 'queueDepth',
    low: number,
    text: (value: number) => string,
  ): Promise<void> {
    let good = low - 1; // known, or taken, to be too little
    for (;;) {
      const high = this.options[name];
      if (name === 'operations' && this.report.operations < high) {
        this.options = { ...this.options, operations: this.report.operations };
        continue;
      }
      const middle = Math.floor((good + high) / 2);
      if (middle <= good || middle >= high || (high - good) * 16 < high) return;
      if (await this.#try({ ...this.options, [name]: middle })) this.#tell(text(middle));
      else good = middle;
    }
  }

  /** Leaves faults out: all, halves, quarters, down to single ones. */
  async faults(): Promise<void> {
    for (let span = this.report.struck.length; span >= 1; span = span === 1 ? 0 : Math.ceil(span / 2)) {
      for (let at = 0; at < this.report.struck.length; ) {
        const without = this.report.struck.slice(at, at + span);
        const leaveOut = [...this.options.leaveOut, ...without];
        if (await this.#try({ ...this.options, leaveOut })) this.#tell(`${this.report.struck.length} faults`);
        else at += span;
        if (this.runs >= runsMax) return;
      }
    }
  }

  async #try(options: SimOptions): Promise<boolean> {
    if (this.runs >= runsMax) return false;
    this.runs++;
    const report = await runOnce(runOptionsOf(options, this.report.seed));
    if (!report.violations.some(({ invariant }) => invariant === this.#invariant)) return false;
    this.options = options;
    this.report = report;
    return true;
  }
}
