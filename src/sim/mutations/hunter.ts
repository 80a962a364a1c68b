import { parentPort, workerData } from 'node:worker_threads';
import { patchModules } from './patch.ts';
import type { Hunt, HunterOrders, Sighting } from './types.ts';

// This thread runs one build of the core, with the fault in it. Nothing of the core may be imported before the hook is in
// place: so everything else is loaded from here on.

type Look = (seed: number) => Promise<Omit<Sighting, 'seed'>>;

async function lookIn(hunt: Hunt): Promise<Look> {
  switch (hunt.by) {
    case 'cluster': {
      const { clusterLook } = await import('./cluster-look.ts');
      return clusterLook(hunt.profile);
    }
    case 'store': {
      const { storeLook } = await import('./store-look.ts');
      return storeLook(hunt.setup, hunt.operations);
    }
    case 'chaos': {
      // Lives with the tests of the consensus core.
      const file = new URL('../../../test/sim/mutations-chaos.fixture.ts', import.meta.url).href;
      const { chaosLook } = (await import(file)) as { chaosLook: (weather: string) => Look };
      return chaosLook(hunt.weather);
    }
    case 'story': {
      const { storyLook } = await import('./story-look.ts');
      return storyLook(hunt.story);
    }
    case 'core-story': {
      const file = new URL('../../../test/sim/mutations-chaos.fixture.ts', import.meta.url).href;
      const { coreStoryLook } = (await import(file)) as { coreStoryLook: (story: string) => Look };
      return coreStoryLook(hunt.story);
    }
  }
}

const { edits, hunt, all } = workerData as HunterOrders;
patchModules(edits);
const look = await lookIn(hunt);
const [first, last] = hunt.seeds;
for (let seed = first; seed <= last; seed++) {
  const sighting: Sighting = { seed, ...(await look(seed)) };
  parentPort?.postMessage(sighting);
  if (sighting.violation !== undefined && !all) break;
}
