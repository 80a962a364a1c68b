import { chunkBytes } from '../base/ids.ts';
import { faultKinds, usualWeights } from './nemesis.ts';
import type { FaultKind } from './nemesis.ts';

export type SeedPlan =
  | { readonly kind: 'seeds'; readonly first: number; readonly last: number }
  | { readonly kind: 'runs'; readonly count: number }
  | { readonly kind: 'minutes'; readonly minutes: number };

/** What the command line asks for. */
export interface SimOptions {
  readonly slots: number;
  readonly arcs: number;
  readonly copies: number;
  readonly volumeBytes: number;
  readonly operations: number;
  readonly virtualMs: number;
  readonly hosts: number;
  readonly queueDepth: number;
  readonly faultsPerSecond: number;
  readonly weights: Readonly<Partial<Record<FaultKind, number>>>;
  /** Which seeds: listed, or random for a while. */
  readonly plan: SeedPlan;
  /** Threads for many seeds; undefined: one per core. */
  readonly jobs: number | undefined;
  readonly json: boolean;
  readonly trace: boolean;
  /** Faults that don't take place, by number. */
  readonly leaveOut: readonly number[];
  /** Look for a shorter run that fails in the same way. */
  readonly shrink: boolean;
  /** Tell what happened around a violation, message by message. */
  readonly story: boolean;
}

export const usage = `npm run sim -- [--seed N | --seeds A..B | --runs K | --minutes M] [--jobs J] [--json] [--trace] [--shrink] [--story]
  --slots 5  --arcs 16  --copies 3  --volume 8MiB  --ops 4000  --virtual-seconds 60
  --hosts 4  --queue-depth 2  --faults-per-second 2.5  --faults ${faultKinds.join(',')}
  --leave-out 3,5 (faults, by number)
  --help: also stories, deliberate faults, and power losses of one store`;

const flags = ['json', 'trace', 'shrink', 'story'];
const seedMax = 2 ** 48;

/** Names and values of `--name value`; those of `valueless` stand alone. A sentence where an argument is neither. */
export function argumentsIn(args: readonly string[], valueless: readonly string[]): Map<string, string> | string {
  const given = new Map<string, string>();
  for (let at = 0; at < args.length; at++) {
    const name = (args[at] as string).replace(/^--/, '');
    if (name === args[at]) return `not an option: ${name}`;
    if (valueless.includes(name)) given.set(name, 'true');
    else given.set(name, args[++at] ?? '');
  }
  return given;
}

/** A sentence about what is wrong with the arguments, or the options. */
export function parseOptions(args: readonly string[]): SimOptions | string {
  const given = argumentsIn(args, flags);
  if (typeof given === 'string') return given;
  try {
    const options = interpret(given);
    const left = [...given.keys()];
    return left.length > 0 ? `unknown option: --${left.join(', --')}` : options;
  } catch (error) {
    return error instanceof RangeError ? error.message : String(error);
  }
}

/** Takes what it knows out of `given`. @throws RangeError with a sentence for the user. */
function interpret(given: Map<string, string>): SimOptions {
  const take = (name: string) => {
    const value = given.get(name);
    given.delete(name);
    return value;
  };
  const number = (name: string, standard: number, low: number, high: number) => {
    const text = take(name);
    const value = text === undefined ? standard : Number(text);
    if (text === '' || !(value >= low && value <= high)) throw new RangeError(`--${name} ${text}: ${low} to ${high}`);
    return value;
  };
  const whole = (name: string, standard: number, low: number, high: number) => {
    const value = number(name, standard, low, high);
    if (!Number.isInteger(value)) throw new RangeError(`--${name} ${value}: a whole number`);
    return value;
  };
  const slots = whole('slots', 5, 3, 64);
  const arcs = whole('arcs', 16, 1, 4096);
  if ((arcs & (arcs - 1)) !== 0) throw new RangeError(`--arcs ${arcs}: a power of two`);
  return {
    slots,
    arcs,
    copies: whole('copies', 3, 1, slots),
    volumeBytes: volumeSize(take('volume') ?? '8MiB'),
    operations: whole('ops', 4000, 0, 1e9),
    virtualMs: number('virtual-seconds', 60, 0.001, 1e7) * 1000,
    hosts: whole('hosts', 4, 1, 64),
    queueDepth: whole('queue-depth', 2, 1, 64),
    faultsPerSecond: number('faults-per-second', 2.5, 0, 1000),
    weights: faultWeights(take('faults')),
    jobs: given.has('jobs') ? whole('jobs', 1, 1, 256) : undefined,
    plan: seedPlan(take('seed'), take('seeds'), take('runs'), take('minutes')),
    json: take('json') !== undefined,
    trace: take('trace') !== undefined,
    leaveOut: faultNumbers(take('leave-out')),
    shrink: take('shrink') !== undefined,
    story: take('story') !== undefined,
  };
}

function volumeSize(text: string): number {
  const match = /^(\d+)(MiB|GiB)$/.exec(text);
  const bytes = match === null ? Number.NaN : Number(match[1]) * (match[2] === 'GiB' ? 2 ** 30 : 2 ** 20);
  if (!(bytes >= chunkBytes && bytes <= 2 ** 40)) throw new RangeError(`--volume ${text}: 1MiB to 1024GiB`);
  return bytes;
}

function faultNumbers(text: string | undefined): readonly number[] {
  if (text === undefined) return [];
  if (!/^\d+(,\d+)*$/.test(text)) throw new RangeError(`--leave-out ${text}: numbers of faults`);
  return text.split(',').map(Number);
}

function faultWeights(text: string | undefined): SimOptions['weights'] {
  if (text === undefined) return usualWeights;
  const weights: Partial<Record<FaultKind, number>> = {};
  for (const name of text.split(',').filter((part) => part !== 'none')) {
    const kind = faultKinds.find((known) => known === name);
    if (kind === undefined) throw new RangeError(`--faults ${name}: none of ${faultKinds.join(', ')}`);
    weights[kind] = usualWeights[kind] ?? 1;
  }
  return weights;
}

/** @throws RangeError with a sentence for the user. */
export function seedPlan(
  seed: string | undefined,
  seeds: string | undefined,
  runs: string | undefined,
  minutes: string | undefined,
): SeedPlan {
  if ([seed, seeds, runs, minutes].filter((text) => text !== undefined).length > 1) {
    throw new RangeError('one of --seed, --seeds, --runs, --minutes');
  }
  const match = /^(\d+)(?:\.\.(\d+))?$/.exec(seeds ?? seed ?? '1');
  const first = Number(match?.[1] ?? Number.NaN);
  const last = Number(match?.[2] ?? match?.[1] ?? Number.NaN);
  if (!(first <= last && last < seedMax)) throw new RangeError(`--seeds ${seeds ?? seed}: A..B below 2^48`);
  if (runs !== undefined) {
    if (!/^[1-9]\d*$/.test(runs)) throw new RangeError(`--runs ${runs}: a whole number from 1`);
    return { kind: 'runs', count: Number(runs) };
  }
  if (minutes !== undefined) {
    if (!(Number(minutes) > 0)) throw new RangeError(`--minutes ${minutes}: more than 0`);
    return { kind: 'minutes', minutes: Number(minutes) };
  }
  return { kind: 'seeds', first, last };
}

/** The one command that replays a run. */
export function replayCommand(options: SimOptions, seed: number): string {
  const {
    slots,
    arcs,
    copies,
    volumeBytes,
    operations,
    virtualMs,
    hosts,
    queueDepth,
    faultsPerSecond,
    weights,
    leaveOut,
  } = options;
  const kinds = faultKinds.filter((kind) => (weights[kind] ?? 0) > 0);
  const usual = faultKinds.every((kind) => (weights[kind] ?? 0) === (usualWeights[kind] ?? 0));
  const faults = usual ? '' : ` --faults ${kinds.join(',') || 'none'}`;
  return (
    `npm run sim -- --seed ${seed} --slots ${slots} --arcs ${arcs} --copies ${copies} --volume ${volumeBytes / 2 ** 20}MiB` +
    ` --ops ${operations} --virtual-seconds ${virtualMs / 1000} --hosts ${hosts} --queue-depth ${queueDepth}` +
    ` --faults-per-second ${faultsPerSecond}${faults}${leaveOut.length === 0 ? '' : ` --leave-out ${leaveOut.join(',')}`}`
  );
}
