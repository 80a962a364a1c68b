import { startCorelet } from '../corelet/corelet.ts';
import { encodeFounding } from '../corelet/founding.ts';
import { Store } from '../store/store.ts';
import type { SimProgram } from './program.ts';

/** What a simulated module's store is like. */
export interface SimStore {
  readonly flashBytes: number;
  readonly segmentBytes?: number;
  readonly mapBytes?: number;
}

/** Runs are seconds long, rounds of the scrub hours: here it goes on quickly enough to meet everything else. */
const scrubStepMs = 150;

/** The Corelet itself. */
export function coreletProgram({ segmentBytes, mapBytes }: SimStore): SimProgram {
  return {
    format: async (flash, corelet, founding, random) => {
      const { cluster, arcs } = founding;
      const options = { cluster, corelet, arcs, founding: encodeFounding(founding) };
      await Store.format(flash, segmentBytes === undefined ? options : { ...options, segmentBytes }, random);
    },
    start: (ports, options) =>
      startCorelet(ports, { ...options, scrubStepMs, ...(mapBytes === undefined ? {} : { mapBytes }) }),
  };
}
