import type { CoreletId } from '../base/ids.ts';
import type { PeerMessage } from '../wire/peer/types.ts';
import type { CoreletInspection } from './checkers/replicas.ts';
import { tellOperation } from './checkers/violation.ts';
import type { Violation } from './checkers/violation.ts';
import type { Operation } from './history.ts';

interface Line {
  readonly atMs: number;
  /** Undefined: it concerns every arc. */
  readonly arc: number | undefined;
  readonly text: string;
}

/** Lines kept; the oldest go first. */
const linesMax = 200_000;
const toldMax = 400;
/** Before the first and after the last moment that the violation names. */
const marginMs = 100;
/** Of a message: what tells one from another. Payloads and long lists are left out. */
const skipped: ReadonlySet<string> = new Set(['type', 'arc', 'fromGeneration', 'toGeneration']);

/** Writes down who said what to whom, when: read only when something went wrong. */
export class Story {
  readonly #slotOf: (id: CoreletId) => number | undefined;
  #lines: Line[] = [];
  readonly #roles = new Map<string, string>();

  constructor(slotOf: (id: CoreletId) => number | undefined) {
    this.#slotOf = slotOf;
  }

  sent(slot: number, to: CoreletId, message: PeerMessage, atMs: number): void {
    if (message.type === 'liveness' || message.type === 'routes') return;
    const arc = 'arc' in message ? message.arc : undefined;
    const where = arc === undefined ? '' : ` of arc ${arc}`;
    this.#add(atMs, arc, `slot ${slot} → slot ${this.#slotOf(to) ?? '?'}: ${message.type}${where}${fieldsOf(message)}`);
  }

  synced(slot: number, lengthBytes: number, atMs: number): void {
    this.#add(atMs, undefined, `slot ${slot}: ${lengthBytes} bytes durable`);
  }

  /** Notes what changed since it looked last. */
  look(corelets: readonly CoreletInspection[], atMs: number): void {
    for (const { slot, id, replicas } of corelets) {
      for (const { arc, generation, role, term, commitIndex, appliedIndex, voters } of replicas) {
        const key = `${id}/${arc}`;
        const voting = voters.map((voter) => this.#slotOf(voter.slice(0, 32) as CoreletId) ?? '?').join(',');
        const state = `${role} of term ${term}, committed ${commitIndex}, applied ${appliedIndex}, generation ${generation}, voters ${voting}`;
        if (this.#roles.get(key) === state) continue;
        this.#roles.set(key, state);
        this.#add(atMs, arc, `slot ${slot}, arc ${arc}: ${state}`);
      }
    }
  }

  note(atMs: number, text: string): void {
    this.#add(atMs, undefined, text);
  }

  /** What happened around a violation: its arcs, its time. `arcsOf`: where an operation's blocks lie. */
  tell(
    violation: Violation,
    operations: readonly Operation[],
    arcsOf: (operation: Operation) => readonly number[],
  ): string[] {
    const named = operationsOf(violation, operations);
    const arcs = new Set(named.flatMap((operation) => arcsOf(operation)));
    for (const [, arc] of `${violation.summary} ${violation.story.join(' ')}`.matchAll(/arc (\d+)/g))
      arcs.add(Number(arc));
    const times = named
      .flatMap(({ invokedMs, completedMs }) => [invokedMs, completedMs])
      .filter((ms) => Number.isFinite(ms));
    for (const line of [violation.summary, ...violation.story]) {
      for (const [, ms] of line.matchAll(/(\d+\.\d{3}) ms/g)) times.push(Number(ms));
    }
    const lastMs = this.#lines.at(-1)?.atMs ?? 0;
    const fromMs = (times.length === 0 ? lastMs - marginMs : Math.min(...times)) - marginMs;
    const toMs = (times.length === 0 ? lastMs : Math.max(...times)) + marginMs;
    const lines = this.#lines.filter(
      ({ atMs, arc }) => atMs >= fromMs && atMs <= toMs && (arc === undefined || arcs.size === 0 || arcs.has(arc)),
    );
    for (const operation of operations) {
      const { invokedMs } = operation;
      const touches = arcs.size === 0 || arcsOf(operation).some((arc) => arcs.has(arc));
      if (invokedMs < fromMs || invokedMs > toMs || !touches) continue;
      lines.push({ atMs: invokedMs, arc: undefined, text: tellOperation(operation, undefined) });
    }
    lines.sort((a, b) => a.atMs - b.atMs);
    const left = lines.length - toldMax;
    const kept = left > 0 ? lines.slice(-toldMax) : lines;
    return [
      `story of: ${violation.invariant}: ${violation.summary}`,
      ...(left > 0 ? [`(${left} earlier lines left out)`] : []),
      ...kept.map(({ atMs, text }) => `${atMs.toFixed(3)} ms: ${text}`),
    ];
  }

  #add(atMs: number, arc: number | undefined, text: string): void {
    this.#lines.push({ atMs, arc, text });
    if (this.#lines.length > linesMax) this.#lines = this.#lines.slice(linesMax / 2);
  }
}

function operationsOf(violation: Violation, operations: readonly Operation[]): Operation[] {
  const numbers = new Set<number>();
  for (const line of [violation.summary, ...violation.story]) {
    for (const [, number] of line.matchAll(/\bop (\d+)/g)) numbers.add(Number(number));
  }
  return operations.filter(({ number }) => numbers.has(number));
}

function fieldsOf(message: PeerMessage): string {
  const told: string[] = [];
  for (const [name, value] of Object.entries(message)) {
    if (skipped.has(name)) continue;
    if (typeof value === 'number' || typeof value === 'boolean') told.push(`${name} ${value}`);
    else if (typeof value === 'string') told.push(`${name} ${value.slice(0, 12)}`);
    else if (Array.isArray(value) && name === 'entries') told.push(`${value.length} entries`);
    else if (name === 'body' && typeof value === 'object' && value !== null && 'kind' in value)
      told.push(String(value.kind));
  }
  return told.length === 0 ? '' : ` (${told.join(', ')})`;
}
