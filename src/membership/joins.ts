import type { CoreletId } from '../base/ids.ts';
import { type Member, memberById, type View } from '../ring/view.ts';
import type { Join } from '../wire/membership/types.ts';
import { flapsMax, joinsMax, type MembershipLimits } from './types.ts';

interface Request {
  readonly member: Member;
  readonly incarnation: number;
  /** Since when this start of it has asked without a break. */
  readonly steadySinceMs: number;
  readonly atMs: number;
}

/** Whether the view already says of a member what it says of itself (role and place are the view's to give). */
export function isCurrent(view: View, wish: Member): boolean {
  const known = memberById(view, wish.id);
  if (known === undefined) return false;
  return (
    known.address === wish.address &&
    known.slot === wish.slot &&
    known.zone === wish.zone &&
    known.weight === wish.weight
  );
}

/** Who asks to be admitted. Requests are repeated by those who ask, and forgotten when they stop. */
export class Joins {
  readonly #limits: MembershipLimits;
  readonly #requests = new Map<CoreletId, Request>();

  constructor(limits: MembershipLimits) {
    this.#limits = limits;
  }

  get pending(): boolean {
    return this.#requests.size > 0;
  }

  /** False when it can't be kept: too many at a time, or from an incarnation that is gone. */
  note(join: Join, nowMs: number): boolean {
    const known = this.#requests.get(join.member.id);
    if (known === undefined && this.#requests.size >= joinsMax) return false;
    if (known !== undefined && join.incarnation < known.incarnation) return false;
    const { member, incarnation } = join;
    const steady = known?.incarnation === incarnation && nowMs - known.atMs <= this.#limits.joinSteadyMs;
    const steadySinceMs = steady ? known.steadySinceMs : nowMs;
    this.#requests.set(member.id, { member, incarnation, steadySinceMs, atMs: nowMs });
    return true;
  }

  prune(view: View, nowMs: number): void {
    for (const [id, request] of this.#requests) {
      if (isCurrent(view, request.member) || nowMs - request.atMs > this.#limits.joinLifeMs) this.#requests.delete(id);
    }
  }

  /** Since when it has asked without a break; undefined when it doesn't ask. */
  steadySinceMs(id: CoreletId, nowMs: number): number | undefined {
    const request = this.#requests.get(id);
    if (request === undefined) return undefined;
    return nowMs - request.atMs <= this.#limits.joinSteadyMs ? request.steadySinceMs : nowMs;
  }

  members(): readonly Member[] {
    return [...this.#requests.values()].map((request) => request.member);
  }
}

export interface Flap {
  readonly id: CoreletId;
  readonly score: number;
}

/** From here on a removal is one of several. */
const oftenScore = 1.5;

/**
 * Flapping is judged cumulatively, by identity: who is removed for silence once is taken back at once; with every further
 * removal the wait doubles, so that its data isn't moved each time; time forgives. Of the wait only that part counts during which it
 * was there without a break: who comes and goes all the while stays out. Each member judges by its own memory and clock, which is enough: the proposer's word is agreed upon.
 */
export class HoldDown {
  readonly #limits: MembershipLimits;
  readonly #flaps = new Map<CoreletId, { score: number; atMs: number }>();

  constructor(limits: MembershipLimits, restored: readonly Flap[], nowMs: number) {
    this.#limits = limits;
    for (const { id, score } of restored.slice(0, flapsMax)) this.#flaps.set(id, { score, atMs: nowMs });
  }

  removed(id: CoreletId, nowMs: number): void {
    const score = this.#score(id, nowMs) + 1;
    this.#flaps.delete(id);
    if (this.#flaps.size >= flapsMax) this.#dropLowest(nowMs);
    this.#flaps.set(id, { score, atMs: nowMs });
  }

  /** Milliseconds until it may be taken back, if it has been there since `steadySinceMs`; 0 or less: now. */
  waitMs(id: CoreletId, nowMs: number, steadySinceMs = Number.NEGATIVE_INFINITY): number {
    const flap = this.#flaps.get(id);
    if (flap === undefined) return 0;
    const { holdDownMs, holdDownAgainMs, holdDownMaxMs } = this.#limits;
    const once = flap.score < oftenScore;
    const holdMs = once ? holdDownMs : Math.min(holdDownMaxMs, holdDownAgainMs * 2 ** (flap.score - 2));
    return (once ? flap.atMs : Math.max(flap.atMs, steadySinceMs)) + holdMs - nowMs;
  }

  /** How often it was removed for silence, less what time forgave; 0 for one that never was, or long ago. */
  scoreOf(id: CoreletId, nowMs: number): number {
    return this.#score(id, nowMs);
  }

  /** For the register. Scores that time has nearly forgiven are left out. */
  flaps(nowMs: number): readonly Flap[] {
    return [...this.#flaps.keys()]
      .map((id) => ({ id, score: this.#score(id, nowMs) }))
      .filter((flap) => flap.score > 0.1);
  }

  #score(id: CoreletId, nowMs: number): number {
    const flap = this.#flaps.get(id);
    return flap === undefined ? 0 : flap.score * 2 ** (-(nowMs - flap.atMs) / this.#limits.holdDownHalfLifeMs);
  }

  #dropLowest(nowMs: number): void {
    let lowest: CoreletId | undefined;
    for (const id of this.#flaps.keys()) {
      if (lowest === undefined || this.#score(id, nowMs) < this.#score(lowest, nowMs)) lowest = id;
    }
    if (lowest !== undefined) this.#flaps.delete(lowest);
  }
}
