import { usualThoroughness } from '../store/explorer.ts';
import { runStore, type StoreRunOptions, usualShape } from '../store/run.ts';
import type { Sighting, StoreSetup } from './types.ts';

/** Fewer subsets at each moment than `npm run sim -- --store` tries: more moments in the same time. */
const thoroughness = { ...usualThoroughness, subsetsPerPoint: 4, fullShare: 0.006, resumedShare: 0.002 };

const setups: Readonly<Record<StoreSetup, Partial<StoreRunOptions>>> = {
  usual: { thoroughness },
  reuse: { thoroughness, moments: 'reuse' },
  /** A checkpoint covers a share of the device: on a larger one, several segments. All but a few of them hold the cold chunks. */
  churn: {
    thoroughness: { subsetsPerPoint: 2, nestedShare: 0.02, fullShare: 0, resumedShare: 0 },
    moments: 'reuse',
    shape: { ...usualShape, segments: 40 },
    coldChunks: 100,
  },
};

/** Runs seeds of one store, with power losses. */
export function storeLook(setup: StoreSetup, operations: number): (seed: number) => Promise<Omit<Sighting, 'seed'>> {
  return async (seed) => {
    const { failure, records } = await runStore({ seed, operations, ...setups[setup] });
    if (failure === undefined) return { violation: undefined, worked: records };
    const summary = failure.message.split('\n', 1)[0] ?? '';
    return { violation: { invariant: /INV-\d+/.exec(summary)?.[0] ?? 'ASSERT', summary }, worked: records };
  };
}
