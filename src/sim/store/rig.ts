import { assert } from '../../base/assert.ts';
import type { ClusterId, CoreletId } from '../../base/ids.ts';
import { Prng } from '../../base/prng.ts';
import type { Clock } from '../../ports/clock.ts';
import { segmentsPosition } from '../../store/layout.ts';
import { Store } from '../../store/store.ts';
import { SimClock } from '../clock.ts';
import { SimEngine, type SimProcess } from '../engine.ts';
import { SparseMedium } from '../sparse-medium.ts';
import { rotLog } from './damage.ts';
import { CrashDevice, QuickFlash } from './device.ts';
import { type ModelOptions, StoreModel } from './model.ts';
import { foundingGeneration } from './restart.ts';
import { Witness } from './witness.ts';

const cluster = '0123456789abcdef0123456789abcdef' as ClusterId;
const corelet = 'fedcba9876543210fedcba9876543210' as CoreletId;
const segmentBytes = 4 * 1024 * 1024;

export interface RigShape {
  readonly segments: number;
  readonly arcs: number;
  readonly mapBytes: number;
}

/** A formatted device on which nothing was appended yet. */
export async function formatted(shape: RigShape, seed: number): Promise<SparseMedium> {
  const medium = new SparseMedium(segmentsPosition + shape.segments * segmentBytes);
  const format = { cluster, corelet, founding: new Uint8Array(0), segmentBytes };
  await Store.format(new QuickFlash(medium), format, new Prng(seed, 'format'));
  return medium;
}

export function blankWitness(shape: RigShape): Witness {
  return Witness.founded(shape.arcs, foundingGeneration);
}

/** One store on virtual time, with its device and all that is known of it. */
export class StoreRig {
  readonly engine = new SimEngine();
  readonly device: CrashDevice;
  readonly options: ModelOptions;
  /** Segments that were written to again after they had been given back. */
  segmentsReused = 0;
  /** Of those, the ones of which no checkpoint had known that they were free. */
  reusedBetweenCheckpoints = 0;
  #reusedAtCheckpoint = -1;
  checkpoints = 0;
  restarts = 0;
  /** Restarts that had lost records. */
  losses = 0;
  #random: Prng;
  #process: SimProcess;
  #clock: Clock;
  #model: StoreModel | undefined;
  #witness: Witness;

  constructor(medium: SparseMedium, witness: Witness, options: ModelOptions, random: Prng) {
    this.device = new CrashDevice(medium);
    this.options = options;
    this.#witness = witness;
    this.#random = random;
    this.#process = this.engine.process('store');
    this.#clock = new SimClock(this.engine, this.#process);
    const magic = new Uint8Array(4);
    this.device.onWrite = (offset) => {
      if (offset < segmentsPosition || (offset - segmentsPosition) % segmentBytes !== 0) return;
      medium.read(offset, magic);
      if (magic.some((byte) => byte !== 0)) this.#reused(offset);
    };
  }

  #reused(offset: number): void {
    this.segmentsReused++;
    const checkpoint = this.#model?.store.health().checkpoint;
    if (checkpoint === undefined || this.#model?.freedAt.get(offset) !== checkpoint) return;
    this.reusedBetweenCheckpoints++;
    this.#reusedAtCheckpoint = checkpoint;
  }

  /** Space given back since the newest checkpoint is in use again: that checkpoint points where something else is now. */
  get isBetweenCheckpoints(): boolean {
    return this.#model !== undefined && this.#model.store.health().checkpoint === this.#reusedAtCheckpoint;
  }

  get model(): StoreModel {
    assert(this.#model !== undefined, 'the store is open');
    return this.#model;
  }
  get witness(): Witness {
    return this.#witness;
  }

  /** Lets virtual time pass. */
  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(delayMs, resolve);
    });
  }

  /** (Re)starts the store: its model knows what was there, and the witness from now on knows no more than that. */
  async open(): Promise<void> {
    this.restarts++;
    this.#process = this.engine.process('store');
    this.#clock = new SimClock(this.engine, this.#process);
    const random = this.#random.fork(`device ${this.restarts}`);
    const flash = this.device.attach(new SimClock(this.engine, this.engine.world), random);
    const reopened = await StoreModel.reopen(flash, this.#clock, this.#witness, this.options);
    const model = StoreModel.resume(reopened, this.#witness);
    this.#model = model;
    this.#witness = model.witness;
    if (model.dealWithLoss()) this.losses++;
    model.foundMissing();
  }

  /** Rot in the midst of the log, of a store that isn't open. */
  async rot(random: Prng): Promise<void> {
    assert(this.#model === undefined, 'nothing is read while it rots');
    if (await rotLog(this.device.medium, random)) this.#witness.hasRotted = true;
  }

  /** Ends the store as a shutdown does. */
  async close(): Promise<void> {
    const { model } = this;
    await model.synced();
    this.#count(model);
    this.#model = undefined;
    await model.store.close();
    while (this.device.underWay.size > 0) await this.pause(1);
    this.engine.kill(this.#process);
  }

  /** Power loss; nothing of the process goes on. Not to be called from its own work. */
  crash(kept: Uint8Array): void {
    if (this.#model !== undefined) this.#count(this.#model);
    this.#model = undefined;
    this.engine.kill(this.#process);
    this.device.crash(kept);
  }

  #count(model: StoreModel): void {
    this.checkpoints = Math.max(this.checkpoints, model.store.health().checkpoint);
  }

  /** Checkpoints taken over the life of the device. */
  countCheckpoints(): number {
    if (this.#model !== undefined) this.#count(this.#model);
    return this.checkpoints;
  }

  /** Throws what the store or the owner ran into. */
  check(): void {
    const failure = this.#model?.failure;
    if (failure !== undefined) throw failure;
  }
}
