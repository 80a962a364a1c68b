import type { CoreletId } from '../base/ids.ts';
import { hasMember, type View } from '../ring/view.ts';

/** What wasn't told again for so long doesn't count. */
const freshMs = 15_000;
/** Slow: beyond the median by so many deviations (MAD, scaled to a standard deviation), … */
const deviations = 6;
const madScale = 1.4826;
/** … by this factor, and by at least so many milliseconds as the rule says. */
const slowFactor = 4;
/** Well again: below the median times this, or not noticeable. */
const wellFactor = 2;
/** So long it must have been slow before it shall sit out, and well before it shall live again. */
const slowForMs = 4000;
const wellForMs = 10_000;

/** What hosts would notice of it, and how many there must be to say what is usual. */
export interface CohortRule {
  readonly slowMs: number;
  readonly membersMin: number;
}

/** A figure of one member, beside what is usual among its siblings at the same time. Milliseconds. */
export interface Figure {
  readonly ms: number;
  readonly usualMs: number;
}

interface Reading {
  ms: number;
  atMs: number;
  slowSinceMs: number | undefined;
  wellSinceMs: number | undefined;
}

/** One latency of all members, compared with each other: who takes far longer than its siblings, by median and MAD. */
export class Cohort {
  readonly #rule: CohortRule;
  readonly #readings = new Map<CoreletId, Reading>();
  #usualMs = 0;
  #limitMs = Number.POSITIVE_INFINITY;
  /** Since when there has been nobody to compare with. */
  #aloneSinceMs: number | undefined;

  constructor(rule: CohortRule) {
    this.#rule = rule;
  }

  /** A median of a member's newest latencies; 0: not known, or not any more: what it was before is not compared with what others are now. */
  tell(id: CoreletId, ms: number, nowMs: number): void {
    const reading = this.#readings.get(id);
    if (ms <= 0) {
      if (reading !== undefined) reading.atMs = Number.NEGATIVE_INFINITY;
    } else if (reading === undefined) {
      this.#readings.set(id, { ms, atMs: nowMs, slowSinceMs: undefined, wellSinceMs: undefined });
    } else {
      reading.ms = ms;
      reading.atMs = nowMs;
    }
  }

  /** Compares anew. */
  look(view: View, nowMs: number): void {
    for (const id of this.#readings.keys()) if (!hasMember(view, id)) this.#readings.delete(id);
    const fresh = [...this.#readings.values()].filter((reading) => nowMs - reading.atMs <= freshMs);
    if (fresh.length < this.#rule.membersMin) {
      this.#aloneSinceMs ??= nowMs;
      for (const reading of this.#readings.values()) reading.slowSinceMs = undefined;
      return;
    }
    this.#aloneSinceMs = undefined;
    const { slowMs } = this.#rule;
    const median = medianOf(fresh.map(({ ms }) => ms));
    const mad = medianOf(fresh.map(({ ms }) => Math.abs(ms - median)));
    const slow = Math.max(median * slowFactor, median + deviations * madScale * mad, median + slowMs);
    const well = Math.max(median * wellFactor, median + slowMs / 2);
    this.#usualMs = median;
    this.#limitMs = slow;
    for (const reading of this.#readings.values()) {
      const known = nowMs - reading.atMs <= freshMs;
      reading.slowSinceMs = known && reading.ms > slow ? (reading.slowSinceMs ?? nowMs) : undefined;
      reading.wellSinceMs = known && reading.ms <= well ? (reading.wellSinceMs ?? nowMs) : undefined;
    }
  }

  /** Slow for long enough, as of the last look: its figure, and how far beyond the limit it is. */
  slow(id: CoreletId, nowMs: number): (Figure & { readonly excess: number }) | undefined {
    const reading = this.#readings.get(id);
    if (reading?.slowSinceMs === undefined || nowMs - reading.slowSinceMs < slowForMs) return undefined;
    return { ms: reading.ms, usualMs: this.#usualMs, excess: reading.ms / this.#limitMs };
  }

  /**
   * As quick as its siblings for long enough, `patience` times as long as usual; or there has been nobody to compare with: then no
   * host waits for any of them.
   */
  isWell(id: CoreletId, patience: number, nowMs: number): boolean {
    const sinceMs = this.#aloneSinceMs ?? this.#readings.get(id)?.wellSinceMs;
    return sinceMs !== undefined && nowMs - sinceMs >= wellForMs * patience;
  }
}

/** The lower one of the two in the middle: what the quicker half takes is what is usual. */
export function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[(values.length - 1) >> 1] ?? 0;
}
