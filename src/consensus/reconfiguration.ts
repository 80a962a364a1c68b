import { assert } from '../base/assert.ts';
import { isJoint, memberIds, membersMax } from './quorum.ts';
import type { RaftState } from './state.ts';
import { handOverIfRemoved } from './transfer.ts';
import { type Configuration, entryKinds, type MemberId, type ProposeResult } from './types.ts';

/** Bytes that an entry takes in a message besides its body, roughly; for the bounds of uncommitted bytes. */
const configurationBytes = 256;

function sameSet(a: readonly MemberId[], b: readonly MemberId[]): boolean {
  return a.length === b.length && a.every((member) => b.includes(member));
}

function without(a: readonly MemberId[], b: readonly MemberId[]): MemberId[] {
  return a.filter((member) => !b.includes(member));
}

/** Stops on a step that the caller must not propose: it could lose a quorum or split one (Ongaro §4.3; design §10.14). */
export function assertLegalStep(now: Configuration, next: Configuration): void {
  const { voters, votersOutgoing, learners } = next;
  assert(voters.length > 0, 'INV-3: a configuration without voters');
  for (const set of [voters, votersOutgoing, learners]) {
    assert(new Set(set).size === set.length, 'INV-3: a member twice in a configuration');
  }
  assert(memberIds(next).length <= membersMax, `INV-8: over ${membersMax} members`);
  assert(!learners.some((learner) => voters.includes(learner)), 'INV-3: a voter is a learner too');
  assert(!learners.some((learner) => votersOutgoing.includes(learner)), 'INV-3: an outgoing voter is a learner too');
  if (isJoint(now)) {
    assert(!isJoint(next) && sameSet(voters, now.voters), 'INV-3: a joint configuration can only be left');
    return;
  }
  if (!isJoint(next)) {
    assert(sameSet(voters, now.voters), 'INV-3: voters change only through a joint configuration');
    return;
  }
  assert(sameSet(votersOutgoing, now.voters), 'INV-3: the outgoing voters are not the present ones');
  assert(without(voters, now.voters).length <= 1, 'more than one voter comes in one change');
  assert(without(now.voters, voters).length <= 1, 'more than one voter goes in one change');
}

function appendConfiguration<Body>(s: RaftState<Body>, next: Configuration): void {
  s.uncommittedBytes += configurationBytes;
  s.append({
    term: s.term,
    index: s.log.lastIndex + 1,
    kind: entryKinds.configuration,
    bytes: configurationBytes,
    configuration: next,
    body: undefined,
  });
}

/** One change at a time: the one before is committed, a joint one is left first, and this term has committed something. */
export function proposeConfiguration<Body>(s: RaftState<Body>, next: Configuration): ProposeResult {
  if (s.role !== 'leader') return { ok: false, code: 'NOT_LEADER' };
  if (s.transferTo !== undefined) return { ok: false, code: 'TRANSFERRING' };
  const pending = s.configurations.activeIndex > s.commitIndex || !s.ownTermCommitted;
  const leaving = isJoint(s.configuration) && !isJoint(next);
  if (pending || (isJoint(s.configuration) && !leaving)) return { ok: false, code: 'CONFIGURATION_PENDING' };
  assertLegalStep(s.configuration, next);
  appendConfiguration(s, next);
  return { ok: true, index: s.log.lastIndex };
}

/** After the commit index moved: leaves a joint configuration by itself, and hands over when it was removed (Ongaro §4.2.2, §4.3). */
export function configurationCommitted<Body>(s: RaftState<Body>): void {
  if (!s.ownTermCommitted || s.configurations.activeIndex > s.commitIndex) return;
  const { voters, learners } = s.configuration;
  if (isJoint(s.configuration)) appendConfiguration(s, { voters, votersOutgoing: [], learners });
  else handOverIfRemoved(s);
}
