import { usualThoroughness } from '../store/explorer.ts';
import { type Moments, runStore } from '../store/run.ts';
import type { Sighting } from './types.ts';

/** Fewer subsets at each moment than `npm run sim -- --store` tries: more moments in the same time. */
const thoroughness = { ...usualThoroughness, subsetsPerPoint: 4, fullShare: 0.006, resumedShare: 0.002 };

/** Runs seeds of one store, with a power loss at every write, or at those of `moments`. */
export function storeLook(operations: number, moments: Moments): (seed: number) => Promise<Omit<Sighting, 'seed'>> {
  return async (seed) => {
    const { failure, records } = await runStore({ seed, operations, moments, thoroughness });
    if (failure === undefined) return { violation: undefined, worked: records };
    const summary = failure.message.split('\n', 1)[0] ?? '';
    return { violation: { invariant: /INV-\d+/.exec(summary)?.[0] ?? 'ASSERT', summary }, worked: records };
  };
}
