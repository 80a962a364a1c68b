import { allMutations } from './catalogue.ts';
import { control, hunt, type HuntReport } from './hunt.ts';
import { tableHead, tellHunt } from './tell.ts';
import type { Hunt, Mutation } from './types.ts';

/** Hunts of the same kind share their seeds: the control run does them once. */
export function controlsOf(reports: readonly { readonly mutation: Mutation; readonly report: HuntReport }[]): Hunt[] {
  const controls = new Map<string, Hunt>();
  for (const { mutation, report } of reports) {
    const { hunt: of } = mutation;
    const [first] = of.seeds;
    const { seeds: _, ...kind } = of;
    const key = JSON.stringify({ ...kind, first });
    const last = Math.max(first + report.seeds - 1, controls.get(key)?.seeds[1] ?? 0);
    controls.set(key, { ...of, seeds: [first, last] });
  }
  return [...controls.values()];
}

export const mutationsUsage =
  'npm run sim -- --mutations [PATTERN]: builds the core with deliberate faults, and prints by what and how soon each was found';

/** `npm run sim -- --mutations [PATTERN]`: builds the core with each fault, and prints by what and how soon it was found. */
export async function mutationsMain(args: readonly string[]): Promise<number> {
  const wanted = new RegExp(args[0] ?? '.');
  const chosen = allMutations.filter(({ name }) => wanted.test(name));
  if (chosen.length === 0) {
    process.stderr.write(`no mutation is called ${args[0]}\n`);
    return 2;
  }
  process.stdout.write(tableHead);
  const done: { mutation: Mutation; report: HuntReport }[] = [];
  for (const mutation of chosen) {
    const report = await hunt(mutation);
    done.push({ mutation, report });
    process.stdout.write(tellHunt(mutation, report));
  }
  let failed = done.filter(({ report }) => report.verdict.kind !== 'caught').length;
  let seeds = 0;
  for (const of of controlsOf(done)) {
    seeds += of.seeds[1] - of.seeds[0] + 1;
    for (const { seed, violation } of await control(of)) {
      failed += 1;
      process.stdout.write(`\nthe control fails: ${JSON.stringify(of)} seed ${seed}: ${violation?.summary}\n`);
    }
  }
  process.stdout.write(`\n${chosen.length} faults; ${seeds} seeds without any fault as control; ${failed} failed\n`);
  return failed > 0 ? 1 : 0;
}
