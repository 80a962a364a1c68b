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
  'betweenCheckpoints',
  'blocksRead',
  'checkpoints',
  'segmentsReused',
  'reusedBetweenCheckpoints',
  'restarts',
  'full',
  'replacedWhenFull',
  'losses',
  'mended',
] as const;
type Sums = Record<(typeof sums)[number], number>;

/** One run in a few lines. */
export function tellStoreRun(report: StoreRunReport): string {
  const { seed, failure, traceHash } = report;
  return `seed ${seed}: ${failure === undefined ? 'ok' : 'FAILED'} · trace ${traceHash}\n${tellSums(report)}`;
}

function tellSums(sum: Sums): string {
  return (
    `  ${sum.operations} operations, ${sum.records} records, ${sum.restarts} restarts, ${sum.checkpoints} checkpoints; ` +
    `${sum.segmentsReused} segments reused, ${sum.reusedBetweenCheckpoints} of them between two checkpoints; ` +
    `${sum.full} times full, ${sum.replacedWhenFull} blocks written over then\n` +
    `  ${sum.crashes} crash points at ${sum.moments} moments, ${sum.nested} of them with a second crash, ` +
    `${sum.severalUnderWay} with several writes under way, ${sum.afterReuse} after cleaning had reused segments, ` +
    `${sum.betweenCheckpoints} with such that the newest checkpoint knew otherwise\n` +
    `  ${sum.resumed} went on working and crashed again; ${sum.blocksRead} blocks were read` +
    (sum.losses + sum.mended === 0
      ? '\n'
      : `; ${sum.losses} restarts had lost records, ${sum.mended} rotten blocks were mended\n`)
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
