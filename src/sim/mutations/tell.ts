import type { HuntReport } from './hunt.ts';
import type { Hunt, Mutation } from './types.ts';

export const tableHead = `| fault | rule | what it does | hunted | caught by | seeds | s |
|---|---|---|---|---|---|---|
`;

function huntText(hunt: Hunt): string {
  const [first, last] = hunt.seeds;
  const seeds = first === last ? `seed ${first}` : `seeds ${first}..${last}`;
  switch (hunt.by) {
    case 'cluster':
      return `cluster, \`${hunt.profile}\`, ${seeds}`;
    case 'store':
      return `store, ${hunt.setup === 'usual' ? '' : `\`${hunt.setup}\`, `}${hunt.operations} operations, ${seeds}`;
    case 'chaos':
      return `core, \`${hunt.weather}\`, ${seeds}`;
    case 'story':
      return `story \`${hunt.story}\`, ${seeds}`;
    case 'core-story':
      return `story \`consensus/${hunt.story}\``;
  }
}

/** Where and when of one run isn't what the fault does. */
function summaryText(summary: string): string {
  return summary
    .replace(/^slot \d+ stopped at [\d.]+ ms: /, '')
    .replace(/^(thrown in an event|unhandled rejection) at [\d.]+ ms: /, '')
    .replace(/^(AssertionError|AssertionFailed|Error): /, '')
    .replace(/^INV-\d+: /, '')
    .replaceAll('|', '\\|');
}

/** One row of the table. */
export function tellHunt(mutation: Mutation, report: HuntReport): string {
  const { verdict, seeds, seconds } = report;
  const { name, rule, what, hunt } = mutation;
  const by =
    verdict.kind === 'caught'
      ? `${verdict.by} ${verdict.invariant}: ${summaryText(verdict.summary)}`
      : verdict.kind === 'missed'
        ? '**missed**'
        : `**${verdict.summary}**`;
  return `| ${name} | ${rule} | ${what} | ${huntText(hunt)} | ${by} | ${seeds} | ${seconds.toFixed(1)} |\n`;
}
