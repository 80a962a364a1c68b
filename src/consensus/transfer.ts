import { giveUpLease } from './leases.ts';
import { isJoint } from './quorum.ts';
import type { RaftState } from './state.ts';
import type { MemberId } from './types.ts';

/** The live voter with the longest log, as the leader knows; `notBefore` is taken only when there is no other. */
export function successor<Body>(s: RaftState<Body>, notBefore: MemberId | undefined): MemberId | undefined {
  let best: MemberId | undefined;
  let bestMatch = -1;
  for (const member of s.configuration.voters) {
    const p = s.followers.get(member);
    if (p === undefined || !p.alive || p.matchIndex <= bestMatch || member === notBefore) continue;
    best = member;
    bestMatch = p.matchIndex;
  }
  return best ?? notBefore;
}

/** Asks `to` to take over as soon as it holds the whole log (Ongaro §3.10); proposals are refused until then. */
export function startTransfer<Body>(s: RaftState<Body>, to: MemberId, withinMs: number): void {
  giveUpLease(s);
  s.transferTo = to;
  s.transferDeadlineMs = s.nowMs + withinMs;
  continueTransfer(s);
}

/** The target may hold the whole log now. */
export function continueTransfer<Body>(s: RaftState<Body>): void {
  const to = s.transferTo;
  if (to === undefined || s.followers.get(to)?.matchIndex !== s.log.lastIndex) return;
  s.send(to, { type: 'timeoutNow', term: s.term }, false);
}

export function cancelTransfer<Body>(s: RaftState<Body>): void {
  s.transferTo = undefined;
  s.transferDeadlineMs = Number.POSITIVE_INFINITY;
}

/**
 * A leader that was removed hands over and leads until it hears of a newer term. Were it to go at once and the word of it
 * lost, the voters would believe in it as long as its Corelet lives, and it may not campaign to tell them otherwise.
 */
export function handOver<Body>(s: RaftState<Body>): void {
  const to = successor(s, s.transferTo);
  if (to !== undefined) startTransfer(s, to, s.limits.campaignRetryMs);
}

/** A committed configuration goes without this leader, and nobody is asked to take over yet. */
export function handOverIfRemoved<Body>(s: RaftState<Body>): void {
  const committed = s.ownTermCommitted && s.configurations.activeIndex <= s.commitIndex;
  if (committed && !isJoint(s.configuration) && !s.selfIsVoter && s.transferTo === undefined) handOver(s);
}

/** The target didn't take over: proposals are welcome again, or another is asked. */
export function transferFailed<Body>(s: RaftState<Body>): void {
  if (s.selfIsVoter) cancelTransfer(s);
  else handOver(s);
}
