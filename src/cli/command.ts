import { parseArgs } from 'node:util';
import { parseSize } from '../base/units.ts';
import { CommandFailure } from './failure.ts';

export interface OptionSpec {
  readonly type: 'string' | 'boolean';
  /** May be given several times. */
  readonly multiple?: boolean;
  /** Stands for the value in the help. */
  readonly value?: string;
  readonly help: string;
}

export interface CommandSpec {
  /** The words that name it: `volume create`. */
  readonly name: string;
  readonly summary: string;
  /** Positional arguments, all of them required. */
  readonly arguments: readonly string[];
  /** Further ones that may be left out. */
  readonly optionalArguments?: readonly string[];
  /** What the usage says of them, where a list doesn't tell it. */
  readonly argumentForms?: string;
  readonly options: Readonly<Record<string, OptionSpec>>;
  readonly examples: readonly string[];
  /** Not listed in the overview. */
  readonly hidden?: boolean;
  /** Loaded only when the command runs. */
  load(): Promise<{ readonly run: CommandRun }>;
}

/** What a command was called with. */
export interface Invocation {
  readonly spec: CommandSpec;
  readonly positionals: readonly string[];
  text(option: string): string | undefined;
  texts(option: string): readonly string[];
  flag(option: string): boolean;
}

/** @returns the exit code. */
export type CommandRun = (invocation: Invocation) => Promise<number>;

/** @throws CommandFailure USAGE for what the command doesn't know, lacks or has twice. */
export function parseInvocation(spec: CommandSpec, args: readonly string[]): Invocation {
  const options = Object.fromEntries(
    Object.entries(spec.options).map(([name, option]) => [name, { type: option.type, multiple: true as const }]),
  );
  const parsed = attempt(spec, () => parseArgs({ args: [...args], options, allowPositionals: true, strict: true }));
  const values: Record<string, (string | boolean)[] | undefined> = parsed.values;
  for (const [name, given] of Object.entries(values)) {
    if (given !== undefined && given.length > 1 && spec.options[name]?.multiple !== true) {
      throw usage(spec, `--${name} is given ${given.length} times`);
    }
  }
  const missing = spec.arguments[parsed.positionals.length];
  if (missing !== undefined) throw usage(spec, `${missing} is missing`);
  const extra = parsed.positionals[spec.arguments.length + (spec.optionalArguments?.length ?? 0)];
  if (extra !== undefined) throw usage(spec, `unexpected argument '${extra}'`);
  return {
    spec,
    positionals: parsed.positionals,
    text: (option) => values[option]?.[0] as string | undefined,
    texts: (option) => (values[option] ?? []) as string[],
    flag: (option) => values[option]?.[0] === true,
  };
}

function attempt<T>(spec: CommandSpec, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const first = error instanceof Error ? (error.message.split('. ')[0] ?? '') : String(error);
    throw usage(spec, first.charAt(0).toLowerCase() + first.slice(1).replaceAll('\n', ' '));
  }
}

export function usage(spec: CommandSpec, message: string): CommandFailure {
  return new CommandFailure(
    'USAGE',
    `${spec.name}: ${message}`,
    `usage: ${usageLine(spec)}; corelet ${spec.name} --help`,
  );
}

export function usageLine(spec: CommandSpec): string {
  const words = ['corelet', spec.name, ...argumentWords(spec)];
  if (Object.keys(spec.options).length > 0) words.push('[options]');
  return words.join(' ');
}

export function argumentWords(spec: CommandSpec): readonly string[] {
  if (spec.argumentForms !== undefined) return [spec.argumentForms];
  return [...spec.arguments, ...(spec.optionalArguments ?? []).map((name) => `[${name}]`)];
}

export function helpText(spec: CommandSpec): string {
  const rows = Object.entries(spec.options).map(([name, option]) => {
    const left = `  --${name}${option.type === 'string' ? ` ${option.value ?? 'VALUE'}` : ''}`;
    return `${left.padEnd(26)} ${option.help}`;
  });
  const examples = spec.examples.map((example) => `  ${example}`);
  const options = rows.length === 0 ? [] : ['', 'Options:', ...rows];
  return [`Usage: ${usageLine(spec)}`, '', spec.summary, ...options, '', 'Examples:', ...examples, ''].join('\n');
}

/** The number that an option gives, or `otherwise` when it isn't given. */
export function integerOption(
  invocation: Invocation,
  option: string,
  bounds: { min: number; max: number; otherwise: number },
): number {
  const text = invocation.text(option);
  return text === undefined ? bounds.otherwise : integer(invocation, `--${option}`, text, bounds);
}

export function integer(
  invocation: Invocation,
  what: string,
  text: string,
  { min, max }: { min: number; max: number },
): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max))
    throw usage(invocation.spec, `${what} must be a number from ${min} to ${max}, not '${text}'`);
  return value;
}

/** @throws CommandFailure BAD_SIZE. */
export function size(what: string, text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined) throw new CommandFailure('BAD_SIZE', `${what}: '${text}' is not a size, or beyond 8 PiB`);
  return bytes;
}

/** HOST:PORT. */
export function hostPort(invocation: Invocation, option: string, text: string): { host: string; port: number } {
  const match = /^(.+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) throw usage(invocation.spec, `--${option} must be HOST:PORT, not '${text}'`);
  return { host: (match[1] as string).replace(/^\[|\]$/g, ''), port };
}
