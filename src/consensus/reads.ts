import type { LogIndex } from '../base/ids.ts';
import { quorumReached, voterIds } from './quorum.ts';
import type { RaftState } from './state.ts';
import type { MemberId, ReadProbe, ReadProbeReply } from './types.ts';

const two32 = 0x1_0000_0000;

/** Linearizable reads without the log (Ongaro §6.4; design §10.7): confirmed by a majority that was asked after the read came. */
export function askRead<Body>(
  s: RaftState<Body>,
  token: number,
): { readonly ok: true } | { readonly ok: false; readonly code: 'NOT_LEADER' | 'BUSY' } {
  if (s.role !== 'leader') return { ok: false, code: 'NOT_LEADER' };
  if (s.readsPending >= s.limits.pendingReadsMax) return { ok: false, code: 'BUSY' };
  s.readsPending += 1;
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
  s.readResendAtMs = Number.POSITIVE_INFINITY;
}

function probe<Body>(s: RaftState<Body>): void {
  const message: ReadProbe = { type: 'readProbe', term: s.term, context: s.readContext % two32 };
  for (const member of voterIds(s.configuration)) {
    if (member !== s.self && s.isAlive(member)) s.send(member, message, false);
  }
  s.readResendAtMs = s.nowMs + s.limits.resendMs;
}

/** At the end of a batch of events: all reads that came in it share one context. */
export function flushReads<Body>(s: RaftState<Body>): void {
  if (s.readsUnasked.length === 0 || !s.ownTermCommitted) return;
  s.readContext += 1;
  s.readBatches.push({ context: s.readContext, index: s.commitIndex, tokens: s.readsUnasked });
  s.readsUnasked = [];
  confirmReads(s);
  if (s.readBatches.length > 0) probe(s);
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
  if (done > 0) s.readBatches.splice(0, done);
  if (s.readBatches.length === 0) s.readResendAtMs = Number.POSITIVE_INFINITY;
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
  confirmReads(s);
}

export function resendReads<Body>(s: RaftState<Body>): void {
  if (s.nowMs < s.readResendAtMs) return;
  probe(s);
}
