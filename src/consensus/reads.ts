import { assert } from '../base/assert.ts';
import type { LogIndex } from '../base/ids.ts';
import { leaseHolds, leaseNeed } from './leases.ts';
import type { Progress } from './progress.ts';
import { hasQuorum, quorumReached, voterIds } from './quorum.ts';
import { type RaftState, readContextsKept } from './state.ts';
import type { MemberId, ReadProbe, ReadProbeReply } from './types.ts';

const two32 = 0x1_0000_0000;

/**
 * Linearizable reads without the log (Ongaro §6.4; design §10.7): under a lease at once, else confirmed by a majority that
 * was asked after the read came.
 */
export function askRead<Body>(
  s: RaftState<Body>,
  token: number,
): { readonly ok: true } | { readonly ok: false; readonly code: 'NOT_LEADER' | 'BUSY' } {
  if (s.role !== 'leader') return { ok: false, code: 'NOT_LEADER' };
  if (s.readsPending >= s.limits.pendingReadsMax) return { ok: false, code: 'BUSY' };
  s.readsPending += 1;
  s.readMs = s.nowMs;
  s.readsUnasked.push(token);
  return { ok: true };
}

/** Leadership is lost: nobody confirms these any more. */
export function refuseReads<Body>(s: RaftState<Body>): void {
  for (const batch of s.readBatches) for (const token of batch.tokens) s.outbox.readRefused(token);
  for (const token of s.readsUnasked) s.outbox.readRefused(token);
  s.readBatches = [];
  s.readsUnasked = [];
  s.readsPending = 0;
  asked(s);
}

/** Nothing is open: nobody has to be asked again. */
function asked<Body>(s: RaftState<Body>): void {
  s.readResendAtMs = Number.POSITIVE_INFINITY;
  s.readHedgeAtMs = Number.POSITIVE_INFINITY;
}

function byAnswer(a: Progress, b: Progress): number {
  return a.readAnswerMs - b.readAnswerMs;
}

/** The quickest live voters that make a majority with the leader; all live voters when `all`, or when fewer wouldn't do. */
function whomToAsk<Body>(s: RaftState<Body>, all: boolean): readonly Progress[] {
  const live: Progress[] = [];
  for (const member of voterIds(s.configuration)) {
    const progress = s.followers.get(member);
    if (progress !== undefined && s.isAlive(member)) live.push(progress);
  }
  if (all) return live;
  live.sort(byAnswer);
  for (let count = 1; count < live.length; count++) {
    const some = live.slice(0, count);
    if (hasQuorum(s.configuration, (member) => member === s.self || some.some((each) => each.member === member))) {
      return some;
    }
  }
  return live;
}

function ask<Body>(s: RaftState<Body>, all: boolean): void {
  const message: ReadProbe = { type: 'readProbe', term: s.term, context: s.readContext % two32 };
  for (const { member } of whomToAsk(s, all)) s.send(member, message, false);
  s.leaseAskedMs = s.nowMs;
}

function beginContext<Body>(s: RaftState<Body>): void {
  s.readContext += 1;
  s.readAskedMs[s.readContext % readContextsKept] = s.nowMs;
}

/** Leader: asks for its lease anew, for reads to come. An answer that is lost costs nothing: the next read asks itself. */
export function renewLease<Body>(s: RaftState<Body>): void {
  if (leaseNeed(s) === 'none') return;
  beginContext(s);
  ask(s, false);
}

function probe<Body>(s: RaftState<Body>, all: boolean): void {
  ask(s, all);
  s.readHedgeAtMs = all ? Number.POSITIVE_INFINITY : Math.min(s.readHedgeAtMs, s.nowMs + s.limits.readHedgeMs);
  s.readResendAtMs = s.nowMs + s.limits.resendMs;
}

/** At the end of a batch of events: all reads that came in it share one context. */
export function flushReads<Body>(s: RaftState<Body>): void {
  if (s.readsUnasked.length === 0 || !s.ownTermCommitted) return;
  if (leaseHolds(s)) {
    for (const token of s.readsUnasked) s.outbox.readReady(token, s.commitIndex);
    s.readsPending -= s.readsUnasked.length;
    s.readsUnasked = [];
    return;
  }
  beginContext(s);
  s.readBatches.push({ context: s.readContext, index: s.commitIndex, tokens: s.readsUnasked });
  s.readsUnasked = [];
  confirmReads(s);
  if (s.readBatches.length > 0) probe(s, false);
}

/** Contexts only grow, so a confirmation of one confirms all before it. */
export function confirmReads<Body>(s: RaftState<Body>): void {
  if (s.readBatches.length === 0) return;
  const confirmed = quorumReached(
    s.configuration,
    (member: MemberId): LogIndex => (member === s.self ? s.readContext : (s.followers.get(member)?.readContext ?? 0)),
  );
  let done = 0;
  for (const batch of s.readBatches) {
    if (batch.context > confirmed) break;
    for (const token of batch.tokens) s.outbox.readReady(token, batch.index);
    s.readsPending -= batch.tokens.length;
    done += 1;
  }
  assert(done === 0 || s.ownTermCommitted, "INV-2: a read before an entry of the leader's own term is committed");
  if (done > 0) s.readBatches.splice(0, done);
  if (s.readBatches.length === 0) asked(s);
}

/** `reply.term` is the leader's own. */
export function onReadProbeReply<Body>(s: RaftState<Body>, from: MemberId, reply: ReadProbeReply): void {
  const progress = s.followers.get(from);
  if (s.role !== 'leader' || progress === undefined) return;
  // Contexts travel as u32: the distance from the newest one gives the whole number back.
  const behind = ((((s.readContext % two32) - reply.context) % two32) + two32) % two32;
  const context = s.readContext - behind;
  if (context <= progress.readContext) return;
  progress.readContext = context;
  if (behind < readContextsKept) {
    const askedMs = s.readAskedMs[context % readContextsKept] as number;
    progress.supportedSince(askedMs);
    progress.readAnswerMs += (s.nowMs - askedMs - progress.readAnswerMs) / 4;
  }
  confirmReads(s);
}

/** The quickest weren't quick, or an answer was lost. */
export function resendReads<Body>(s: RaftState<Body>): void {
  if (s.nowMs >= s.readHedgeAtMs || s.nowMs >= s.readResendAtMs) probe(s, true);
}
