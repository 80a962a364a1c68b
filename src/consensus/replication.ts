import { RemoteProtocolError } from '../base/errors.ts';
import type { LogIndex } from '../base/ids.ts';
import type { Progress } from './progress.ts';
import { quorumReached } from './quorum.ts';
import { configurationCommitted } from './reconfiguration.ts';
import type { RaftState } from './state.ts';
import { continueTransfer, transferFailed } from './transfer.ts';
import type { AppendReply, AppendRequest, Entry, MemberId } from './types.ts';

/** An idle follower learns the last commit index after this at the latest; a busy one with its next append. */
export const commitDelayMs = 250;

/** At the end of a batch of events: everything that each follower has room for. */
export function flushAppends<Body>(s: RaftState<Body>): void {
  if (s.holdAppends) return;
  // The last append made in this flush: followers in step share it.
  let built: AppendRequest<Body> | undefined;
  for (const p of s.followers.values()) {
    if (p.alive) built = flushFollower(s, p, built);
  }
}

function flushFollower<Body>(
  s: RaftState<Body>,
  p: Progress,
  built: AppendRequest<Body> | undefined,
): AppendRequest<Body> | undefined {
  let last = built;
  switch (p.state) {
    case 'probe':
      if (!p.awaiting) return sendAppend(s, p, last) ?? last;
      break;
    case 'replicate':
      while (p.nextIndex <= s.log.lastIndex && p.hasRoom) {
        const sent = sendAppend(s, p, last);
        if (sent === undefined) return last;
        last = sent;
      }
      break;
    case 'copying':
      break;
  }
  if (p.assertNow) sendAssertion(s, p);
  return last;
}

/** What was sent; undefined when the entries before `nextIndex` are gone from the log: the follower needs a copy of the state. */
function sendAppend<Body>(
  s: RaftState<Body>,
  p: Progress,
  built: AppendRequest<Body> | undefined,
): AppendRequest<Body> | undefined {
  const prevIndex = p.nextIndex - 1;
  const prevTerm = s.log.termAt(prevIndex);
  if (prevTerm === undefined) {
    p.becomeCopying();
    s.outbox.needCopy(p.member);
    return undefined;
  }
  let message = built;
  if (message === undefined || message.prevIndex !== prevIndex) {
    const entries = s.log.slice(p.nextIndex, s.limits.appendBytesMax);
    message = { type: 'append', term: s.term, prevIndex, prevTerm, commit: s.commitIndex, entries };
  }
  s.send(p.member, message, false);
  const lastIndex = prevIndex + message.entries.length;
  told(s, p, lastIndex);
  if (p.state === 'probe') {
    p.noteSent(lastIndex);
    p.awaiting = true;
  } else {
    p.nextIndex = lastIndex + 1;
    p.sent(lastIndex, bytesOf(message.entries), s.nowMs);
  }
  p.expectAnswer(s.nowMs);
  return message;
}

function bytesOf<Body>(entries: readonly Entry<Body>[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.bytes;
  return bytes;
}

/** An append without entries, at a place that matches: who leads, and what is committed. */
function sendAssertion<Body>(s: RaftState<Body>, p: Progress): void {
  const held = s.log.termAt(p.matchIndex) !== undefined;
  const prevIndex = held ? p.matchIndex : 0;
  const prevTerm = held ? (s.log.termAt(prevIndex) ?? 0) : 0;
  s.send(p.member, { type: 'append', term: s.term, prevIndex, prevTerm, commit: s.commitIndex, entries: [] }, false);
  told(s, p, prevIndex);
  if (p.state === 'copying') return;
  p.awaiting = true;
  p.expectAnswer(s.nowMs);
}

function told<Body>(s: RaftState<Body>, p: Progress, lastIndex: LogIndex): void {
  p.commitSent = Math.max(p.commitSent, Math.min(s.commitIndex, lastIndex));
  p.commitDueMs = Number.POSITIVE_INFINITY;
  p.assertNow = false;
}

/** Commits what is durable on a majority of every active voter set, if it is of this term (Ongaro §3.6.2; INV-1, INV-3). */
export function advanceCommit<Body>(s: RaftState<Body>): void {
  const index = quorumReached(s.configuration, s.matchOf);
  if (index <= s.commitIndex || s.log.termAt(index) !== s.term) return;
  const before = s.commitIndex;
  s.advanceCommitTo(index);
  // It leads provably now, or its members are agreed on: what may be told only then is news, and gateways wait for it.
  const { activeIndex } = s.configurations;
  if (before < s.leadStartIndex || (before < activeIndex && activeIndex <= index)) s.outbox.changed = true;
  for (const p of s.followers.values()) scheduleCommit(s, p);
  configurationCommitted(s);
}

/** Nothing is on the way to this follower that could carry the commit index: send it alone, a little later. */
function scheduleCommit<Body>(s: RaftState<Body>, p: Progress): void {
  if (p.state !== 'replicate' || !p.alive || p.inflightMessages > 0 || p.commitDueMs !== Number.POSITIVE_INFINITY)
    return;
  if (p.commitSent < Math.min(s.commitIndex, p.matchIndex)) p.commitDueMs = s.nowMs + commitDelayMs;
}

export function onAppendReply<Body>(s: RaftState<Body>, from: MemberId, reply: AppendReply): void {
  const p = s.followers.get(from);
  if (s.role !== 'leader' || p === undefined || p.ended) return;
  if (!reply.matched) {
    refused(s, p, reply);
    return;
  }
  if (reply.index > s.log.lastIndex) {
    throw new RemoteProtocolError(`${from} acknowledges ${reply.index}, the log ends at ${s.log.lastIndex}`);
  }
  p.matched(reply.index, s.nowMs);
  if (p.state === 'probe' || (p.state === 'copying' && s.log.termAt(p.matchIndex) !== undefined)) {
    p.becomeReplicate(s.log.lastIndex);
    // It may vote soon: whoever plans the next step waits for this.
    if (s.configuration.learners.includes(from)) s.outbox.changed = true;
  }
  advanceCommit(s);
  scheduleCommit(s, p);
  continueTransfer(s);
}

function refused<Body>(s: RaftState<Body>, p: Progress, reply: AppendReply): void {
  // A refusal that says less than was acknowledged, or that wouldn't move the probe back, is an old one.
  if (p.state === 'copying' || reply.index < p.matchIndex) return;
  const agreed = s.log.highestWithTermUpTo(reply.index, reply.hintTerm, p.matchIndex);
  if (agreed + 1 >= p.nextIndex) return;
  p.becomeProbe(agreed + 1);
}

/** Its state was copied up to `index` and is durable there: go on with the log. */
export function onCopied<Body>(s: RaftState<Body>, member: MemberId, index: LogIndex): void {
  const p = s.followers.get(member);
  if (s.role !== 'leader' || p === undefined) return;
  p.matched(index, s.nowMs);
  p.noteSent(s.log.lastIndex); // what the copy brought
  p.becomeProbe(p.matchIndex + 1);
  advanceCommit(s);
}

export function tickLeader<Body>(s: RaftState<Body>): void {
  for (const p of s.followers.values()) {
    if (s.nowMs >= p.resendAtMs) p.resend(s.log.lastIndex);
    if (s.nowMs < p.commitDueMs) continue;
    p.commitDueMs = Number.POSITIVE_INFINITY;
    if (p.inflightMessages === 0 && p.commitSent < s.commitIndex) p.assertNow = true;
  }
  if (s.nowMs >= s.transferDeadlineMs) transferFailed(s);
}

export function leaderDeadlineMs<Body>(s: RaftState<Body>): number {
  let deadlineMs = Math.min(s.transferDeadlineMs, s.readResendAtMs, s.readHedgeAtMs);
  for (const p of s.followers.values()) deadlineMs = Math.min(deadlineMs, p.resendAtMs, p.commitDueMs);
  return deadlineMs;
}
