import { assert } from '../base/assert.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { LogIndex } from '../base/ids.ts';
import { heardFromLeader } from './campaign-timer.ts';
import { promise } from './leases.ts';
import { becomeFollower } from './roles.ts';
import type { RaftState } from './state.ts';
import { type AppendRequest, entryKinds, type MemberId, type ReadProbe } from './types.ts';

/** Accepts `from` as the leader of `term`, which is not below the own one. */
function follow<Body>(s: RaftState<Body>, from: MemberId, term: number): void {
  if (term === s.term && s.leader === from && s.role === 'follower') {
    heardFromLeader(s);
    promise(s);
    return;
  }
  assert(term > s.term || s.leader === undefined, `INV-3: two leaders in term ${term}: ${s.leader} and ${from}`);
  becomeFollower(s, term, from);
  promise(s);
}

function checkShape<Body>(request: AppendRequest<Body>): void {
  let term = request.prevTerm;
  let index = request.prevIndex;
  for (const entry of request.entries) {
    index += 1;
    if (entry.index !== index || entry.term < term || entry.term > request.term) {
      throw new RemoteProtocolError(`entry ${entry.index} of term ${entry.term} where ${index} was due`);
    }
    if ((entry.kind === entryKinds.configuration) !== (entry.configuration !== undefined)) {
      throw new RemoteProtocolError(`entry ${entry.index}: configuration and kind disagree`);
    }
    term = entry.term;
  }
}

/** Skips what is here already, drops what contradicts, adds the rest. Returns the last index that now equals the leader's. */
function merge<Body>(s: RaftState<Body>, request: AppendRequest<Body>): LogIndex {
  for (const entry of request.entries) {
    if (entry.index <= s.log.compactedIndex) continue;
    if (entry.index <= s.log.lastIndex) {
      if (s.log.termAt(entry.index) === entry.term) continue;
      s.truncateFrom(entry.index);
    }
    s.append(entry);
  }
  return request.prevIndex + request.entries.length;
}

/** The highest index that can still match, so that the leader skips whole terms. */
function refuse<Body>(s: RaftState<Body>, from: MemberId, request: AppendRequest<Body>): void {
  const index = s.log.highestWithTermUpTo(request.prevIndex - 1, request.prevTerm, s.commitIndex);
  const hintTerm = s.log.termAt(index) ?? 0;
  s.send(from, { type: 'appendReply', term: s.term, matched: false, index, hintTerm }, false);
}

export function onAppend<Body>(s: RaftState<Body>, from: MemberId, request: AppendRequest<Body>): void {
  if (request.term < s.term) {
    // A leader that was overtaken learns it from the term.
    s.send(from, { type: 'appendReply', term: s.term, matched: false, index: s.commitIndex, hintTerm: 0 }, false);
    return;
  }
  checkShape(request);
  follow(s, from, request.term);
  // What was compacted is committed, and matches by leader completeness.
  const matches = request.prevIndex < s.log.compactedIndex || s.log.termAt(request.prevIndex) === request.prevTerm;
  if (!matches) {
    assert(request.prevIndex > s.commitIndex, `INV-3: committed entry ${request.prevIndex} differs from the leader's`);
    refuse(s, from, request);
    return;
  }
  const matchedIndex = merge(s, request);
  const commitIndex = Math.min(request.commit, matchedIndex);
  if (commitIndex > s.commitIndex) s.advanceCommitTo(commitIndex);
  s.outbox.replaceMatchedReply(from, s.term, Math.max(matchedIndex, s.commitIndex));
}

/** The answer says: at this moment I know of no newer term (design §10.7). */
export function onReadProbe<Body>(s: RaftState<Body>, from: MemberId, probe: ReadProbe): void {
  if (probe.term >= s.term) follow(s, from, probe.term);
  s.send(from, { type: 'readProbeReply', term: s.term, context: probe.context }, false);
}
