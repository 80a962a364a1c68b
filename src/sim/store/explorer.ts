import { Prng } from '../../base/prng.ts';
import type { SparseMedium } from '../sparse-medium.ts';
import { leave, QuickFlash, sectorsOf, type UnderWay } from './device.ts';
import { type Reopened, StoreModel } from './model.ts';
import { quickClock } from './quick-clock.ts';
import { type RigShape, StoreRig } from './rig.ts';
import { randomFates, subsetsOf } from './subsets.ts';
import { verify } from './verify.ts';
import type { Witness } from './witness.ts';
import { StoreWorkload } from './workload.ts';

/** How much is looked at, as shares of the crash points. */
export interface Thoroughness {
  /** Kinds of what is left of the writes under way, at each moment; more where several writes are. */
  readonly subsetsPerPoint: number;
  /** A second crash while the restart writes. */
  readonly nestedShare: number;
  /** Every block is read. */
  readonly fullShare: number;
  /** Work goes on after the restart, and ends in another crash. */
  readonly resumedShare: number;
}

export const usualThoroughness: Thoroughness = {
  subsetsPerPoint: 9,
  nestedShare: 0.08,
  fullShare: 0.01,
  resumedShare: 0.003,
};

/** One crash: the `point`-th change of what the device would keep, and one of the subsets there. */
export interface CrashId {
  readonly point: number;
  readonly subset: number;
}

/** What broke, and where: in the work itself where there is no `subset`. */
export interface CrashFailure {
  readonly point: number;
  readonly subset: number | undefined;
  readonly message: string;
}

/** What a power loss would find. */
export interface Moment {
  readonly point: number;
  readonly medium: SparseMedium;
  readonly underWay: readonly UnderWay[];
  readonly witness: Witness;
  /** Segments were written anew before. */
  readonly reused: boolean;
  /** Some that the newest checkpoint still knows as they were. */
  readonly betweenCheckpoints: boolean;
}

const resumedOperations = 14;

/** Tries what a power loss at a moment may leave behind, and whether a restart comes to what the world was told. */
export class CrashExplorer {
  /** Crashes of which the restart was checked; those in a restart's own writes count as well. */
  crashes = 0;
  points = 0;
  nested = 0;
  resumed = 0;
  afterReuse = 0;
  betweenCheckpoints = 0;
  blocksRead = 0;
  /** With so many writes under way at once. */
  severalUnderWay = 0;
  readonly #seed: number;
  readonly #shape: RigShape;
  readonly #thoroughness: Thoroughness;

  constructor(seed: number, shape: RigShape, thoroughness: Thoroughness) {
    this.#seed = seed;
    this.#shape = shape;
    this.#thoroughness = thoroughness;
  }

  /** Every subset of a moment, or `only` that one. The first failure is the answer. */
  async explore(moment: Moment, only?: number): Promise<CrashFailure | undefined> {
    const { point, underWay } = moment;
    this.points++;
    const random = new Prng(this.#seed, `point ${point}`);
    const subsets = subsetsOf(underWay, random, this.#thoroughness.subsetsPerPoint);
    for (const [subset, kept] of subsets.entries()) {
      if (only !== undefined && subset !== only) continue;
      try {
        await this.#crash(moment, kept, new Prng(this.#seed, `point ${point} subset ${subset}`), only !== undefined);
      } catch (error) {
        const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
        return { point, subset, message };
      }
      if (underWay.length > 1) this.severalUnderWay++;
    }
    return undefined;
  }

  async #crash(moment: Moment, kept: Uint8Array, random: Prng, alone: boolean): Promise<void> {
    const { nestedShare, fullShare, resumedShare } = this.#thoroughness;
    const { witness } = moment;
    const medium = moment.medium.clone();
    leave(medium, moment.underWay, kept);
    const nested = random.chance(nestedShare);
    const before = nested ? medium.clone() : undefined;
    const flash = new QuickFlash(medium);
    const found = await this.#restart(flash, witness);
    this.#count(moment);
    this.blocksRead += await verify(found, witness, random.chance(fullShare) || alone ? 'all' : 'recent');
    if (before !== undefined) await this.#crashAgain(moment, before, flash.writes, random);
    if (random.chance(resumedShare)) await this.#resume(medium, witness.at(found.serial), random);
  }

  #count(moment: Moment): void {
    this.crashes++;
    if (moment.reused) this.afterReuse++;
    if (moment.betweenCheckpoints) this.betweenCheckpoints++;
  }

  #restart(flash: QuickFlash, witness: Witness): Promise<Reopened> {
    return StoreModel.reopen(flash, quickClock, witness, { mapBytes: this.#shape.mapBytes });
  }

  /** A crash while the restart writes what it writes before it speaks, or right behind it. */
  async #crashAgain(moment: Moment, before: SparseMedium, writes: readonly UnderWay[], random: Prng): Promise<void> {
    const { witness } = moment;
    const last = random.below(writes.length);
    const medium = before.clone();
    const done = writes.slice(0, last);
    for (const { offset, bytes } of done) medium.write(offset, bytes);
    const underWay = writes.slice(last, last + 1);
    leave(medium, underWay, randomFates(sectorsOf(underWay), random));
    const found = await this.#restart(new QuickFlash(medium), witness);
    this.#count(moment);
    this.nested++;
    this.blocksRead += await verify(found, witness, 'recent');
  }

  /** Life goes on; what was told after the restart must stand as well. */
  async #resume(medium: SparseMedium, witness: Witness, random: Prng): Promise<void> {
    const rig = new StoreRig(medium.clone(), witness, { mapBytes: this.#shape.mapBytes }, random.fork('rig'));
    const workload = new StoreWorkload(rig, random.fork('workload'), { arcs: this.#shape.arcs, ends: false });
    const work = async (): Promise<void> => {
      await rig.open();
      await workload.run(resumedOperations);
      if (random.chance(0.5)) await rig.model.store.checkpoint();
      const { store, space, replicas } = rig.model;
      this.blocksRead += await verify({ store, space, replicas, serial: rig.witness.serial }, rig.witness, 'all');
    };
    const settled = await rig.engine.settle(work(), Number.POSITIVE_INFINITY);
    if (settled === undefined) throw new Error('INV-9: after the restart, work came to a standstill');
    rig.crash(randomFates(sectorsOf(rig.device.underWay), random));
    const found = await this.#restart(new QuickFlash(rig.device.medium), rig.witness);
    this.blocksRead += await verify(found, rig.witness, 'all');
    this.resumed++;
  }
}
