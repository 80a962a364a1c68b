import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { runWithCrew } from './crew.ts';
import { mutationsMain, mutationsUsage } from './mutations/main.ts';
import { parseOptions, replayCommand, usage } from './options.ts';
import type { SimOptions } from './options.ts';
import { runOnce } from './run.ts';
import type { RunReport } from './run.ts';
import { storyMain, storyUsage } from './scenario/program.ts';
import { runOptionsOf } from './seeded.ts';
import { shrink } from './shrink.ts';
import { parseStoreOptions, storeReplayCommand, storeRunOptions, storeUsage } from './store/options.ts';
import { runStore } from './store/run.ts';
import { StoreTotals, tellStoreRun } from './store/tell.ts';
import { tellFailure, tellRun, Totals } from './tell.ts';

const randomSeedMax = 2 ** 40;

/** Ctrl-C begins no further run, and the totals of those that ended are told; once more ends it at once. */
let isInterrupted = false;
process.once('SIGINT', () => {
  isInterrupted = true;
});

function* seedsOf(plan: SimOptions['plan']): Generator<number> {
  const startedMs = performance.now();
  switch (plan.kind) {
    case 'seeds':
      for (let seed = plan.first; seed <= plan.last && !isInterrupted; seed++) yield seed;
      return;
    case 'runs':
      for (let run = 0; run < plan.count && !isInterrupted; run++) yield randomInt(randomSeedMax);
      return;
    case 'minutes':
      while (performance.now() - startedMs < plan.minutes * 60_000 && !isInterrupted) yield randomInt(randomSeedMax);
  }
}

/** Power losses of one store, seed by seed. */
async function storeMain(args: readonly string[]): Promise<number> {
  const options = parseStoreOptions(args);
  if (typeof options === 'string') {
    process.stderr.write(`${options}\n${storeUsage}\n`);
    return 2;
  }
  const totals = new StoreTotals();
  const failures: object[] = [];
  for (const seed of seedsOf(options.plan)) {
    const report = await runStore(storeRunOptions(options, seed));
    totals.add(report);
    const { failure } = report;
    const replay = failure && storeReplayCommand(options, seed, failure);
    if (failure !== undefined) failures.push({ seed, ...failure, replay });
    if (options.json) continue;
    process.stdout.write(tellStoreRun(report));
    if (failure !== undefined) process.stdout.write(`  ${failure.message}\nreplay: ${replay}\n`);
    else if (options.point !== undefined && report.crashes === 0)
      process.stdout.write('  there is no such crash point\n');
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, ...totals.figures(), failures })}\n`);
  else if (totals.figures().runs > 1) process.stdout.write(totals.tell(failures.length));
  return failures.length > 0 ? 1 : 0;
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    process.stdout.write(`${[usage, storeUsage, storyUsage, mutationsUsage].join('\n')}\n`);
    return 0;
  }
  // With a file: that story is played. Without: the story of a failure is told.
  const isPlay = args.includes('--story') && args.some((arg) => arg.endsWith('.txt'));
  if (isPlay) return storyMain(args.filter((arg) => arg !== '--story'));
  if (args.includes('--mutations')) return mutationsMain(args.filter((arg) => arg !== '--mutations'));
  if (args.includes('--store')) return storeMain(args.filter((arg) => arg !== '--store'));
  const options = parseOptions(args);
  if (typeof options === 'string') {
    process.stderr.write(`${options}\n${usage}\n`);
    return 2;
  }
  const { plan, json, trace } = options;
  const single = plan.kind === 'seeds' && plan.first === plan.last;
  const totals = new Totals();
  const failures: object[] = [];
  let firstFailed: RunReport | undefined;
  const ended = (report: RunReport) => {
    totals.add(report);
    const replay = replayCommand(options, report.seed);
    const failed = report.violations.length > 0;
    if (failed) firstFailed ??= report;
    if (failed) failures.push({ seed: report.seed, violations: report.violations, replay });
    if (json) return;
    if (single || failed) process.stdout.write(tellRun(report));
    if (failed) process.stdout.write(tellFailure(report, replay));
    if (report.story.length > 0) process.stdout.write(`${report.story.join('\n')}\n`);
    if (trace) process.stdout.write(`${report.journal.join('\n')}\n`);
  };
  if (single) ended(await runOnce(runOptionsOf(options, plan.first)));
  else await runWithCrew(seedsOf(plan), options.jobs ?? availableParallelism(), options, ended);
  if (json) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, ...totals.figures(), failures })}\n`);
  else if (!single) process.stdout.write(totals.tell(failures.length));
  if (options.shrink && firstFailed !== undefined) await tellShorter(options, firstFailed);
  return failures.length > 0 ? 1 : 0;
}

async function tellShorter(options: SimOptions, failed: RunReport): Promise<void> {
  const shrunk = await shrink(options, failed, (text) => process.stdout.write(`  still fails with ${text}\n`));
  const replay = replayCommand(shrunk.options, failed.seed);
  process.stdout.write(`seed ${failed.seed} after ${shrunk.runs} runs:\n${tellFailure(shrunk.report, replay)}`);
}

process.exitCode = await main(process.argv.slice(2));
