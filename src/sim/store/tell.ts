import type { StoreRunReport } from './run.ts';

/** Figures that add up over runs. */
const sums = [
  'operations',
  'records',
  'moments',
  'crashes',
  'nested',
  'resumed',
  'severalUnderWay',
  'afterReuse',
  'blocksRead',
  'checkpoints',
  'segmentsReused',
  'restarts',
  'full',
] as const;
type Sums = Record<(typeof sums)[number], number>;

/** One run in a few lines. */
export function tellStoreRun(report: StoreRunReport): string {
  const { seed, failure, traceHash } = report;
  return `seed ${seed}: ${failure === undefined ? 'ok' : 'FAILED'} · trace ${traceHash}\n${tellSums(report)}`;
}

function tellSums(figures: Sums): string {
  const { operations, records, moments, crashes, nested, resumed, severalUnderWay, afterReuse } = figures;
  const { blocksRead, checkpoints, segmentsReused, restarts, full } = figures;
  return (
    `  ${operations} operations, ${records} records, ${restarts} restarts, ${checkpoints} checkpoints, ` +
    `${segmentsReused} segments reused, ${full} times full\n` +
    `  ${crashes} crash points at ${moments} moments, ${nested} of them with a second crash, ` +
    `${severalUnderWay} with several writes under way, ${afterReuse} after cleaning had reused segments\n` +
    `  ${resumed} went on working and crashed again; ${blocksRead} blocks were read\n`
  );
}

/** Sums over many runs. */
export class StoreTotals {
  #runs = 0;
  readonly #sums = Object.fromEntries(sums.map((name) => [name, 0])) as Sums;

  add(report: StoreRunReport): void {
    this.#runs++;
    for (const name of sums) this.#sums[name] += report[name];
  }

  figures(): Sums & { readonly runs: number } {
    return { runs: this.#runs, ...this.#sums };
  }

  tell(failureCount: number): string {
    return `${this.#runs} runs, ${failureCount} failed\n${tellSums(this.#sums)}`;
  }
}
