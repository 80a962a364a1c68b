import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RemoteProtocolError } from '../../../src/base/errors.ts';
import { defaultRaftLimits, RaftCore } from '../../../src/consensus/raft.ts';
import type { RaftLimits } from '../../../src/consensus/types.ts';

const trio = { voters: ['a', 'b', 'c'], votersOutgoing: [], learners: [] };
const fresh = {
  hardState: { term: 0, vote: undefined },
  configuration: trio,
  compactedIndex: 0,
  compactedTerm: 0,
  entries: [],
  commitIndex: 0,
  appliedIndex: 0,
};

function core(limits: Partial<RaftLimits>, restored: object = {}): RaftCore<string> {
  return new RaftCore<string>({
    self: 'a',
    limits: { ...defaultRaftLimits, ...limits },
    random: { u32: () => 0 },
    restored: { ...fresh, ...restored },
  });
}

/** A leader of term 1 to whom b has answered the first probe. */
function leading(limits: Partial<RaftLimits>): RaftCore<string> {
  const raft = core(limits);
  raft.cause('no-leader', 0);
  raft.tick(1);
  raft.takeEffects();
  raft.receive('b', { type: 'voteReply', term: 1, pre: true, granted: true }, 1);
  raft.takeEffects();
  raft.receive('b', { type: 'voteReply', term: 1, pre: false, granted: true }, 1);
  raft.takeEffects();
  raft.persisted(1, 1);
  raft.receive('b', { type: 'appendReply', term: 1, matched: true, index: 1, hintTerm: 0 }, 1);
  raft.takeEffects();
  assert.equal(raft.role, 'leader');
  assert.equal(raft.commitIndex, 1);
  return raft;
}

test('INV-8: a follower that answers nothing holds no more than the window, however much is written', () => {
  const raft = leading({ inflightBytesMax: 1000, inflightMessagesMax: 4, appendBytesMax: 300 });
  let sentBytes = 0;
  let messages = 0;
  for (let i = 0; i < 100; i++) {
    raft.propose(`op${i}`, 100, 2);
    for (const { to, message } of raft.takeEffects()?.messages ?? []) {
      if (to !== 'b' || message.type !== 'append') continue;
      messages += 1;
      for (const entry of message.entries) sentBytes += entry.bytes;
    }
  }
  assert.equal(messages, 4);
  assert.ok(sentBytes <= 1000 + 300, `${sentBytes} bytes on the way`);
});

test('INV-8: a leader that cannot commit refuses at the door, by entries and by bytes', () => {
  const byEntries = leading({ uncommittedEntriesMax: 10 });
  for (let i = 0; i < 10; i++) assert.ok(byEntries.propose('x', 1, 2).ok);
  assert.deepEqual(byEntries.propose('x', 1, 2), { ok: false, code: 'BUSY' });
  const byBytes = leading({ uncommittedBytesMax: 100 });
  assert.ok(byBytes.propose('larger than the limit, but alone', 200, 2).ok);
  assert.deepEqual(byBytes.propose('x', 1, 2), { ok: false, code: 'BUSY' });
  const byReads = leading({ pendingReadsMax: 2 });
  assert.ok(byReads.readIndex(1, 2).ok && byReads.readIndex(2, 2).ok);
  assert.deepEqual(byReads.readIndex(3, 2), { ok: false, code: 'BUSY' });
});

test('proposals and reads of one batch leave as one message per follower', () => {
  const raft = leading({});
  for (let i = 0; i < 8; i++) {
    raft.propose(`op${i}`, 10, 2);
    raft.readIndex(i, 2);
  }
  const toB = (raft.takeEffects()?.messages ?? []).filter(({ to }) => to === 'b');
  assert.deepEqual(toB.map(({ message }) => message.type).toSorted(), ['append', 'readProbe']);
});

test('INV-3: a crash between a copied state and its term leaves the term of the state', () => {
  const raft = core({}, { compactedIndex: 9, compactedTerm: 5, commitIndex: 9, appliedIndex: 9 });
  assert.equal(raft.term, 5);
  assert.deepEqual(raft.takeEffects()?.hardState, { term: 5, vote: undefined });
});

test('a message that no correct peer sends changes nothing', () => {
  const raft = core({});
  const gap = { term: 1, index: 7, kind: 2, bytes: 1, body: 'x' } as const;
  const append = { type: 'append', term: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: [gap] } as const;
  assert.throws(() => raft.receive('b', append, 1), RemoteProtocolError);
  assert.equal(raft.lastIndex, 0);
  assert.equal(raft.term, 0);
  const lead = leading({});
  const beyond = { type: 'appendReply', term: 1, matched: true, index: 99, hintTerm: 0 } as const;
  assert.throws(() => lead.receive('b', beyond, 2), RemoteProtocolError);
  assert.equal(lead.commitIndex, 1);
});

test('INV-3: an illegal step of the configuration stops its proposer', () => {
  const raft = leading({});
  assert.throws(() => raft.proposeConfiguration({ voters: ['a', 'b'], votersOutgoing: [], learners: [] }, 2), /INV-3/);
  assert.throws(() => raft.proposeConfiguration({ ...trio, learners: ['b'] }, 2), /INV-3/);
  const two = { voters: ['a', 'd', 'e'], votersOutgoing: ['a', 'b', 'c'], learners: [] };
  assert.throws(() => raft.proposeConfiguration(two, 2), /more than one/);
  assert.equal(raft.lastIndex, 1);
});
