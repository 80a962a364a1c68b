import type { CoreletId } from '../base/ids.ts';
import type { Ballot } from '../wire/membership/types.ts';

/** Below 0, 0 or above 0, as `a` is lower than, equal to or higher than `b`. */
export function compareBallots(a: Ballot, b: Ballot): number {
  if (a.round !== b.round) return a.round - b.round;
  return a.proposer < b.proposer ? -1 : a.proposer > b.proposer ? 1 : 0;
}

/** Of the founding view, which nobody had to agree on. */
export const foundingBallot: Ballot = { round: 0, proposer: '0'.repeat(32) as CoreletId };
