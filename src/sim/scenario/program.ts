import { readFileSync } from 'node:fs';
import { play, storyOf, tellPlay } from './play.ts';
import { StoryProblem } from './problem.ts';

export const storyUsage =
  'npm run sim -- --story FILE… [--seed N | --seeds A..B] [--trace]: plays stories of test/scenarios';

interface Wanted {
  readonly files: readonly string[];
  readonly first: number;
  readonly last: number;
  readonly trace: boolean;
}

function wantedOf(args: readonly string[]): Wanted | undefined {
  const files: string[] = [];
  let seeds = '1..5';
  let trace = false;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] as string;
    if (arg === '--seed' || arg === '--seeds') seeds = args[++at] ?? '';
    else if (arg === '--trace') trace = true;
    else if (arg.startsWith('--')) return undefined;
    else files.push(arg);
  }
  const match = /^(\d+)(?:\.\.(\d+))?$/.exec(seeds);
  if (match === null || files.length === 0) return undefined;
  return { files, first: Number(match[1]), last: Number(match[2] ?? match[1]), trace };
}

/** The command line for stories. Resolves with the exit code. */
export async function storyMain(args: readonly string[]): Promise<number> {
  const wanted = wantedOf(args);
  if (wanted === undefined) {
    process.stderr.write(`${storyUsage}\n`);
    return 2;
  }
  let failures = 0;
  for (const file of wanted.files) {
    try {
      const story = storyOf(file, readFileSync(file, 'utf8'));
      for (let seed = wanted.first; seed <= wanted.last; seed++) {
        const report = await play(story, seed);
        const failed = report.problem !== undefined || report.violations.length > 0;
        if (failed) failures++;
        const seconds = (report.virtualMs / 1000).toFixed(1);
        process.stdout.write(
          failed
            ? `${tellPlay(story, report)}\n`
            : `${file} seed ${seed}: as told · ${seconds} s, ${report.events} events, trace ${report.traceHash}\n`,
        );
        if (wanted.trace) process.stdout.write(`${report.journal.join('\n')}\n`);
      }
    } catch (error) {
      if (!(error instanceof StoryProblem)) throw error;
      failures++;
      process.stdout.write(`${error.message}\n`);
    }
  }
  return failures > 0 ? 1 : 0;
}
