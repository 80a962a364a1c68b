import { Prng } from '../base/prng.ts';

/** The streams of a run: one per part, so that a part that draws more or less never shifts another's numbers. */
export class SimRandom {
  readonly seed: number;
  readonly #root: Prng;

  constructor(seed: number) {
    this.seed = seed;
    this.#root = new Prng(seed, 'run');
  }

  stream(label: string): Prng {
    return this.#root.fork(label);
  }
}
