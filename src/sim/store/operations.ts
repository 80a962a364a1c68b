import type { Prng } from '../../base/prng.ts';

/** How often what is done, relative to each other. */
export const weights = {
  write: 46,
  largeWrite: 7,
  trim: 7,
  noop: 2,
  lag: 6,
  doom: 6,
  vote: 4,
  register: 4,
  drop: 0.5,
  rebirth: 0.7,
  catchUp: 1.5,
  checkpoint: 1,
  read: 6,
  pin: 1.5,
  restart: 0.3,
  crash: 0.7,
  rot: 0,
  mend: 0,
} as const;
export type Operation = keyof typeof weights;
const operations = Object.keys(weights) as Operation[];
/** On a device that rots. */
export const rottingWeights = { ...weights, rot: 0.7, mend: 3 };

/** Much is written over, and nothing is taken away. */
export const churningWeights = { ...weights, largeWrite: 40, trim: 1, drop: 0, rebirth: 0, catchUp: 0 };

export function pick(random: Prng, of: Readonly<Record<Operation, number>>): Operation {
  let left = random.fraction() * operations.reduce((sum, operation) => sum + of[operation], 0);
  for (const operation of operations) {
    left -= of[operation];
    if (left < 0) return operation;
  }
  return 'write';
}
