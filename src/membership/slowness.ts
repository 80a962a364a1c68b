import type { CoreletId } from '../base/ids.ts';
import { type MemberState, stateOfMember, type View } from '../ring/view.ts';
import { Cohort, type CohortRule, type Figure } from './cohort.ts';
import { Relapses } from './relapses.ts';

/** Judged at most this often, in milliseconds. */
const lookMs = 1000;

/** Each member tells its own, so ours is among them; at rest it isn't known. */
const flashRule: CohortRule = { slowMs: 5, membersMin: 3 };
/**
 * Of peers only: of two the quicker one tells what is usual, and whether the other one is slow for all is told by how many say so.
 * A gateway that is fed 1 MiB writes as fast as it takes them answers in 8 to 14 ms, where 3 are usual: that is work, not illness.
 */
const answersRule: CohortRule = { slowMs: 25, membersMin: 2 };

/** In what a member is slow; both may be. */
export interface Slow {
  /** Until something is durable there, as it says itself. */
  readonly flash?: Figure;
  /** Until it has looked at a message and answered it, as others measure. */
  readonly answers?: Figure;
}

/** The same as plain numbers, in milliseconds, for records and for the status. */
export interface SlowFigures {
  readonly flashMs?: number;
  readonly flashUsualMs?: number;
  readonly answersMs?: number;
  readonly answersUsualMs?: number;
}

export function slowFigures({ flash, answers }: Slow): SlowFigures {
  return {
    ...(flash && { flashMs: flash.ms, flashUsualMs: flash.usualMs }),
    ...(answers && { answersMs: answers.ms, answersUsualMs: answers.usualMs }),
  };
}

/** A member that should be in another state, as we judge. */
export interface Judgement {
  readonly id: CoreletId;
  readonly state: MemberState;
  /** Why it should sit out. */
  readonly slow: Slow;
}

/**
 * Fail-slow members: those whose flash, or whose answers, take much longer than their siblings' (median and MAD, at the same time). A
 * Corelet that is slow without failing drags all hosts whose arcs it leads (Gunawi et al., "Fail-Slow at Scale", FAST 2018).
 */
export class Slowness {
  readonly #flash = new Cohort(flashRule);
  readonly #answers = new Cohort(answersRule);
  readonly #relapses = new Relapses();
  #nextMs = Number.NEGATIVE_INFINITY;

  /** What a member said of its flash: the median of its newest latencies; 0: it knows none. */
  tellFlash(id: CoreletId, ms: number, nowMs: number): void {
    this.#flash.tell(id, ms, nowMs);
  }

  /** How long a member takes to answer this Corelet; 0: not known. */
  tellAnswers(id: CoreletId, ms: number, nowMs: number): void {
    this.#answers.tell(id, ms, nowMs);
  }

  /** Members that should be in another state, as we judge; nothing between two looks. No more than `max` sit out at a time. */
  judge(view: View, max: number, nowMs: number): readonly Judgement[] {
    if (nowMs < this.#nextMs) return [];
    this.#nextMs = nowMs + lookMs;
    this.#flash.look(view, nowMs);
    this.#answers.look(view, nowMs);
    this.#relapses.look(view, nowMs);
    const judgements: Judgement[] = [];
    const slow: (Judgement & { readonly excess: number })[] = [];
    let sitting = 0;
    for (const member of view.members) {
      const { id } = member;
      const state = stateOfMember(member);
      const [flash, answers] = [this.#flash.slow(id, nowMs), this.#answers.slow(id, nowMs)];
      if (state === 'sitting-out') sitting++;
      if (state === 'sitting-out' && this.#isWell(id, nowMs)) {
        judgements.push({ id, state: 'live', slow: {} });
      } else if (state === 'live' && (flash ?? answers) !== undefined) {
        const why = { ...(flash && { flash }), ...(answers && { answers }) };
        const excess = Math.max(flash?.excess ?? 0, answers?.excess ?? 0);
        slow.push({ id, state: 'sitting-out', slow: why, excess });
      }
    }
    // The slowest first, so that all wish it of the same ones.
    slow.sort((a, b) => b.excess - a.excess);
    return [...judgements, ...slow.slice(0, Math.max(0, max - sitting))];
  }

  /** In both, and for the longer the more often it sat out. */
  #isWell(id: CoreletId, nowMs: number): boolean {
    const patience = this.#relapses.patience(id);
    return this.#flash.isWell(id, patience, nowMs) && this.#answers.isWell(id, patience, nowMs);
  }
}
