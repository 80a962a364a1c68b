import { assert } from '../base/assert.ts';
import type { CoreletId } from '../base/ids.ts';
import type { Member, View } from '../ring/view.ts';
import type { AcceptedValue, Ballot, Decision, ViewDelta, Vote } from '../wire/membership/types.ts';
import { foundingBallot } from './ballots.ts';
import { applyDelta, deltaKey, deltaOf } from './delta.ts';

/** All members may vote under it at once, below every classic ballot; it has no proposer. */
export const fastBallot: Ballot = foundingBallot;
/** Up to so many members go straight to classic rounds: there the quorum of three quarters is (nearly) all of them. */
const classicMembersMax = 6;
/** After a fast decision so many tell it to those who come and those who go. */
const tellersMax = 2;

/** So many of `members` must vote for the same view: any two such quorums and any majority have a member in common. */
export function fastQuorum(members: number): number {
  return members - Math.floor((members - 1) / 4);
}

export function votesFast(members: number): boolean {
  return members > classicMembersMax;
}

/** Of `told`, whom `self` tells of a fast decision: who voted counts for itself; those who could not, the first few tell. */
export function keepUncounted(
  told: Set<CoreletId>,
  self: CoreletId,
  before: readonly Member[],
  { view, removals }: Decision,
): void {
  const gone = new Set(removals.map((removal) => removal.id));
  const tells = view.members.slice(0, tellersMax).some((member) => member.id === self);
  for (const { id } of before) if (!tells || !gone.has(id)) told.delete(id);
  if (!tells) told.clear();
}

interface Count {
  readonly delta: ViewDelta;
  readonly voters: Set<CoreletId>;
}

/**
 * The votes of one instance under the fast ballot: Rapid's leaderless step (§4.3). Everybody sees the same stable cut,
 * mostly, so everybody votes for the same view, and whoever counts three quarters knows that it is decided.
 */
export class FastVotes {
  readonly #view: View;
  readonly #counts = new Map<string, Count>();
  readonly #voted = new Set<CoreletId>();

  constructor(view: View) {
    this.#view = view;
  }

  /** A member's one vote; what it says later about the same instance is the same, or wrong. The decision, if it is one now. */
  count(from: CoreletId, { delta }: Pick<Vote, 'delta'>): Decision | undefined {
    if (!votesFast(this.#view.members.length) || this.#voted.has(from)) return undefined;
    const key = deltaKey(delta);
    const count = this.#counts.get(key) ?? { delta, voters: new Set() };
    this.#counts.set(key, count);
    this.#voted.add(from);
    count.voters.add(from);
    if (count.voters.size < fastQuorum(this.#view.members.length)) return undefined;
    return applyDelta(this.#view, delta);
  }
}

/**
 * What a classic round must propose, after the promises of a majority: the value under the highest classic ballot; else
 * the one that may have been decided by fast votes (Lamport, "Fast Paxos", 2006, §2.2: so many of these promises carry it
 * that, with all those not heard, they would be a fast quorum); undefined when none can have been.
 */
export function valueToPropose(
  view: View,
  promises: ReadonlyMap<CoreletId, AcceptedValue | undefined>,
  compare: (a: Ballot, b: Ballot) => number,
): Decision | undefined {
  let highest: AcceptedValue | undefined;
  const fast = new Map<string, { readonly decision: Decision; count: number }>();
  for (const accepted of promises.values()) {
    if (accepted === undefined) continue;
    if (accepted.ballot.round > fastBallot.round) {
      if (highest === undefined || compare(accepted.ballot, highest.ballot) > 0) highest = accepted;
      continue;
    }
    const key = deltaKey(deltaOf(view, accepted.decision));
    const known = fast.get(key) ?? { decision: accepted.decision, count: 0 };
    known.count++;
    fast.set(key, known);
  }
  if (highest !== undefined) return highest.decision;
  const members = view.members.length;
  const enough = promises.size + fastQuorum(members) - members;
  const possible = [...fast.values()].filter(({ count }) => count >= enough);
  assert(possible.length <= 1, 'two values can not both have been decided');
  return possible[0]?.decision;
}
