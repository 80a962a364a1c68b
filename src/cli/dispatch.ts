import { exitCodes } from '../admin/errors.ts';
import { argumentWords, type CommandSpec, helpText, parseInvocation } from './command.ts';
import { commands } from './commands.ts';
import { CommandFailure, failureLine } from './failure.ts';

/** Runs the command that `args` name and sets the process's exit code. */
export async function dispatch(args: readonly string[]): Promise<void> {
  // A reader that has enough (`| head`) is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? exitCodes.done : exitCodes.failed),
  );
  try {
    process.exitCode = await runCommand(args);
  } catch (error) {
    const failure =
      error instanceof CommandFailure
        ? error
        : new CommandFailure('FAILED', error instanceof Error ? error.message : String(error));
    process.stderr.write(`${failureLine(failure)}\n`);
    process.exitCode = failure.exitCode;
  }
}

async function runCommand(args: readonly string[]): Promise<number> {
  const found = findCommand(args);
  if (found === undefined) {
    if (isHelp(args[0])) return help(args.slice(1));
    if (args[0] === '--version') return runCommand(['version']);
    if (args.length === 0) {
      process.stderr.write(overview());
      return exitCodes.usage;
    }
    const group = groupHelp(args);
    if (group === undefined) throw unknown(args);
    process.stdout.write(group);
    return exitCodes.done;
  }
  const [spec, rest] = found;
  const options = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest;
  if (options.includes('--help') || options.includes('-h')) {
    process.stdout.write(helpText(spec));
    return exitCodes.done;
  }
  const invocation = parseInvocation(spec, rest);
  const { run } = await spec.load();
  return run(invocation);
}

const isHelp = (word: string | undefined): boolean => word === 'help' || word === '--help' || word === '-h';

function findCommand(args: readonly string[]): readonly [CommandSpec, readonly string[]] | undefined {
  for (const spec of commands) {
    const words = spec.name.split(' ');
    if (words.every((word, i) => args[i] === word)) return [spec, args.slice(words.length)];
  }
  return undefined;
}

function help(about: readonly string[]): number {
  const found = findCommand(about);
  if (found !== undefined) process.stdout.write(helpText(found[0]));
  else if (about.length === 0) process.stdout.write(overview());
  else {
    const group = groupHelp([...about, 'help']);
    if (group === undefined) throw unknown(about);
    process.stdout.write(group);
  }
  return exitCodes.done;
}

/** Help on a noun: `slot --help`. */
function groupHelp([noun, word]: readonly string[]): string | undefined {
  const specs = isHelp(word) ? commands.filter((spec) => spec.name.startsWith(`${noun} `)) : [];
  return specs.length === 0 ? undefined : specs.map(helpText).join('\n');
}

function unknown(args: readonly string[]): CommandFailure {
  const [noun, second] = args;
  const verb = second?.startsWith('-') === true ? undefined : second;
  const verbs = commands.filter((spec) => spec.name.startsWith(`${noun} `)).map((spec) => spec.name.split(' ')[1]);
  if (verbs.length === 0) return new CommandFailure('USAGE', `unknown command '${noun}'`, 'corelet help lists all');
  const usage = `usage: corelet ${noun} ${verbs.join('|')}`;
  return new CommandFailure(
    'USAGE',
    verb === undefined ? `${noun}: which command?` : `unknown command '${noun} ${verb}'`,
    usage,
  );
}

function overview(): string {
  const rows = commands.map((spec) => `  ${[spec.name, ...argumentWords(spec)].join(' ').padEnd(26)} ${spec.summary}`);
  const exits = 'Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 unsafe or degraded, 5 timed out, 6 conflict.';
  return [
    'Corelet: self-healing block storage with no controller.',
    '',
    'Usage: corelet COMMAND [options]',
    '',
    ...rows,
    '',
    'Start with `corelet demo`. `corelet COMMAND --help` shows options and examples.',
    exits,
    '',
  ].join('\n');
}
