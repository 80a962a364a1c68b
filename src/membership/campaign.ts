import type { CoreletId } from '../base/ids.ts';
import { majority, type View } from '../ring/view.ts';
import type { Decision } from '../wire/membership/types.ts';
import type { HoldDown, Joins } from './joins.ts';
import type { Agreement } from './agreement.ts';
import type { Losses } from './losses.ts';
import { successor } from './succession.ts';
import type { Tally } from './tally.ts';
import type { MembershipLimits, RandomSource } from './types.ts';
import type { Watch } from './watch.ts';
import type { Wishes } from './wishes.ts';

/** The longest that the last candidate waits for all those before it. */
const candidateDelayMaxMs = 1500;

/** What a proposal is made of. */
export interface Senses {
  readonly watch: Watch;
  readonly tally: Tally;
  readonly joins: Joins;
  readonly wishes: Wishes;
  readonly losses: Losses;
}

/** What to do now: vote for it under the fast ballot, or propose it in a classic round. */
export interface Move {
  readonly kind: 'vote' | 'propose';
  readonly decision: Decision;
}

interface Wanted {
  readonly decision: Decision;
  /** Members that are heard and stay. */
  readonly reachable: number;
  readonly settleMs: number;
  readonly stepsMs: number;
}

/**
 * When this Corelet votes or proposes, and what. Larger views try fast votes first: everybody at once. Where that can't
 * succeed, or hasn't, one proposes in a classic round. Candidates are the members that it hears and that nobody removes, in the order of
 * their ids: the first proposes at once, each further one a step later, so that duels are rare and a dead proposer costs
 * a step.
 */
export class Campaign {
  readonly #self: CoreletId;
  readonly #limits: MembershipLimits;
  readonly #random: RandomSource;
  readonly #watch: Watch;
  readonly #tally: Tally;
  readonly #joins: Joins;
  readonly #wishes: Wishes;
  readonly #losses: Losses;
  readonly #sittingOutMax: number;
  #needSinceMs: number | undefined;
  #jitterMs = 0;

  constructor(self: CoreletId, limits: MembershipLimits, random: RandomSource, senses: Senses, sittingOutMax: number) {
    this.#self = self;
    this.#limits = limits;
    this.#random = random;
    this.#watch = senses.watch;
    this.#tally = senses.tally;
    this.#joins = senses.joins;
    this.#wishes = senses.wishes;
    this.#losses = senses.losses;
    this.#sittingOutMax = sittingOutMax;
  }

  /** A new view: whatever is still needed is needed anew. */
  clear(): void {
    this.#needSinceMs = undefined;
  }

  /** What to do now, if anything. */
  consider(
    view: View,
    sparesWanted: number,
    holdDown: HoldDown,
    agreement: Agreement,
    nowMs: number,
  ): Move | undefined {
    this.#tally.forgetOld(nowMs);
    this.#joins.prune(view, nowMs);
    this.#wishes.prune(view, nowMs);
    const { openValue } = agreement;
    const busy = this.#tally.busy() || this.#joins.pending || this.#wishes.pending || openValue !== undefined;
    const wanted = busy ? this.#wanted(view, sparesWanted, holdDown, openValue, nowMs) : undefined;
    if (wanted === undefined) {
      this.#needSinceMs = undefined;
      return undefined;
    }
    if (this.#needSinceMs === undefined) {
      this.#needSinceMs = nowMs;
      this.#jitterMs = this.#random.fraction() * 0.2 * this.#limits.proposerStepMs;
    }
    const { decision, reachable, settleMs, stepsMs } = wanted;
    if (agreement.mayVote(reachable)) {
      return nowMs >= this.#needSinceMs + settleMs ? { kind: 'vote', decision } : undefined;
    }
    const fromMs =
      agreement.votedMs === undefined ? this.#needSinceMs + settleMs : agreement.votedMs + this.#limits.fastTimeoutMs;
    return nowMs >= fromMs + stepsMs && agreement.mayPropose(nowMs) ? { kind: 'propose', decision } : undefined;
  }

  #wanted(
    view: View,
    sparesWanted: number,
    holdDown: HoldDown,
    openValue: Decision | undefined,
    nowMs: number,
  ): Wanted | undefined {
    const ids = view.members.map((member) => member.id);
    const heard = new Set(ids.filter((id) => !this.#watch.accuses(id)));
    if (heard.size < majority(ids.length)) return undefined;
    const cut = this.#tally.cut(view, heard, this.#losses.floor(view, nowMs), nowMs);
    const gone = new Set(cut.map((removal) => removal.id));
    if (gone.has(this.#self)) return undefined;
    const ready = this.#joins
      .members()
      .filter(({ id }) => holdDown.waitMs(id, nowMs, this.#joins.steadySinceMs(id, nowMs)) <= 0);
    const changes = this.#wishes.ready(view, heard, this.#sittingOutMax).filter(({ id }) => !gone.has(id));
    // What was accepted may have been chosen somewhere, so it is brought to an end even when its cause is gone.
    const decision = successor(view, cut, ready, sparesWanted, changes) ?? openValue;
    if (decision === undefined) return undefined;
    const candidates = ids.filter((id) => heard.has(id) && !gone.has(id));
    const rank = candidates.indexOf(this.#self);
    const stepsMs = rank === 0 ? 0 : Math.min(candidateDelayMaxMs, rank * this.#limits.proposerStepMs + this.#jitterMs);
    // A cut has settled already; joiners that come together go into one view together.
    const settleMs = cut.length > 0 ? 0 : this.#limits.settleMs;
    return { decision, reachable: candidates.length, settleMs, stepsMs };
  }
}
