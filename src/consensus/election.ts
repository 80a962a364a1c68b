import { assert } from '../base/assert.ts';
import {
  believesInLeader,
  cancelCampaign,
  demandAssertion,
  raiseCause,
  scheduleRetry,
  scheduleTurn,
} from './campaign-timer.ts';
import { holdVote, isPromised, releasePromise } from './leases.ts';
import { voteOutcome, voterIds } from './quorum.ts';
import { becomeFollower, becomeLeader } from './roles.ts';
import type { RaftState } from './state.ts';
import type { MemberId, TimeoutNow, VoteReply, VoteRequest } from './types.ts';

/** A replica that isn't a voter, or whose copy isn't complete, never campaigns (design §10.4). */
export function mayCampaign<Body>(s: RaftState<Body>): boolean {
  return s.role !== 'leader' && s.eligible && s.selfIsVoter;
}

/** The campaign timer has run out: a turn to campaign, if there is still a cause. */
export function campaignDue<Body>(s: RaftState<Body>): void {
  takeTurn(s);
  const waits = s.campaignAtMs >= s.nowMs && s.campaignAtMs !== Number.POSITIVE_INFINITY;
  // Not knowing a leader is a cause that stands (design §10.13): no event may come any more that would be another one.
  assert(s.leader !== undefined || !mayCampaign(s) || waits, 'INV-9: who knows no leader has its next turn ahead');
}

/** Asks first whether a campaign could be won (pre-vote, Ongaro §9.6). */
function takeTurn<Body>(s: RaftState<Body>): void {
  if (!mayCampaign(s) || (s.role === 'follower' && believesInLeader(s))) {
    cancelCampaign(s);
    return;
  }
  if (isPromised(s)) {
    cancelCampaign(s);
    scheduleTurn(s);
    return;
  }
  s.campaignAttempts += 1;
  scheduleRetry(s);
  if (!s.hasLiveQuorum) return; // pointless until more are alive, which sets the timer anew
  s.setRole('preCandidate');
  s.preVotesAskedMs = s.nowMs;
  s.setLeader(undefined);
  requestVotes(s, true, false);
}

/** A real campaign: a new term, this member's vote, and everybody else asked once that is durable. */
function campaign<Body>(s: RaftState<Body>, transfer: boolean): void {
  s.setRole('candidate');
  s.setLeader(undefined);
  s.setTermAndVote(s.term + 1, s.self);
  scheduleRetry(s);
  requestVotes(s, false, transfer);
}

function requestVotes<Body>(s: RaftState<Body>, pre: boolean, transfer: boolean): void {
  s.votes.clear();
  s.votes.set(s.self, true);
  const { lastIndex, lastTerm } = s.log;
  const request: VoteRequest = { type: 'vote', term: pre ? s.term + 1 : s.term, lastIndex, lastTerm, pre, transfer };
  for (const member of voterIds(s.configuration)) {
    if (member !== s.self) s.send(member, request, !pre);
  }
  countVotes(s);
}

function countVotes<Body>(s: RaftState<Body>): void {
  const outcome = voteOutcome(s.configuration, s.votes);
  if (outcome === 'open') return;
  if (outcome === 'lost') {
    becomeFollower(s, s.term, undefined);
  } else if (s.role === 'preCandidate') {
    campaign(s, false);
  } else {
    becomeLeader(s, s.votes.size === 1);
  }
}

/** The election restriction (Ongaro §3.6.1): leader completeness rests on it. */
function hasCompleteLog<Body>(s: RaftState<Body>, request: VoteRequest): boolean {
  const { lastIndex, lastTerm } = s.log;
  return request.lastTerm > lastTerm || (request.lastTerm === lastTerm && request.lastIndex >= lastIndex);
}

/**
 * A member asks for pre-votes while we believe in a leader. Its Corelet may live and yet lead no more (it was removed, or
 * its resignation was lost): it is asked to show itself, which a leader does when it gets a pre-vote request. One that
 * stays silent until the next pre-vote is believed in no longer.
 */
function demandProof<Body>(s: RaftState<Body>): void {
  if (s.leader === undefined || s.leader === s.self) return;
  if (s.nowMs >= s.leaderProofDueMs) {
    raiseCause(s, 'lapse');
  } else if (s.leaderProofDueMs === Number.POSITIVE_INFINITY) {
    s.leaderProofDueMs = s.nowMs + s.limits.campaignRetryMs;
    demandAssertion(s, s.leader);
  }
}

/**
 * Two that ask each other at the same moment would both be granted, then vote for themselves, and the arc would wait for the next
 * round. Of equal logs the one that the configuration names first goes first, for as long as its own question is new and the
 * other hasn't refused it: that one may have heard of the leader's end a moment later, and stands now by what it asks.
 */
function goesFirst<Body>(s: RaftState<Body>, from: MemberId, request: VoteRequest): boolean {
  if (s.role !== 'preCandidate' || s.nowMs >= s.preVotesAskedMs + s.limits.campaignRetryMs) return false;
  if (s.votes.get(from) === false) return false;
  const { lastIndex, lastTerm } = s.log;
  if (request.lastTerm !== lastTerm || request.lastIndex !== lastIndex) return false;
  const order = voterIds(s.configuration);
  return order.indexOf(s.self) < order.indexOf(from);
}

/** Another one's campaign was welcomed: it is given the time to win. */
function stepAside<Body>(s: RaftState<Body>): void {
  if (s.role === 'preCandidate') becomeFollower(s, s.term, undefined);
  else if (s.role === 'follower') scheduleRetry(s);
}

/** Never changes term or vote. */
function onPreVote<Body>(s: RaftState<Body>, from: MemberId, request: VoteRequest): void {
  const newer = request.term > s.term;
  // Whoever asks for votes leads no more.
  if (newer && from === s.leader) {
    becomeFollower(s, s.term, undefined);
    releasePromise(s);
  }
  if (newer && !request.transfer && believesInLeader(s)) demandProof(s);
  const welcome = newer && (request.transfer || !believesInLeader(s)) && hasCompleteLog(s, request);
  const granted = welcome && (request.transfer || !goesFirst(s, from, request));
  if (granted && !request.transfer && isPromised(s)) {
    holdVote(s, from, request);
    return;
  }
  if (granted && !request.transfer) stepAside(s);
  s.send(from, { type: 'voteReply', term: granted ? request.term : s.term, pre: true, granted }, false);
  if (granted || s.role !== 'leader') return;
  // It knows no leader: tell it who leads, or learn from its answer that its term is newer.
  const progress = s.followers.get(from);
  if (progress !== undefined) progress.assertNow = true;
}

export function onVoteRequest<Body>(s: RaftState<Body>, from: MemberId, request: VoteRequest): void {
  if (request.pre) {
    onPreVote(s, from, request);
    return;
  }
  if (request.term > s.term) {
    // A removed or half-deaf member doesn't disturb a good leader (Ongaro §4.2.3).
    if (!request.transfer && from !== s.leader && believesInLeader(s)) return;
    if (!request.transfer && from !== s.leader && isPromised(s)) {
      holdVote(s, from, request);
      return;
    }
    becomeFollower(s, request.term, undefined);
  }
  const granted =
    request.term === s.term &&
    s.leader === undefined &&
    (s.vote === undefined || s.vote === from) &&
    hasCompleteLog(s, request);
  if (granted) {
    if (s.vote === undefined) s.setTermAndVote(s.term, from);
    scheduleRetry(s); // leave it time to win
  }
  s.send(from, { type: 'voteReply', term: s.term, pre: false, granted }, true);
}

/** The promise has ended, and the leader hasn't spoken since they asked. */
export function answerHeldVotes<Body>(s: RaftState<Body>): void {
  if (s.heldVotes.size === 0 || isPromised(s)) return;
  const held = [...s.heldVotes];
  s.heldVotes.clear();
  for (const [from, request] of held) onVoteRequest(s, from, request);
}

export function onVoteReply<Body>(s: RaftState<Body>, from: MemberId, reply: VoteReply): void {
  if (reply.term > s.term && !(reply.pre && reply.granted)) {
    becomeFollower(s, reply.term, undefined);
    return;
  }
  if (reply.pre) {
    if (s.role !== 'preCandidate' || (reply.granted && reply.term !== s.term + 1)) return;
  } else if (s.role !== 'candidate' || reply.term !== s.term) {
    return;
  }
  if (!s.votes.has(from)) s.votes.set(from, reply.granted);
  countVotes(s);
}

/** The leader asks this member to take over at once: no pre-vote, and nobody refuses for the leader's sake (Ongaro §3.10). */
export function onTimeoutNow<Body>(s: RaftState<Body>, from: MemberId, message: TimeoutNow): void {
  if (message.term < s.term) {
    // A removed leader hears from nobody else that it was replaced.
    s.send(from, { type: 'appendReply', term: s.term, matched: false, index: s.commitIndex, hintTerm: 0 }, false);
    return;
  }
  if (message.term !== s.term || from !== s.leader) return;
  startTransferCampaign(s);
}

function startTransferCampaign<Body>(s: RaftState<Body>): void {
  if (mayCampaign(s) && s.hasLiveQuorum) campaign(s, true);
}
