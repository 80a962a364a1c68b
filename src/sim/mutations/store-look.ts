import { usualThoroughness } from '../store/explorer.ts';
import { runStore, usualShape } from '../store/run.ts';
import type { Hunt, Sighting } from './types.ts';

/** Fewer subsets at each moment than `npm run sim -- --store` tries: more moments in the same time. */
const thoroughness = { ...usualThoroughness, subsetsPerPoint: 4, fullShare: 0.006, resumedShare: 0.002 };

type StoreHunt = Extract<Hunt, { readonly by: 'store' | 'reuse' | 'churn' }>;

/** A checkpoint covers a share of the device: on a larger one, several segments. All but a few of them hold the cold chunks. */
const churning = {
  shape: { ...usualShape, segments: 40 },
  coldChunks: 100,
  thoroughness: { subsetsPerPoint: 2, nestedShare: 0.02, fullShare: 0, resumedShare: 0 },
};

/** Runs seeds of one store, with a power loss at every write, or only while space is in use again. */
export function storeLook({ by, operations }: StoreHunt): (seed: number) => Promise<Omit<Sighting, 'seed'>> {
  const moments = by === 'store' ? 'all' : 'reuse';
  const device = by === 'churn' ? churning : {};
  return async (seed) => {
    const { failure, records } = await runStore({ seed, operations, moments, thoroughness, ...device });
    if (failure === undefined) return { violation: undefined, worked: records };
    const summary = failure.message.split('\n', 1)[0] ?? '';
    return { violation: { invariant: /INV-\d+/.exec(summary)?.[0] ?? 'ASSERT', summary }, worked: records };
  };
}
