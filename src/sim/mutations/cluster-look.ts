import { runOnce } from '../run.ts';
import { runOptionsOf } from '../seeded.ts';
import { profileOptions } from './profiles.ts';
import type { Sighting } from './types.ts';

/** Runs seeds of a whole cluster under the options of a profile. */
export function clusterLook(profile: string): (seed: number) => Promise<Omit<Sighting, 'seed'>> {
  const options = profileOptions(profile);
  return async (seed) => {
    const { violations, acknowledged } = await runOnce(runOptionsOf(options, seed));
    // What doesn't go on any more went wrong before: the other violations say how.
    const cause = violations.find(({ invariant }) => invariant !== 'INV-9') ?? violations[0];
    if (cause === undefined) return { violation: undefined, worked: acknowledged };
    const summary = cause.summary.split('\n', 1)[0] as string;
    const invariant = cause.invariant === 'ASSERT' ? (/INV-\d+/.exec(summary)?.[0] ?? 'ASSERT') : cause.invariant;
    return { violation: { invariant, summary }, worked: acknowledged };
  };
}
