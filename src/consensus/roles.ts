import { assert } from '../base/assert.ts';
import type { Term } from '../base/ids.ts';
import { cancelCampaign, scheduleRetry } from './campaign-timer.ts';
import { voterIds } from './quorum.ts';
import { refuseReads } from './reads.ts';
import type { RaftState } from './state.ts';
import { cancelTransfer, successor } from './transfer.ts';
import { entryKinds, type MemberId } from './types.ts';

function dropLeadership<Body>(s: RaftState<Body>): void {
  refuseReads(s);
  s.followers.clear();
  cancelTransfer(s);
  s.holdAppends = false;
  s.uncommittedBytes = 0;
}

/** Follows `leader`, or nobody yet: then not knowing one is the standing cause for a campaign (design §10.13). */
export function becomeFollower<Body>(s: RaftState<Body>, term: Term, leader: MemberId | undefined): void {
  if (s.role === 'leader') dropLeadership(s);
  if (term > s.term) s.setTermAndVote(term, undefined);
  s.setRole('follower');
  s.votes.clear();
  s.setLeader(leader);
  if (leader === undefined) scheduleRetry(s);
  else cancelCampaign(s);
}

export function becomeLeader<Body>(s: RaftState<Body>, alone: boolean): void {
  assert(s.role === 'candidate', 'INV-3: only a candidate that won becomes leader');
  s.setRole('leader');
  s.setLeader(s.self);
  s.votes.clear();
  cancelCampaign(s);
  s.followers.clear();
  s.updateFollowers();
  s.holdAppends = alone;
  s.leaseGivenUp = false;
  s.readMs = Number.NEGATIVE_INFINITY;
  s.leaseAskedMs = Number.NEGATIVE_INFINITY;
  s.heldVotes.clear();
  s.uncommittedBytes = 0;
  for (let index = s.commitIndex + 1; index <= s.log.lastIndex; index++) {
    s.uncommittedBytes += s.log.entry(index)?.bytes ?? 0;
  }
  s.leadStartIndex = s.log.lastIndex + 1;
  s.append({ term: s.term, index: s.leadStartIndex, kind: entryKinds.noop, bytes: 0, body: undefined });
  if (!s.hasLiveQuorum) resign(s);
}

/**
 * Gives leadership up within the term. Nobody else would notice while this Corelet lives: so the best follower is asked to
 * campaign, and a pre-vote request, which no leader sends, tells the others that this one leads no more.
 */
export function resign<Body>(s: RaftState<Body>): void {
  assert(s.role === 'leader', 'only a leader resigns');
  const next = successor(s, undefined);
  if (next !== undefined && !s.holdAppends) s.send(next, { type: 'timeoutNow', term: s.term }, false);
  const { lastIndex, lastTerm } = s.log;
  for (const member of voterIds(s.configuration)) {
    if (member === s.self || !s.isAlive(member)) continue;
    s.send(member, { type: 'vote', term: s.term + 1, lastIndex, lastTerm, pre: true, transfer: false }, false);
  }
  becomeFollower(s, s.term, undefined);
}
