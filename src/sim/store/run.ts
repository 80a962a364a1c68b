import { Prng } from '../../base/prng.ts';
import { CrashExplorer, type CrashFailure, type CrashId, type Thoroughness, usualThoroughness } from './explorer.ts';
import { blankWitness, formatted, type RigShape, StoreRig } from './rig.ts';
import { StoreWorkload } from './workload.ts';

/** 10 segments of 4 MiB, of which half can hold data: space is given back many times in a run. */
export const usualShape: RigShape = { segments: 10, arcs: 3, mapBytes: 48_000 };

/** `reuse`: only while space is in use again that was given back behind the newest checkpoint's back. */
type Moments = 'all' | 'reuse';

export interface StoreRunOptions {
  readonly seed: number;
  readonly operations: number;
  readonly shape?: RigShape;
  readonly thoroughness?: Thoroughness;
  /** At which of the device's changes a power loss is tried; all unless given. */
  readonly moments?: Moments;
  /** Only this crash is tried. */
  readonly only?: Partial<CrashId>;
  /** Written once, at first. */
  readonly coldChunks?: number;
  /** The device rots: heads of batches, and blocks. */
  readonly rots?: boolean;
  /** No crash is tried: only the work itself is done. */
  readonly plain?: boolean;
}

export interface StoreRunReport {
  readonly seed: number;
  readonly failure: CrashFailure | undefined;
  readonly operations: number;
  readonly records: number;
  /** Moments at which what a power loss would leave changed. */
  readonly moments: number;
  readonly crashes: number;
  readonly nested: number;
  readonly resumed: number;
  readonly severalUnderWay: number;
  readonly underWayMost: number;
  readonly afterReuse: number;
  readonly betweenCheckpoints: number;
  readonly blocksRead: number;
  readonly checkpoints: number;
  readonly segmentsReused: number;
  readonly reusedBetweenCheckpoints: number;
  readonly restarts: number;
  readonly full: number;
  readonly replacedWhenFull: number;
  readonly refusedReplacements: number;
  /** Restarts that had lost records of the log, and blocks that rotted and were mended. */
  readonly losses: number;
  readonly mended: number;
  readonly traceHash: string;
}

/** A store at work on a device of its own, with a power loss tried at every write's beginning and end. */
export async function runStore(options: StoreRunOptions): Promise<StoreRunReport> {
  const { seed, operations, shape = usualShape, thoroughness = usualThoroughness, only } = options;
  const random = new Prng(seed, 'store');
  const rig = new StoreRig(await formatted(shape, seed), blankWitness(shape), shape, random.fork('rig'));
  const workload = new StoreWorkload(rig, random.fork('workload'), {
    arcs: shape.arcs,
    ends: true,
    rots: options.rots === true,
    coldChunks: options.coldChunks ?? 0,
  });
  const explorer = new CrashExplorer(seed, shape, thoroughness);
  let failure: CrashFailure | undefined;
  let ended = false;
  let seen = 0;
  let point = 0;
  const fail = (error: unknown): void => {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    failure ??= { point, subset: undefined, message };
  };
  const work = async (): Promise<void> => {
    await rig.open();
    await workload.run(operations);
  };
  void work()
    .catch(fail)
    .finally(() => {
      ended = true;
    });
  while (!ended && failure === undefined) {
    const { device, engine } = rig;
    await engine.run(Number.MAX_SAFE_INTEGER, () => ended || device.boundaries !== seen);
    if (ended) break;
    if (device.boundaries === seen) fail(new Error('INV-9: the store came to a standstill'));
    seen = device.boundaries;
    point++;
    if (options.plain === true || (only?.point !== undefined && only.point !== point)) continue;
    if (options.moments === 'reuse' && !rig.isBetweenCheckpoints) continue;
    const moment = {
      point,
      medium: device.medium,
      underWay: [...device.underWay],
      witness: rig.witness,
      reused: rig.segmentsReused > 0,
      betweenCheckpoints: rig.isBetweenCheckpoints,
    };
    failure ??= await explorer.explore(moment, only?.subset);
    if (only?.point === point) break;
  }
  return { seed, failure, moments: point, ...figuresOf(rig, workload, explorer) };
}

function figuresOf(
  rig: StoreRig,
  workload: StoreWorkload,
  explorer: CrashExplorer,
): Omit<StoreRunReport, 'seed' | 'failure' | 'moments'> {
  const { crashes, nested, resumed, severalUnderWay, afterReuse, betweenCheckpoints, blocksRead } = explorer;
  return {
    operations: Object.values(workload.done).reduce((sum, count) => sum + count, 0),
    records: rig.witness.serial,
    crashes,
    nested,
    resumed,
    severalUnderWay,
    underWayMost: rig.device.underWayMost,
    afterReuse,
    betweenCheckpoints,
    blocksRead,
    checkpoints: rig.countCheckpoints(),
    segmentsReused: rig.segmentsReused,
    reusedBetweenCheckpoints: rig.reusedBetweenCheckpoints,
    restarts: rig.restarts,
    full: workload.full,
    replacedWhenFull: workload.replacedWhenFull,
    refusedReplacements: workload.refusedReplacements,
    losses: rig.losses,
    mended: workload.mended,
    traceHash: rig.engine.trace.text(),
  };
}
