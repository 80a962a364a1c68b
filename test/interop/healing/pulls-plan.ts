import { Prng } from '../../../src/base/prng.ts';

/** Voters of an arc: fewer slots than that can't hold every copy. */
const copies = 3;
/** The longest wait between the moment that a kill was drawn for and the kill. */
const delayMsMax = 800;
/** Of a start: how long it may take before it is killed too. */
const startMsMin = 100;
const startMsMax = 2500;

/** `copying`: while copies for a pulled module are made. `agreeing`: just after a pull. `full`: when it was made good. */
const moments = ['copying', 'agreeing', 'full'] as const;

/** The whole chassis killed at once, and started again. */
export interface Kill {
  readonly moment: (typeof moments)[number];
  readonly delayMs: number;
  /** The start after it is killed too, so long after it began. */
  readonly startMs: number | undefined;
}

export interface PullsPlan {
  /** Slots that are left in the end. */
  readonly survivors: readonly number[];
  readonly pulls: readonly { readonly slot: number; readonly kill: Kill | undefined }[];
}

/** What one seed means: in which order slots are pulled until three are left, and at which of them everything is killed. */
export function planPulls(seed: number, slots: number, kills: number): PullsPlan {
  const prng = new Prng(seed, 'pulls');
  const order = shuffled(
    prng,
    Array.from({ length: slots }, (_, slot) => slot),
  );
  const survivors = order.splice(0, copies).sort((a, b) => a - b);
  const turns = shuffled(prng, [...order.keys()]).slice(0, kills);
  const drawn = new Map<number, Kill>();
  for (const [i, turn] of turns.entries()) {
    drawn.set(turn, {
      moment: moments[i % moments.length] as Kill['moment'],
      delayMs: prng.below(delayMsMax),
      startMs: i % 2 === 1 ? Math.round(prng.between(startMsMin, startMsMax)) : undefined,
    });
  }
  return { survivors, pulls: order.map((slot, turn) => ({ slot, kill: drawn.get(turn) })) };
}

function shuffled<T>(prng: Prng, items: readonly T[]): T[] {
  const drawn = [...items];
  for (let i = drawn.length - 1; i > 0; i--) {
    const other = prng.below(i + 1);
    [drawn[i], drawn[other]] = [drawn[other] as T, drawn[i] as T];
  }
  return drawn;
}
