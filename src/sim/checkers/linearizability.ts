import { assert } from '../../base/assert.ts';
import { zeroValue } from '../history.ts';
import type { History, RegisterKey, RegisterOperation } from '../history.ts';
import { tellOperation, tellValue } from './violation.ts';
import type { Violation } from './violation.ts';

/** Operations of one register that overlap at one moment; a slot each, a bit each. */
const overlapMax = 20;
const slotSpan = 2 ** overlapMax;
/** States that one answer may leave possible; beyond it the register counts as not checked, never as correct. */
const statesMax = 200_000;

interface Interval {
  readonly source: RegisterOperation;
  readonly start: number;
  /** Infinite: need not have happened yet. */
  readonly end: number;
  /** It need not have happened at all; after `end` it can't any more. */
  readonly optional: boolean;
}

export type RegisterVerdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly at: RegisterOperation }
  | { readonly ok: 'unchecked' };

function isChange({ kind }: RegisterOperation): boolean {
  return kind === 'write' || kind === 'compare';
}

/** When the first change that was asked for after `instant` was acknowledged: whatever was appended before is ordered before it. */
function nextChangeAfter(operations: readonly RegisterOperation[], instant: number): number {
  let first = Number.POSITIVE_INFINITY;
  for (const source of operations) {
    const { operation } = source;
    if (!isChange(source) || operation.outcome !== 'ok' || operation.invokedAt <= instant) continue;
    first = Math.min(first, operation.completedAt);
  }
  return first;
}

type EndOf = (ms: number) => number;
const neverEnds: EndOf = () => Number.POSITIVE_INFINITY;

/**
 * What must be explained. An operation takes effect before its answer. It is appended before its tickets die, or never (design
 * §10.10); what is appended may be committed, and so seen, later, but never after a change of the same block that was asked for
 * when its tickets were dead: the log orders them. A write of unknown outcome whose value nobody saw may as well not have
 * happened; one that was seen had happened when the first reader was answered. Zeros have no author: an unknown zeroing stays
 * possible until such a later change.
 */
function intervalsOf(operations: readonly RegisterOperation[], endOf: EndOf): Interval[] {
  const firstSeenAt = new Map<number, number>();
  const saw = (value: number, at: number) => {
    firstSeenAt.set(value, Math.min(firstSeenAt.get(value) ?? Number.POSITIVE_INFINITY, at));
  };
  for (const { kind, value, expected, operation } of operations) {
    if (operation.outcome !== 'ok') continue;
    if (kind === 'read') saw(value, operation.completedAt);
    else if (kind === 'compare' && expected !== undefined) saw(expected, operation.completedAt);
  }
  // A comparison that failed saw some other value, and doesn't say which: then any write may have been the one.
  const anySeen = operations.some(({ kind }) => kind === 'differs');
  const intervals: Interval[] = [];
  for (const source of operations) {
    const { value, operation } = source;
    if (operation.outcome === 'failed') continue;
    const start = operation.invokedAt;
    if (operation.outcome === 'ok') {
      intervals.push({ source, start, end: operation.completedAt, optional: false });
      continue;
    }
    if (!isChange(source)) continue;
    const orderedAt = nextChangeAfter(operations, endOf(operation.effectByMs));
    const seenAt = firstSeenAt.get(value);
    if (value === zeroValue) intervals.push({ source, start, end: orderedAt, optional: true });
    else if (seenAt !== undefined) intervals.push({ source, start, end: Math.min(seenAt, orderedAt), optional: false });
    else if (anySeen) intervals.push({ source, start, end: orderedAt, optional: true });
  }
  return intervals;
}

/** Instants in order; at the same one, a write ends before the read that proves it. */
function instantsOf(
  intervals: readonly Interval[],
): { readonly at: number; readonly isEnd: boolean; readonly interval: Interval }[] {
  const instants = [];
  for (const interval of intervals) {
    instants.push({ at: interval.start, isEnd: false, interval });
    if (Number.isFinite(interval.end)) instants.push({ at: interval.end, isEnd: true, interval });
  }
  const rank = (kind: string) => (kind === 'write' || kind === 'compare' ? 0 : 1);
  return instants.sort((a, b) => a.at - b.at || rank(a.interval.source.kind) - rank(b.interval.source.kind));
}

/**
 * Decides one register by walking its history and keeping every state it can be in: the value, and which of the
 * operations under way have already taken effect (just-in-time linearization, Lowe 2017, after Wing and Gong 1993). Linear in the
 * history; exponential only in how many operations overlap on this one register.
 */
export function checkRegister(operations: readonly RegisterOperation[], endOf: EndOf = neverEnds): RegisterVerdict {
  const open: (Interval | undefined)[] = [];
  let states = new Set<number>([zeroValue * slotSpan]);
  for (const { isEnd, interval } of instantsOf(intervalsOf(operations, endOf))) {
    if (!isEnd) {
      let slot = open.indexOf(undefined);
      if (slot < 0) slot = open.length;
      if (slot >= overlapMax) return { ok: 'unchecked' };
      open[slot] = interval;
      continue;
    }
    const slot = open.indexOf(interval);
    assert(slot >= 0, 'an operation ends after it began');
    const next = takeEffect(states, open, slot);
    if (next === undefined) return { ok: 'unchecked' };
    if (interval.optional) {
      const bit = 1 << slot;
      for (const state of states) if (((state % slotSpan) & bit) === 0) next.add(state);
    }
    if (next.size === 0) return { ok: false, at: interval.source };
    states = next;
    open[slot] = undefined;
  }
  return { ok: true };
}

/** The states in which the operation in `slot` has taken effect, its bit given back. Undefined: too many. */
function takeEffect(
  states: ReadonlySet<number>,
  open: readonly (Interval | undefined)[],
  slot: number,
): Set<number> | undefined {
  const done = new Set<number>();
  const seen = new Set<number>(states);
  const queue = [...states];
  const wanted = 1 << slot;
  for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
    const mask = state % slotSpan;
    const value = (state - mask) / slotSpan;
    if ((mask & wanted) !== 0) {
      done.add(state - wanted);
      continue;
    }
    for (let other = 0; other < open.length; other++) {
      const interval = open[other];
      if (interval === undefined || (mask & (1 << other)) !== 0) continue;
      const after = valueAfter(interval.source, value);
      if (after === undefined) continue;
      const next = after * slotSpan + (mask | (1 << other));
      if (seen.has(next)) continue;
      if (seen.size >= statesMax) return undefined;
      seen.add(next);
      queue.push(next);
    }
  }
  return done;
}

/** What a register that holds `now` holds after the operation; undefined: it can't have taken effect then. */
function valueAfter({ kind, value, expected }: RegisterOperation, now: number): number | undefined {
  switch (kind) {
    case 'write':
      return value;
    case 'read':
      return value === now ? now : undefined;
    case 'compare':
      return expected === now ? value : undefined;
    case 'differs':
      return expected === now ? undefined : now;
  }
}

/** A write whose value is still read by another operation explains that read: it stays in the story. */
function removable(
  operations: readonly RegisterOperation[],
  drop: ReadonlySet<RegisterOperation>,
): RegisterOperation[] {
  const kept = operations.filter((operation) => !drop.has(operation));
  const read = new Set(kept.flatMap(({ kind, value, expected }) => (kind === 'read' ? [value] : (expected ?? []))));
  // What a failed comparison saw may be any of the writes.
  const anyWrite = kept.some(({ kind }) => kind === 'differs');
  const explains = ({ kind, value }: RegisterOperation) =>
    (kind === 'write' || kind === 'compare') && (anyWrite || read.has(value));
  return operations.filter((operation) => !drop.has(operation) || explains(operation));
}

/** The fewest operations that still contradict each other: chunks are left out, from half of all down to one. */
export function smallestContradiction(
  operations: readonly RegisterOperation[],
  endOf: EndOf = neverEnds,
): readonly RegisterOperation[] {
  let kept = [...operations];
  for (let span = Math.ceil(kept.length / 2); span >= 1; span = span === 1 ? 0 : Math.ceil(span / 2)) {
    for (let at = 0; at < kept.length; ) {
      const shorter = removable(kept, new Set(kept.slice(at, at + span)));
      if (shorter.length < kept.length && checkRegister(shorter, endOf).ok === false) kept = shorter;
      else at += span;
    }
  }
  return kept;
}

function describe(operations: readonly RegisterOperation[], at: RegisterOperation): string {
  if (at.kind !== 'read')
    return `op ${at.operation.number} can't be ordered before its tickets died or it was answered`;
  const value = tellValue(at.value);
  const author = operations.find(
    ({ kind, value: written }) => (kind === 'write' || kind === 'compare') && written === at.value,
  );
  if (at.value !== zeroValue && author === undefined)
    return `op ${at.operation.number} read ${value}, which nobody wrote there`;
  if (author?.operation.outcome === 'failed') {
    return `op ${at.operation.number} read ${value} of op ${author.operation.number}, whose host was told that it failed`;
  }
  return `op ${at.operation.number} read ${value}, which no order of the operations allows`;
}

export interface LinearizabilityReport {
  readonly violations: readonly Violation[];
  readonly registers: number;
  /** Too many operations overlapped: neither right nor wrong. */
  readonly unchecked: number;
}

const violationsMax = 5; // the first few tell enough

/** INV-2 over everything that hosts did and saw; INV-5 where a failed write's value was read. */
export function checkLinearizability(history: History, name: (key: RegisterKey) => string): LinearizabilityReport {
  const violations: Violation[] = [];
  const endOf = (ms: number) => history.endOf(ms);
  let unchecked = 0;
  for (const [key, operations] of history.registers) {
    const verdict = checkRegister(operations, endOf);
    if (verdict.ok === 'unchecked') unchecked++;
    if (verdict.ok !== false || violations.length >= violationsMax) continue;
    const { at } = verdict;
    const story = smallestContradiction(
      operations.filter(({ operation }) => operation.invokedAt <= at.operation.completedAt),
      endOf,
    );
    const failed = operations.some(
      ({ kind, value, operation }) => kind !== 'read' && value === at.value && operation.outcome === 'failed',
    );
    const ordered = [...story].sort((a, b) => a.operation.invokedAt - b.operation.invokedAt);
    violations.push({
      invariant: failed && at.value !== zeroValue ? 'INV-5' : 'INV-2',
      summary: `${name(key)}: ${describe(operations, at)}`,
      story: ordered.map(({ operation, value }) => tellOperation(operation, value)),
    });
  }
  return { violations, registers: history.registers.size, unchecked };
}
