import { quorumReached } from './quorum.ts';
import type { RaftState } from './state.ts';
import type { MemberId, VoteRequest } from './types.ts';

// Leases (design §10.7). A follower that accepts a message of its leader promises to help nobody else into the leadership for
// `leaseMs` of its own clock. The leader counts that promise from when it *sent* the message, shortened by what two clocks
// may drift apart, and only of members that acknowledged an entry of its term. While a majority of every active voter set is
// bound so, no other leader can have committed anything: reads need not ask.

/** Requests that wait for the end of a promise, at a time. */
export const heldVotesMax = 64;

/** Part of a lease that a leader uses: its clock may be slow by the bound, and the follower's fast. */
export function usableLeaseMs(limits: { readonly leaseMs: number; readonly clockDriftPpmMax: number }): number {
  return limits.leaseMs * (1 - (2 * limits.clockDriftPpmMax) / 1_000_000);
}

/** Of `leaseMs`: a lease that arcs are read under is renewed from here on … */
const endingShare = 0.3;
/** … together with all that have no more than so much left: one message for many costs a peer one wake-up. */
const agingShare = 0.6;
/** A renewal is asked for again when no answer has come for so long, and by then the arc is still read. */
const renewalShare = 0.2;
/** An arc that wasn't read for so many leases is let go. */
const leasesUnreadMax = 2;

/** Leader: reads need no confirmation before that. */
function leaseEndsMs<Body>(s: RaftState<Body>): number {
  if (!s.limits.leases || s.leaseGivenUp || !s.ownTermCommitted) return Number.NEGATIVE_INFINITY;
  return quorumReached(s.configuration, s.supportOf) + usableLeaseMs(s.limits);
}

/** Leader: reads need no confirmation at `nowMs`. */
export function leaseHolds<Body>(s: RaftState<Body>): boolean {
  return s.nowMs < leaseEndsMs(s);
}

/**
 * Leader: whether it is read, and its lease, if it has one, should be renewed before a read must wait for that: `ending` soon,
 * `aging` when others' are.
 */
export function leaseNeed<Body>(s: RaftState<Body>): 'none' | 'aging' | 'ending' {
  const { leaseMs, leases } = s.limits;
  if (!leases || s.leaseGivenUp || !s.ownTermCommitted || s.nowMs - s.readMs > leasesUnreadMax * leaseMs) return 'none';
  if (s.nowMs - s.leaseAskedMs < renewalShare * leaseMs) return 'none';
  const leftMs = leaseEndsMs(s) - s.nowMs;
  if (leftMs < endingShare * leaseMs) return 'ending';
  return leftMs < agingShare * leaseMs ? 'aging' : 'none';
}

/** Leader: another member is about to be asked to campaign, with the voters' consent. No lease in this term any more. */
export function giveUpLease<Body>(s: RaftState<Body>): void {
  s.leaseGivenUp = true;
}

/** Follower: its leader spoke. */
export function promise<Body>(s: RaftState<Body>): void {
  if (!s.limits.leases) return;
  s.promisedUntilMs = s.nowMs + s.limits.leaseMs;
  // Whoever asked hears of the leader too, or asks again. Clearing an empty map would make a new one, with each append.
  if (s.heldVotes.size > 0) s.heldVotes.clear();
}

/** A promise made before a crash may still be relied upon: nothing on disk tells. */
export function promiseAfterRestart<Body>(s: RaftState<Body>): void {
  if (s.limits.leases && s.term > 0) s.promisedUntilMs = s.nowMs + s.limits.leaseMs;
}

/** The leader of this term has said itself that it leads no more. */
export function releasePromise<Body>(s: RaftState<Body>): void {
  s.promisedUntilMs = Number.NEGATIVE_INFINITY;
}

export function isPromised<Body>(s: RaftState<Body>): boolean {
  return s.nowMs < s.promisedUntilMs;
}

/** Answered when the promise has ended: a refusal would cost the candidate a whole round. The newest of each counts. */
export function holdVote<Body>(s: RaftState<Body>, from: MemberId, request: VoteRequest): void {
  if (s.heldVotes.size < heldVotesMax || s.heldVotes.has(from)) s.heldVotes.set(from, request);
}

export function heldVotesDueMs<Body>(s: RaftState<Body>): number {
  return s.heldVotes.size === 0 ? Number.POSITIVE_INFINITY : s.promisedUntilMs;
}
