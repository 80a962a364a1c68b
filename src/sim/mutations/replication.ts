import { chaos, cluster, coreStory } from './hunts.ts';
import type { Mutation } from './types.ts';

const quorum = 'src/consensus/quorum.ts';
const state = 'src/consensus/state.ts';
const following = 'src/consensus/following.ts';
const replication = 'src/consensus/replication.ts';
const outbox = 'src/consensus/outbox.ts';
const raft = 'src/consensus/raft.ts';
const reconfiguration = 'src/consensus/reconfiguration.ts';
const commitByOne = {
  file: quorum,
  find: 'return scratch[Math.floor(count / 2)] as number;',
  replace: 'return scratch[Math.max(0, Math.floor(count / 2) - 1)] as number;',
};
const jointCommit = {
  file: quorum,
  find: 'return isJoint(configuration) ? Math.min(incoming, majorityReached(configuration.votersOutgoing, valueOf)) : incoming;',
  replace: 'return incoming;',
};
const jointVotes = {
  file: quorum,
  find: 'const outgoing = majorityOutcome(configuration.votersOutgoing, votes);',
  replace: "const outgoing: VoteOutcome = 'won' as VoteOutcome;",
};
const truncateAssert = {
  file: state,
  find: 'assert(index > this.commitIndex, `INV-3: committed entry ${index} truncated, commit index ${this.commitIndex}`);',
  replace: '',
};
const truncateBehindAppend = {
  file: following,
  find: '  return request.prevIndex + request.entries.length;',
  replace: `  const end = request.prevIndex + request.entries.length;
  if (s.log.lastIndex > end && end >= s.log.compactedIndex) s.truncateFrom(end + 1);
  return end;`,
};

/** Faults of the replicated log and of its configurations (INV-1, INV-3, design §10.14). */
export const replicationMutations: readonly Mutation[] = [
  {
    name: 'commit-majority-off-by-one',
    rule: 'INV-1',
    what: 'one voter less than a majority commits an entry',
    edits: [commitByOne],
    hunt: chaos('storm', 100),
    expect: ['INV-1', 'INV-3'],
  },
  {
    name: 'commit-majority-off-by-one-in-a-cluster',
    rule: 'INV-1',
    what: 'the same, as hosts see it',
    edits: [commitByOne],
    hunt: cluster('hot', 8),
    expect: ['INV-1', 'INV-2', 'INV-3', 'INV-6'],
  },
  {
    name: 'append-acknowledged-before-sync',
    rule: 'INV-1, §10.11',
    what: 'a follower acknowledges entries that are not durable yet',
    edits: [
      { file: outbox, find: 'this.send(to, fresh, true);', replace: 'this.send(to, fresh, false);' },
      { file: outbox, find: 'message: fresh, afterSync: true }', replace: 'message: fresh, afterSync: false }' },
    ],
    hunt: chaos('storm', 100),
    expect: ['INV-1', 'INV-3'],
  },
  {
    name: 'leader-counts-itself-before-sync',
    rule: 'INV-1',
    what: 'a leader counts itself among the holders of what it has not synced',
    edits: [
      {
        file: state,
        find: 'member === this.self ? this.persistedIndex :',
        replace: 'member === this.self ? this.log.lastIndex :',
      },
    ],
    hunt: chaos('storm', 100),
    expect: ['INV-1', 'INV-3'],
  },
  {
    name: 'commit-old-term-by-counting',
    rule: 'INV-3 (figure 8)',
    what: 'an entry of an earlier term is committed by counting its holders',
    edits: [{ file: replication, find: ' || s.log.termAt(index) !== s.term) return;', replace: ') return;' }],
    hunt: chaos('reads', 3000),
    expect: ['INV-1', 'INV-3'],
  },
  {
    name: 'truncate-behind-append',
    rule: 'INV-3',
    what: 'a late append drops what follows it, though it is acknowledged; the assert is there',
    edits: [truncateBehindAppend],
    hunt: chaos('storm', 100),
    expect: ['INV-3'],
  },
  {
    name: 'truncate-behind-append-unasserted',
    rule: 'INV-3',
    what: 'the same without the assert: a committed suffix is truncated',
    edits: [truncateBehindAppend, truncateAssert],
    hunt: chaos('storm', 100),
    expect: ['INV-1', 'INV-3'],
  },
  {
    name: 'append-without-matching-term',
    rule: 'INV-3 log matching',
    what: 'entries are taken behind an entry of another term',
    edits: [
      {
        file: following,
        find: 's.log.termAt(request.prevIndex) === request.prevTerm;',
        replace: 's.log.termAt(request.prevIndex) !== undefined;',
      },
    ],
    hunt: chaos('storm', 300),
    expect: ['INV-1', 'INV-3'],
  },
  {
    name: 'commit-beyond-what-matched',
    rule: 'INV-3 state machine safety',
    what: "a follower commits its own suffix up to the leader's commit index",
    edits: [
      {
        file: following,
        find: 'const commitIndex = Math.min(request.commit, matchedIndex);',
        replace: 'const commitIndex = Math.min(request.commit, s.log.lastIndex);',
      },
    ],
    hunt: chaos('storm', 1500),
    expect: ['INV-3'],
  },
  {
    name: 'replaced-entry-counts-as-persisted',
    rule: 'INV-1',
    what: 'the sync of an entry that was replaced since counts for the one in its place',
    edits: [
      {
        file: raft,
        find: 'if (index >= s.log.firstIndex && s.log.termAt(index) !== term) return;',
        replace: '',
      },
    ],
    hunt: chaos('reads', 4000),
    expect: ['INV-1', 'INV-3'],
  },
  {
    name: 'reply-of-an-older-term-counts',
    rule: 'INV-1',
    what: 'an acknowledgement given to an earlier leadership counts in this one',
    edits: [
      {
        file: raft,
        find: 'if (this.#currentTerm(message.term)) onAppendReply(s, from, message);',
        replace: 'this.#currentTerm(message.term); onAppendReply(s, from, message);',
      },
    ],
    hunt: chaos('unsynced', 3000),
    expect: ['INV-1', 'INV-3'],
  },
  {
    name: 'joint-phase-ignored',
    rule: 'INV-1, §10.14',
    what: 'while joint, only the incoming voters are counted',
    edits: [jointCommit, jointVotes],
    hunt: chaos('storm', 300),
    expect: ['INV-1', 'INV-3'],
  },
  {
    name: 'joint-votes-ignored',
    rule: 'INV-3',
    what: 'while joint, only the incoming voters are asked for a majority of votes',
    edits: [jointVotes],
    hunt: chaos('storm', 4000),
    expect: ['INV-1', 'INV-3'],
  },
  {
    name: 'joint-left-early',
    rule: 'INV-3, §10.14',
    what: 'a joint configuration is left before it is committed',
    edits: [
      {
        file: reconfiguration,
        find: 'if (!s.ownTermCommitted || s.configurations.activeIndex > s.commitIndex) return;',
        replace: 'if (!s.ownTermCommitted) return;',
      },
    ],
    hunt: chaos('storm', 1000),
    expect: ['INV-1', 'INV-3'],
  },
  {
    name: 'joint-skipped',
    rule: 'INV-3',
    what: 'voters change in one step, without a joint phase, by two at once',
    edits: [
      {
        file: reconfiguration,
        find: '  appendConfiguration(s, next);\n  return',
        replace: '  appendConfiguration(s, { ...next, votersOutgoing: [] });\n  return',
      },
    ],
    hunt: chaos('storm', 1500),
    expect: ['INV-1', 'INV-3'],
  },
  {
    name: 'configuration-survives-truncation',
    rule: 'INV-3',
    what: 'a configuration whose entry was truncated stays in force',
    edits: [
      {
        file: state,
        find: 'if (this.configurations.truncateFrom(index)) this.configurationChanged();',
        replace: '',
      },
    ],
    hunt: chaos('elections', 3000),
    expect: ['INV-1', 'INV-3', 'INV-9'],
  },
  {
    name: 'learner-counted',
    rule: 'INV-1',
    what: 'a learner counts as one of the holders that commit an entry',
    edits: [
      {
        file: quorum,
        find: 'const incoming = majorityReached(configuration.voters, valueOf);',
        replace: `const everyone = [...configuration.voters, ...configuration.learners].map(valueOf).sort((a, b) => b - a);
  const incoming = everyone[Math.floor(configuration.voters.length / 2)] ?? 0;`,
      },
    ],
    hunt: chaos('storm', 200),
    expect: ['INV-1', 'INV-3'],
  },
  {
    name: 'copy-replaces-acknowledged-entries',
    rule: 'INV-3, §10.4',
    what: 'a copied state is taken though the log here is ahead of it',
    edits: [
      {
        file: raft,
        find: 'return index > this.#s.commitIndex && this.#s.log.termAt(index) !== term;',
        replace: 'return index > this.#s.commitIndex;',
      },
    ],
    hunt: chaos('elections', 2000),
    expect: ['INV-1', 'INV-3'],
  },
  {
    name: 'no-retry-of-appends',
    rule: 'INV-9',
    what: 'an append that was lost is never sent again',
    edits: [{ file: replication, find: 'if (s.nowMs >= p.resendAtMs) p.resend(s.log.lastIndex);', replace: '' }],
    hunt: coreStory('resend'),
    expect: ['STORY', 'INV-3', 'INV-9'],
  },
];
