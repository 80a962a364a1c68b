import { voterIds } from './quorum.ts';
import type { RaftState } from './state.ts';
import type { ElectionCause, MemberId } from './types.ts';

const attemptDoublingsMax = 8;

/** Whether the leader we know is a reason to refuse others (Ongaro §9.6): known, alive, and nothing speaks against it. */
export function believesInLeader<Body>(s: RaftState<Body>): boolean {
  if (s.role === 'leader') return true;
  return s.leader !== undefined && !s.leaderDoubted && s.isAlive(s.leader);
}

/**
 * Candidates take turns: place among those that may live, then a little chance, so that the first usually wins alone. The
 * leader that is to be replaced takes no place.
 */
function turnMs<Body>(s: RaftState<Body>): number {
  let place = 0;
  for (const member of voterIds(s.configuration)) {
    if (member === s.self) break;
    if (member !== s.leader && s.isAlive(member)) place += 1;
  }
  return s.limits.candidateStepMs * (place + s.random.u32() / 0x2_0000_0000);
}

function campaignAt<Body>(s: RaftState<Body>, atMs: number): void {
  s.campaignUnscheduled = false;
  s.campaignAtMs = Math.max(atMs, s.abstainUntilMs, s.promisedUntilMs);
}

/** After a campaign without result, or while no leader is known: exponential, with jitter of a quarter (design §10.13). */
export function scheduleRetry<Body>(s: RaftState<Body>): void {
  const doublings = Math.min(s.campaignAttempts, attemptDoublingsMax);
  const delayMs = Math.min(s.limits.campaignRetryMs * 2 ** doublings, s.limits.campaignRetryMaxMs);
  campaignAt(s, s.nowMs + delayMs * (1 + s.random.u32() / 0x4_0000_0000) + turnMs(s));
}

/** For a cause that just arose: in this member's turn, unless it is already going to. */
export function scheduleTurn<Body>(s: RaftState<Body>): void {
  const atMs = Math.max(s.nowMs, s.promisedUntilMs) + turnMs(s);
  if (s.campaignUnscheduled || atMs < s.campaignAtMs) campaignAt(s, atMs);
}

export function cancelCampaign<Body>(s: RaftState<Body>): void {
  s.campaignUnscheduled = false;
  s.campaignAtMs = Number.POSITIVE_INFINITY;
  s.campaignAttempts = 0;
}

/** Notes a cause against the leader that a follower knows, and takes this member's turn to replace it. */
export function raiseCause<Body>(s: RaftState<Body>, cause: ElectionCause): void {
  if (s.role !== 'follower') return;
  if (cause === 'no-leader') {
    if (s.leader === undefined) scheduleTurn(s);
    return;
  }
  if (cause === 'complaint' && believesInLeader(s)) {
    askLeader(s);
    return;
  }
  s.leaderDoubted = true;
  if (cause === 'view') s.leaderDropped = true;
  scheduleTurn(s);
}

/** One gateway's word is no reason yet: the leader may be busy, or only out of that one's reach. It is asked to show itself. */
function askLeader<Body>(s: RaftState<Body>): void {
  if (s.leader === undefined || s.complaintDueMs !== Number.POSITIVE_INFINITY) return;
  s.complaintDueMs = s.nowMs + s.limits.leaderProofMs;
  demandAssertion(s, s.leader);
}

/** A pre-vote request, which a leader answers by asserting itself. */
export function demandAssertion<Body>(s: RaftState<Body>, leader: MemberId): void {
  const { lastIndex, lastTerm } = s.log;
  s.send(leader, { type: 'vote', term: s.term + 1, lastIndex, lastTerm, pre: true, transfer: false }, false);
}

/** The leader that was complained about stayed silent. */
export function complaintDue<Body>(s: RaftState<Body>): void {
  if (s.nowMs < s.complaintDueMs) return;
  s.complaintDueMs = Number.POSITIVE_INFINITY;
  s.leaderDoubted = true;
  scheduleTurn(s);
}

/** The leader spoke: the causes against it are void, but for the view's. */
export function heardFromLeader<Body>(s: RaftState<Body>): void {
  s.leaderProofDueMs = Number.POSITIVE_INFINITY;
  s.complaintDueMs = Number.POSITIVE_INFINITY;
  if (s.leaderDropped) return;
  s.leaderDoubted = false;
  cancelCampaign(s);
}
