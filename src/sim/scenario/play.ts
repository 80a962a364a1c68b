import { checkDurability } from '../checkers/durability.ts';
import { checkLinearizability } from '../checkers/linearizability.ts';
import type { Violation } from '../checkers/violation.ts';
import { tellOperation } from '../checkers/violation.ts';
import { History } from '../history.ts';
import { language } from './language.ts';
import { StoryProblem, Unfulfilled } from './problem.ts';
import type { Range } from './range.ts';
import { Stage } from './stage.ts';
import { readStory, type Story } from './story.ts';
import { mendAll } from './words-faults.ts';

const drainMsMax = 60_000;
const convergeMsMax = 120_000;
const readMsMax = 60_000;
const retryMs = 100;

/** How one story went with one seed. */
export interface PlayReport {
  readonly seed: number;
  /** What went otherwise than the story says; undefined: all as told. */
  readonly problem: string | undefined;
  readonly violations: readonly Violation[];
  readonly traceHash: string;
  readonly virtualMs: number;
  readonly events: number;
  readonly operations: number;
  readonly journal: readonly string[];
}

/** Reads a scenario file's text. @throws StoryProblem */
export function storyOf(file: string, text: string): Story {
  return readStory(file, text, language);
}

/** Plays a story: line by line; then everything is mended, waited for, read back and judged by every checker. */
export async function play(story: Story, seed: number): Promise<PlayReport> {
  const stage = new Stage(story, seed);
  const violations: Violation[] = [];
  let problem: string | undefined;
  const unhandled = (error: unknown) => violations.push(violationOf('unhandled rejection', error));
  process.on('unhandledRejection', unhandled);
  try {
    await tell(stage);
    await finish(stage, violations);
  } catch (error) {
    if (error instanceof StoryProblem || error instanceof Unfulfilled) problem = error.message;
    else violations.push(violationOf('thrown in an event', error));
  } finally {
    stage.stop();
    await new Promise((resolve) => setImmediate(resolve)); // rejections without a handler are told by now
    process.off('unhandledRejection', unhandled);
  }
  violations.push(...stage.clusterViolations(), ...stage.watches.violations, ...stage.hosts.violations);
  return {
    seed,
    problem,
    violations,
    traceHash: stage.engine.trace.text(),
    virtualMs: stage.engine.nowMs,
    events: stage.engine.eventCount,
    operations: stage.hosts.history.operations.length,
    journal: journalOf(stage),
  };
}

async function tell(stage: Stage): Promise<void> {
  const { file, lines } = stage.story;
  await stage.found();
  for (const { line, text, act, places } of lines) {
    stage.note(`${file.replace(/^.*\//, '')}:${line}: ${text}`);
    try {
      await act(stage, places);
    } catch (error) {
      if (!(error instanceof Unfulfilled || error instanceof RangeError)) throw error;
      if (stage.broken()) throw new StoryProblem(file, line, `${text}: a promise was broken`);
      throw new StoryProblem(file, line, `${text}: ${error.message}`);
    }
    if (stage.broken()) throw new StoryProblem(file, line, `${text}: a promise was broken`);
  }
}

async function finish(stage: Stage, violations: Violation[]): Promise<void> {
  const { hosts } = stage;
  stage.note('the story is told; everything is mended');
  stage.trafficOn = false;
  await mendAll(stage);
  if (!(await stage.until(() => hosts.open.size === 0, drainMsMax))) {
    const story = [...hosts.open].map(({ operation }) => tellOperation(operation, undefined));
    violations.push({ invariant: 'INV-9', summary: `${hosts.open.size} commands hang after all is mended`, story });
  }
  if (!stage.endsBroken && !(await stage.until(() => stage.whyNotWhole().length === 0, convergeMsMax))) {
    const story = stage.whyNotWhole();
    violations.push({ invariant: 'INV-9', summary: `${story.length} arcs are not whole after all is mended`, story });
  }
  const name = (key: number) => hosts.registers.name(key);
  if (!stage.endsBroken && !stage.broken()) {
    const finalReads = await readBack(stage);
    if (finalReads === undefined)
      violations.push({ invariant: 'INV-1', summary: "blocks can't be read after all is mended", story: [] });
    else violations.push(...checkDurability(historyOfLiving(stage), finalReads, name));
  }
  const report = checkLinearizability(hosts.history, name);
  violations.push(...report.violations);
  if (report.unchecked > 0) throw new Unfulfilled(`${report.unchecked} registers can't be checked: too many at once`);
}

/** Every block that the story used, on volumes that still are, through one slot after the other. */
async function readBack(stage: Stage): Promise<ReadonlySet<number> | undefined> {
  const { engine, hosts, cluster } = stage;
  const numbers = new Set<number>();
  const untilMs = engine.nowMs + readMsMax;
  let turn = 0;
  for (const range of blocksUsed(stage)) {
    for (;;) {
      if (engine.nowMs >= untilMs || stage.broken()) return undefined;
      const slot = turn++ % cluster.slots.length;
      const task =
        cluster.state(slot) === 'running'
          ? await hosts.begin({ kind: 'read', host: 0, slot, range }, untilMs - engine.nowMs)
          : undefined;
      if (task !== undefined && task !== 'NOT_FOUND') {
        await stage.until(() => task.answer !== '', untilMs - engine.nowMs);
        if (task.answer === 'ok') {
          numbers.add(task.operation.number);
          break;
        }
      }
      await engine.run(engine.nowMs + retryMs);
    }
  }
  return numbers;
}

/** Without what was on deleted volumes: nothing of it is left to be read. */
function historyOfLiving({ hosts, volumes }: Stage): History {
  const living = new History();
  for (const [key, operations] of hosts.history.registers) {
    if (volumes.has(hosts.registers.blockOf(key).volume)) living.registers.set(key, operations);
  }
  return living;
}

function blocksUsed(stage: Stage): readonly Range[] {
  const blocks = new Map<string, Range>();
  for (const key of stage.hosts.history.registers.keys()) {
    const range = stage.hosts.registers.blockOf(key);
    if (stage.volumes.has(range.volume)) blocks.set(`${range.volume}/${range.offset}`, range);
  }
  return [...blocks.values()];
}

function violationOf(how: string, error: unknown): Violation {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const [summary = '', ...story] = stack.split('\n');
  return { invariant: /INV-\d+/.exec(summary)?.[0] ?? 'ASSERT', summary: `${how}: ${summary}`, story };
}

function journalOf(stage: Stage): readonly string[] {
  const recorded = stage.cluster.events.filter(({ atMs }) => atMs >= stage.foundedMs);
  const lines = recorded.map(({ atMs, slot, event }) => ({
    atMs,
    text: `slot ${slot}: ${event.kind}: ${event.text}`,
  }));
  lines.push(...stage.journal);
  return lines.sort((a, b) => a.atMs - b.atMs).map(({ atMs, text }) => `${atMs.toFixed(3)} ms: ${text}`);
}

const journalLines = 60;

/** A failed play, for a person: what broke, what happened last, and the one command that shows it again. */
export function tellPlay(story: Story, report: PlayReport): string {
  const lines = [`${story.file}, seed ${report.seed}`];
  if (report.problem !== undefined) lines.push(`  ${report.problem}`);
  for (const { invariant, summary, story: steps } of report.violations) {
    lines.push(`  ${invariant}: ${summary}`, ...steps.map((step) => `    ${step}`));
  }
  lines.push('  what happened last:', ...report.journal.slice(-journalLines).map((line) => `    ${line}`));
  lines.push(`replay: npm run sim -- --story ${story.file} --seed ${report.seed}`);
  return lines.join('\n');
}
