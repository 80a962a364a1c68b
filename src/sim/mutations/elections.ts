import { chaos, cluster, coreStory } from './hunts.ts';
import type { Mutation } from './types.ts';

const quorum = 'src/consensus/quorum.ts';
const state = 'src/consensus/state.ts';
const election = 'src/consensus/election.ts';
const following = 'src/consensus/following.ts';
const reads = 'src/consensus/reads.ts';
const raft = 'src/consensus/raft.ts';
const outbox = 'src/consensus/outbox.ts';
const winByOne = {
  file: quorum,
  find: 'const needed = Math.floor(members.length / 2) + 1;',
  replace: 'const needed = Math.max(1, Math.floor(members.length / 2));',
};

/** Faults of elections and of reads without the log (INV-2, INV-3, design §10.7, §10.13). */
export const electionMutations: readonly Mutation[] = [
  {
    name: 'vote-majority-off-by-one',
    rule: 'INV-3 election safety',
    what: 'one vote less than a majority wins an election',
    edits: [winByOne],
    hunt: cluster('hot', 8),
    expect: ['INV-2', 'INV-3'],
  },
  {
    name: 'vote-majority-off-by-one-in-the-core',
    rule: 'INV-3 election safety',
    what: 'one vote less than a majority wins an election',
    edits: [winByOne],
    hunt: chaos('elections', 100),
    expect: ['INV-3'],
  },
  {
    name: 'term-and-vote-not-persisted',
    rule: 'INV-3, §10.13',
    what: 'term and vote are forgotten in a crash',
    edits: [
      { file: state, find: 'this.outbox.hardStateChanged = true;', replace: 'this.outbox.hardStateChanged = false;' },
    ],
    hunt: cluster('hot', 8),
    expect: ['INV-3', 'INV-10'],
  },
  {
    name: 'term-and-vote-not-persisted-unasserted',
    rule: 'INV-3',
    what: 'the same without the assert at the start',
    edits: [
      { file: state, find: 'this.outbox.hardStateChanged = true;', replace: 'this.outbox.hardStateChanged = false;' },
      {
        file: state,
        find: 'this.log.lastIndex === restored.compactedIndex || this.log.lastTerm <= this.term,',
        replace: 'true,',
      },
    ],
    hunt: chaos('elections', 1000),
    expect: ['INV-3'],
  },
  {
    name: 'vote-not-persisted',
    rule: 'INV-3, INV-10',
    what: 'the term survives a crash, the vote does not',
    edits: [
      {
        file: outbox,
        find: '{ term: hardState.term, vote: hardState.vote }',
        replace: '{ term: hardState.term, vote: undefined }',
      },
    ],
    hunt: chaos('unsynced', 3000),
    expect: ['INV-3'],
  },
  {
    name: 'vote-told-before-sync',
    rule: 'INV-3, §10.13',
    what: 'a vote is told before it is durable',
    edits: [
      {
        file: election,
        find: "s.send(from, { type: 'voteReply', term: s.term, pre: false, granted }, true);",
        replace: "s.send(from, { type: 'voteReply', term: s.term, pre: false, granted }, false);",
      },
    ],
    hunt: chaos('reads', 1000),
    expect: ['INV-3'],
  },
  {
    name: 'own-vote-counted-before-sync',
    rule: 'INV-3',
    what: 'a candidate asks for votes before its own is durable',
    edits: [
      {
        file: election,
        find: 'if (member !== s.self) s.send(member, request, !pre);',
        replace: 'if (member !== s.self) s.send(member, request, false);',
      },
    ],
    hunt: chaos('reads', 6000),
    expect: ['INV-3'],
  },
  {
    name: 'two-votes-in-a-term',
    rule: 'INV-3 election safety',
    what: 'a voter votes for everybody who asks',
    edits: [{ file: election, find: '    (s.vote === undefined || s.vote === from) &&\n', replace: '' }],
    hunt: chaos('elections', 200),
    expect: ['INV-3'],
  },
  {
    name: 'vote-without-complete-log',
    rule: 'INV-3 leader completeness',
    what: 'a voter votes for a candidate whose log lacks what it has itself',
    edits: [
      {
        file: election,
        find: '    (s.vote === undefined || s.vote === from) &&\n    hasCompleteLog(s, request);',
        replace: '    (s.vote === undefined || s.vote === from);',
      },
      {
        file: election,
        find: '(request.transfer || !believesInLeader(s)) && hasCompleteLog(s, request);',
        replace: '(request.transfer || !believesInLeader(s));',
      },
    ],
    hunt: cluster('hot', 8),
    expect: ['INV-1', 'INV-2', 'INV-3'],
  },
  {
    name: 'read-unconfirmed',
    rule: '§10.7, INV-2',
    what: 'a leader answers reads without asking whether it still leads',
    edits: [{ file: reads, find: '    if (batch.context > confirmed) break;\n', replace: '' }],
    hunt: cluster('deaf', 12),
    expect: ['INV-2'],
  },
  {
    name: 'read-unconfirmed-in-the-core',
    rule: '§10.7, INV-2',
    what: 'the same, for the core alone',
    edits: [{ file: reads, find: '    if (batch.context > confirmed) break;\n', replace: '' }],
    hunt: chaos('reads', 300),
    expect: ['INV-2'],
  },
  {
    name: 'read-before-own-term',
    rule: '§10.7, INV-2',
    what: 'reads are answered before an entry of the own term is committed',
    edits: [
      {
        file: reads,
        find: 'if (s.readsUnasked.length === 0 || !s.ownTermCommitted) return;',
        replace: 'if (s.readsUnasked.length === 0) return;',
      },
    ],
    hunt: chaos('reads', 100),
    expect: ['INV-2'],
  },
  {
    name: 'read-confirmed-by-an-older-question',
    rule: '§10.7, INV-2',
    what: 'a read is confirmed by an answer to a question that was asked before it came',
    edits: [
      {
        file: reads,
        find: '  s.readContext += 1;\n',
        replace: '  if (s.readBatches.length === 0) s.readContext += 1;\n',
      },
    ],
    hunt: chaos('reads', 4000),
    expect: ['INV-2'],
  },
  {
    name: 'read-confirmed-in-another-term',
    rule: '§10.7, INV-2',
    what: 'a member that knows a newer term still confirms reads of an older one',
    edits: [
      {
        file: following,
        find: "s.send(from, { type: 'readProbeReply', term: s.term, context: probe.context }, false);",
        replace: "s.send(from, { type: 'readProbeReply', term: probe.term, context: probe.context }, false);",
      },
    ],
    hunt: chaos('reads', 1000),
    expect: ['INV-2'],
  },
  {
    name: 'reads-of-a-former-leadership-count',
    rule: 'INV-8, INV-9',
    what: 'reads that waited when leadership was lost take room for ever',
    edits: [{ file: reads, find: '  s.readsPending = 0;\n', replace: '' }],
    hunt: coreStory('read-leading-again'),
    expect: ['STORY'],
  },
  {
    name: 'incomplete-copy-leads',
    rule: '§10.4',
    what: 'a replica whose copy is not complete campaigns',
    edits: [
      {
        file: election,
        find: "return s.role !== 'leader' && s.eligible && s.selfIsVoter;",
        replace: "return s.role !== 'leader' && s.selfIsVoter;",
      },
    ],
    hunt: coreStory('ineligible'),
    expect: ['STORY', 'INV-3', 'INV-9'],
  },
  {
    name: 'refused-one-goes-first',
    rule: '§10.13',
    what: "a candidate that another one refused stands in that one's way",
    edits: [{ file: election, find: 'if (s.votes.get(from) === false) return false;', replace: '' }],
    hunt: coreStory('duel-refused'),
    expect: ['STORY', 'INV-9'],
  },
  {
    name: 'check-quorum-dropped',
    rule: '§3 check-quorum, INV-9',
    what: 'a leader that hears no majority goes on',
    edits: [{ file: raft, find: 'else if (s.selfIsVoter) resign(s);', replace: '' }],
    hunt: coreStory('check-quorum'),
    expect: ['STORY', 'INV-3', 'INV-9'],
  },
];
