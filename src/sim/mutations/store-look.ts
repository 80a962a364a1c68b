import { runStore } from '../store/run.ts';
import type { Sighting } from './types.ts';

/** Runs seeds of one store, with a power loss at every write. */
export function storeLook(operations: number): (seed: number) => Promise<Omit<Sighting, 'seed'>> {
  return async (seed) => {
    const { failure, records } = await runStore({ seed, operations });
    if (failure === undefined) return { violation: undefined, worked: records };
    const summary = failure.message.split('\n', 1)[0] ?? '';
    return { violation: { invariant: /INV-\d+/.exec(summary)?.[0] ?? 'ASSERT', summary }, worked: records };
  };
}
