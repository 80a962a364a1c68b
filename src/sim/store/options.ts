import { argumentsIn, type SeedPlan, seedPlan } from '../options.ts';
import type { CrashFailure } from './explorer.ts';
import type { StoreRunOptions } from './run.ts';

/** What `--store` asks for. */
export interface StoreSimOptions {
  readonly plan: SeedPlan;
  readonly operations: number;
  readonly point: number | undefined;
  readonly subset: number | undefined;
  readonly rot?: boolean;
  readonly json: boolean;
}

const operationsUsual = 1000;

export const storeUsage = `npm run sim -- --store [--seed N | --seeds A..B | --runs K | --minutes M] [--ops ${operationsUsual}] [--rot] [--json]
  --rot                          batches of the log and blocks rot: what is lost is said and dealt with, blocks are mended
  --seed N --point P [--subset S]   only the power loss at the P-th change of the device, only the S-th of what it may leave`;

const names = ['seed', 'seeds', 'runs', 'minutes', 'ops', 'point', 'subset'];
const countMax = 1e9;

/** A sentence about what is wrong with the arguments (`--store` left out), or the options. */
export function parseStoreOptions(args: readonly string[]): StoreSimOptions | string {
  const given = argumentsIn(args, ['json', 'rot']);
  if (typeof given === 'string') return given;
  const unknown = [...given.keys()].filter((name) => name !== 'json' && name !== 'rot' && !names.includes(name));
  if (unknown.length > 0) return `unknown option: --${unknown.join(', --')}`;
  const whole = (name: string): number | undefined => {
    const text = given.get(name);
    if (text === undefined) return undefined;
    if (!/^\d+$/.test(text) || Number(text) > countMax) throw new RangeError(`--${name} ${text}: a whole number`);
    return Number(text);
  };
  try {
    const plan = seedPlan(given.get('seed'), given.get('seeds'), given.get('runs'), given.get('minutes'));
    const point = whole('point');
    const subset = whole('subset');
    if (subset !== undefined && point === undefined) return '--subset: of which --point?';
    if (point !== undefined && (plan.kind !== 'seeds' || plan.first !== plan.last)) return '--point: of which --seed?';
    return {
      plan,
      operations: whole('ops') ?? operationsUsual,
      point,
      subset,
      rot: given.has('rot'),
      json: given.has('json'),
    };
  } catch (error) {
    return error instanceof RangeError ? error.message : String(error);
  }
}

export function storeRunOptions(options: StoreSimOptions, seed: number): StoreRunOptions {
  const { operations, point, subset } = options;
  const run = options.rot ? { seed, operations, rots: true } : { seed, operations };
  if (point === undefined) return run;
  return { ...run, only: subset === undefined ? { point } : { point, subset } };
}

/** The one command that replays a crash: the same seed and operations come to the same point. */
export function storeReplayCommand(options: StoreSimOptions, seed: number, failure: CrashFailure): string {
  // What broke the work itself shows without any power loss, before the next point.
  const { point, subset } = failure;
  const at = subset === undefined ? ` --point ${point + 1}` : ` --point ${point} --subset ${subset}`;
  return `npm run sim -- --store --seed ${seed} --ops ${options.operations}${options.rot ? ' --rot' : ''}${at}`;
}
