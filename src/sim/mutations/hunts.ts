import type { Hunt, StoreSetup } from './types.ts';

/** Cores alone, in a weather of test/sim/mutations-weather.ts. */
export function chaos(weather: string, last: number): Hunt {
  return { by: 'chaos', weather, seeds: [1, last] };
}

/** Whole clusters, with a profile of profiles.ts. */
export function cluster(profile: string, last: number): Hunt {
  return { by: 'cluster', profile, seeds: [1, last] };
}

/** A story of test/scenarios, with as many seeds. */
export function story(name: string, last: number): Hunt {
  return { by: 'story', story: name, seeds: [1, last] };
}

/** A story of test/scenarios/consensus. */
export function coreStory(name: string): Hunt {
  return { by: 'core-story', story: name, seeds: [1, 1] };
}

/** One store and its power losses. */
export function store(operations: number, last: number, setup: StoreSetup = 'usual'): Hunt {
  return { by: 'store', setup, operations, seeds: [1, last] };
}
