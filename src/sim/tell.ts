import type { RunReport } from './run.ts';

const journalTailLines = 40;

function faultsText(faults: Readonly<Record<string, number>>): string {
  const parts = Object.entries(faults).map(([kind, count]) => `${count} ${kind}`);
  return parts.length === 0 ? 'no faults' : parts.join(', ');
}

/** One run in a few lines. */
export function tellRun(report: RunReport): string {
  const { seed, operations, acknowledged, unknown, registers, uncheckedRegisters, convergedAfterMs } = report;
  const whole =
    convergedAfterMs === undefined
      ? 'never whole again'
      : `whole ${(convergedAfterMs / 1000).toFixed(1)} s after the faults`;
  const unchecked = uncheckedRegisters > 0 ? ` (${uncheckedRegisters} unchecked)` : '';
  return (
    `seed ${seed}: ${report.violations.length === 0 ? 'ok' : 'FAILED'} · trace ${report.traceHash}\n` +
    `  ${(report.virtualMs / 1000).toFixed(1)} s of virtual time in ${(report.wallMs / 1000).toFixed(2)} s, ` +
    `${report.events} events (${perSecond(report.events, report.wallMs)}/s)\n` +
    `  ${operations} operations on ${registers} registers${unchecked}: ${acknowledged} acknowledged, ${unknown} of unknown outcome\n` +
    `  ${faultsText(report.faults)}; ${whole}\n`
  );
}

function perSecond(count: number, wallMs: number): number {
  return wallMs > 0 ? Math.round((count * 1000) / wallMs) : 0;
}

/** What broke, as a story, and how to see it again. */
export function tellFailure(report: RunReport, replay: string): string {
  const lines: string[] = [];
  for (const { invariant, summary, story } of report.violations) {
    lines.push(`  ${invariant}: ${summary}`, ...story.map((line) => `    ${line}`));
  }
  lines.push('  what happened last:', ...report.journal.slice(-journalTailLines).map((line) => `    ${line}`));
  lines.push(`replay: ${replay}`);
  return `${lines.join('\n')}\n`;
}

/** Sums over many runs. */
export class Totals {
  #runs = 0;
  #virtualMs = 0;
  #wallMs = 0;
  #operations = 0;
  #events = 0;
  #durableChecks = 0;
  #givenUp = 0;
  #unchecked = 0;
  readonly #faults: Record<string, number> = {};

  add(report: RunReport): void {
    this.#runs++;
    this.#virtualMs += report.virtualMs;
    this.#wallMs += report.wallMs;
    this.#operations += report.operations;
    this.#events += report.events;
    this.#durableChecks += report.durableChecks;
    this.#givenUp += report.givenUp;
    this.#unchecked += report.uncheckedRegisters;
    for (const [kind, count] of Object.entries(report.faults)) this.#faults[kind] = (this.#faults[kind] ?? 0) + count;
  }

  figures() {
    return {
      runs: this.#runs,
      virtualSeconds: this.#virtualMs / 1000,
      operations: this.#operations,
      faults: this.#faults,
      events: this.#events,
      eventsPerSecond: perSecond(this.#events, this.#wallMs),
      wallSeconds: this.#wallMs / 1000,
      durableChecks: this.#durableChecks,
      modulesGivenUp: this.#givenUp,
      uncheckedRegisters: this.#unchecked,
    };
  }

  tell(failureCount: number): string {
    const { runs, virtualSeconds, operations, faults, eventsPerSecond, wallSeconds, ...checks } = this.figures();
    const struck = Object.values(faults).reduce((sum, count) => sum + count, 0);
    return (
      `${runs} runs, ${failureCount} failed · ${(virtualSeconds / 3600).toFixed(2)} h of virtual time in ${wallSeconds.toFixed(1)} s · ` +
      `${operations} operations · ${eventsPerSecond} events/s per thread\n  ${struck} faults: ${faultsText(faults)}\n` +
      `  ${checks.durableChecks} acknowledged writes looked for on the media; ${checks.modulesGivenUp} modules given up; ` +
      `${checks.uncheckedRegisters} registers unchecked\n`
    );
  }
}
