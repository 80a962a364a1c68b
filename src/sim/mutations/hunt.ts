import { Worker } from 'node:worker_threads';
import type { Hunt, HunterOrders, Mutation, Sighting } from './types.ts';

/** Wall time of one seed: beyond it something loops without virtual time passing. */
const seedMsMax = 120_000;

export type Verdict =
  /** A checker, or an assertion of the core, named what the fault breaks. */
  | { readonly kind: 'caught'; readonly by: 'checker' | 'assert'; readonly invariant: string; readonly summary: string }
  | { readonly kind: 'missed' }
  /** It failed, but not so that anything was shown: nothing worked at all, or what broke isn't what was expected to. */
  | { readonly kind: 'unfair'; readonly summary: string };

export interface HuntReport {
  readonly name: string;
  readonly verdict: Verdict;
  /** Seeds tried, with the one that showed it. */
  readonly seeds: number;
  readonly seconds: number;
}

/** Runs the seeds of `orders` in a thread of its own. `seen` hears of each. @throws Error when the thread fails. */
function runHunter(orders: HunterOrders, seen: (sighting: Sighting) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./hunter.ts', import.meta.url), { workerData: orders });
    let timer: NodeJS.Timeout | undefined;
    const watch = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        reject(new Error(`a seed took more than ${seedMsMax / 1000} s`));
        void worker.terminate();
      }, seedMsMax);
    };
    watch();
    worker.on('message', (sighting: Sighting) => {
      watch();
      seen(sighting);
    });
    worker.on('error', reject);
    worker.on('exit', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** A Corelet that stopped itself, or a thrown assertion: not the simulator's own checkers. */
const assertPattern = /AssertionFailed|DeviceRefused/;

function verdictOf(mutation: Mutation, sighting: Sighting | undefined): Verdict {
  const violation = sighting?.violation;
  if (sighting === undefined || violation === undefined) return { kind: 'missed' };
  const { invariant, summary } = violation;
  // The store's simulator judges by assertions, too: there all of it is the checker.
  const by = mutation.hunt.by !== 'store' && assertPattern.test(summary) ? 'assert' : 'checker';
  // Where nothing begins, only what is unsafe shows anything: not that nothing begins.
  const isNothing = sighting.worked === 0 && (invariant === 'INV-9' || (invariant === 'ASSERT' && by === 'checker'));
  if (isNothing) return { kind: 'unfair', summary: `nothing worked: ${invariant}: ${summary}` };
  if (!mutation.expect.includes(invariant)) return { kind: 'unfair', summary: `unexpected: ${invariant}: ${summary}` };
  return { kind: 'caught', by, invariant, summary };
}

/** Looks for one mutation, seed by seed, until one shows it. */
export async function hunt(mutation: Mutation): Promise<HuntReport> {
  const startedMs = performance.now();
  const { edits } = mutation;
  let newest: Sighting | undefined;
  let seeds = 0;
  let verdict: Verdict;
  try {
    await runHunter({ edits, hunt: mutation.hunt, all: false }, (sighting) => {
      newest = sighting;
      seeds += 1;
    });
    verdict = verdictOf(mutation, newest);
  } catch (error) {
    verdict = { kind: 'unfair', summary: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  return { name: mutation.name, verdict, seeds, seconds: (performance.now() - startedMs) / 1000 };
}

/** The same seeds without any fault: what is wrong there is wrong with the core, or with the simulator. */
export async function control(of: Hunt): Promise<readonly Sighting[]> {
  const bad: Sighting[] = [];
  await runHunter({ edits: [], hunt: of, all: true }, (sighting) => {
    if (sighting.violation !== undefined || sighting.worked === 0) bad.push(sighting);
  });
  return bad;
}
