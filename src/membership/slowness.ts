import type { CoreletId } from '../base/ids.ts';
import { type MemberState, memberById, stateOfMember, type View } from '../ring/view.ts';

/** Judged at most this often, in milliseconds. */
const lookMs = 1000;
/** What wasn't told again for so long doesn't count. */
const freshMs = 15_000;
/** Fewer are no cohort to compare with. */
const cohortMin = 3;
/** Slow: beyond the median by so many deviations (MAD, scaled to a standard deviation), … */
const deviations = 6;
const madScale = 1.4826;
/** … by this factor, and by at least so many milliseconds, which hosts would notice. */
const slowFactor = 4;
const slowMs = 5;
/** Well again: below the median times this, or not noticeable. */
const wellFactor = 2;
/** So long it must have been slow before it is wished to sit out, and well before it is wished back. */
const slowForMs = 4000;
const wellForMs = 10_000;

interface Reading {
  latencyMs: number;
  atMs: number;
  slowSinceMs: number | undefined;
  wellSinceMs: number | undefined;
}

/**
 * Fail-slow members: those whose flash takes much longer than their siblings' (median and MAD of the members' own figures).
 * A device that is slow without failing drags all hosts whose arcs it leads (Gunawi et al., "Fail-Slow at Scale", FAST 2018).
 */
export class Slowness {
  readonly #readings = new Map<CoreletId, Reading>();
  #nextMs = Number.NEGATIVE_INFINITY;
  /** Since when there has been nobody to compare with. */
  #idleSinceMs: number | undefined;

  /** What a member said of itself: the median of its newest latencies; 0: it knows none. */
  tell(id: CoreletId, latencyMs: number, nowMs: number): void {
    if (latencyMs <= 0) return;
    const reading = this.#readings.get(id);
    if (reading === undefined) {
      this.#readings.set(id, { latencyMs, atMs: nowMs, slowSinceMs: undefined, wellSinceMs: undefined });
    } else {
      reading.latencyMs = latencyMs;
      reading.atMs = nowMs;
    }
  }

  latencyMs(id: CoreletId): number | undefined {
    return this.#readings.get(id)?.latencyMs;
  }

  /** Members that should be in another state, as we judge; nothing between two looks. No more than `max` sit out at a time. */
  judge(view: View, max: number, nowMs: number): readonly { readonly id: CoreletId; readonly state: MemberState }[] {
    if (nowMs < this.#nextMs) return [];
    this.#nextMs = nowMs + lookMs;
    for (const id of this.#readings.keys()) if (memberById(view, id) === undefined) this.#readings.delete(id);
    const fresh = [...this.#readings].filter(([, reading]) => nowMs - reading.atMs <= freshMs);
    if (fresh.length < cohortMin) return this.#release(view, nowMs);
    this.#idleSinceMs = undefined;
    const median = medianOf(fresh.map(([, reading]) => reading.latencyMs));
    const mad = medianOf(fresh.map(([, reading]) => Math.abs(reading.latencyMs - median)));
    const slow = Math.max(median * slowFactor, median + deviations * madScale * mad, median + slowMs);
    const well = Math.max(median * wellFactor, median + slowMs / 2);
    let sitting = view.members.filter((member) => stateOfMember(member) === 'sitting-out').length;
    const wishes: { id: CoreletId; state: MemberState }[] = [];
    // The slowest first, so that all wish it of the same ones.
    for (const [id, reading] of fresh.toSorted(([, a], [, b]) => b.latencyMs - a.latencyMs)) {
      const { latencyMs } = reading;
      reading.slowSinceMs = latencyMs > slow ? (reading.slowSinceMs ?? nowMs) : undefined;
      reading.wellSinceMs = latencyMs <= well ? (reading.wellSinceMs ?? nowMs) : undefined;
      const member = memberById(view, id);
      const state = member === undefined ? undefined : stateOfMember(member);
      if (state === 'live' && sitting < max && nowMs - (reading.slowSinceMs ?? nowMs) >= slowForMs) {
        sitting++;
        wishes.push({ id, state: 'sitting-out' });
      } else if (state === 'sitting-out' && nowMs - (reading.wellSinceMs ?? nowMs) >= wellForMs) {
        wishes.push({ id, state: 'live' });
      }
    }
    return wishes;
  }

  /** Devices are at rest: no host waits for any of them, so nobody need sit out. */
  #release(view: View, nowMs: number): readonly { readonly id: CoreletId; readonly state: MemberState }[] {
    this.#idleSinceMs ??= nowMs;
    if (nowMs - this.#idleSinceMs < wellForMs) return [];
    const sitting = view.members.filter((member) => stateOfMember(member) === 'sitting-out');
    return sitting.map(({ id }) => ({ id, state: 'live' }));
  }
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
