import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { play, storyOf } from '../scenario/play.ts';
import type { Sighting } from './types.ts';

/** Plays one story of test/scenarios, by its name, with seeds. `STORY`: it went otherwise than it says. */
export function storyLook(name: string): (seed: number) => Promise<Omit<Sighting, 'seed'>> {
  const url = new URL(`../../../test/scenarios/${name}.txt`, import.meta.url);
  const story = storyOf(`test/scenarios/${name}.txt`, readFileSync(fileURLToPath(url), 'utf8'));
  return async (seed) => {
    const { problem, violations, operations } = await play(story, seed);
    const broken = violations.find(({ invariant }) => invariant !== 'INV-9') ?? violations[0];
    const untold = problem === undefined ? undefined : { invariant: 'STORY', summary: problem };
    const violation = broken === undefined ? untold : { invariant: broken.invariant, summary: broken.summary };
    return { violation, worked: operations };
  };
}
