import { chaos, cluster, coreStory } from './hunts.ts';
import type { Mutation } from './types.ts';

const leases = 'src/consensus/leases.ts';
const election = 'src/consensus/election.ts';
const progress = 'src/consensus/progress.ts';
const quorum = 'quorumReached(s.configuration, s.supportOf) + usableLeaseMs(s.limits)';
const whoeverAnswered = { file: leases, find: quorum, replace: 's.leaseAskedMs + usableLeaseMs(s.limits)' };

/** Faults of reads that ask nobody (design §10.7, INV-2). */
export const leaseMutations: readonly Mutation[] = [
  {
    name: 'lease-without-majority',
    rule: '§10.7, INV-2',
    what: 'a leader that has asked for a lease has one, whoever answered',
    edits: [whoeverAnswered],
    hunt: cluster('deaf', 12),
    expect: ['INV-2'],
  },
  {
    name: 'lease-without-majority-in-the-core',
    rule: '§10.7, INV-2',
    what: 'the same, for the core alone',
    edits: [whoeverAnswered],
    hunt: chaos('reads', 300),
    expect: ['INV-2'],
  },
  {
    name: 'lease-of-one-set-while-joint',
    rule: '§10.7, §10.14',
    what: 'while joint, only the incoming voters have to promise',
    edits: [
      {
        file: leases,
        find: quorum,
        replace: 'quorumReached({ ...s.configuration, votersOutgoing: [] }, s.supportOf) + usableLeaseMs(s.limits)',
      },
    ],
    hunt: coreStory('lease-joint-old'),
    expect: ['STORY'],
  },
  {
    name: 'promise-not-kept',
    rule: '§10.7, INV-2',
    what: 'who promised to elect nobody votes all the same',
    edits: [{ file: leases, find: 'return s.nowMs < s.promisedUntilMs;', replace: 'return false;' }],
    hunt: chaos('reads', 300),
    expect: ['INV-2'],
  },
  {
    name: 'promise-not-kept-at-the-vote',
    rule: '§10.7, INV-2',
    what: 'who has promised since it was asked whether it would vote votes all the same',
    edits: [{ file: election, find: 'from !== s.leader && isPromised(s)) {', replace: 'false) {' }],
    hunt: coreStory('lease-late-vote'),
    expect: ['STORY'],
  },
  {
    name: 'campaign-in-the-leaders-name',
    rule: '§10.7, INV-2',
    what: 'a candidate says that the leader asked it to take over: nobody heeds a promise then',
    edits: [{ file: election, find: 'campaign(s, false);', replace: 'campaign(s, true);' }],
    hunt: coreStory('lease-late-vote'),
    expect: ['STORY'],
  },
  {
    name: 'promise-forgotten-in-a-restart',
    rule: '§10.7, INV-2',
    what: 'a voter that restarts votes at once, though it may have promised',
    edits: [
      {
        file: leases,
        find: 'if (s.limits.leases && s.term > 0) s.promisedUntilMs = s.nowMs + s.limits.leaseMs;',
        replace: '',
      },
    ],
    hunt: coreStory('lease-restart'),
    expect: ['STORY'],
  },
  {
    name: 'lease-as-long-as-the-promise',
    rule: '§10.7, INV-2',
    what: 'a leader uses the whole of a promise, though its clock may be slow and the other fast',
    edits: [
      {
        file: leases,
        find: 'return limits.leaseMs * (1 - (2 * limits.clockDriftPpmMax) / 1_000_000);',
        replace: 'return limits.leaseMs;',
      },
    ],
    hunt: coreStory('lease-drift'),
    expect: ['STORY'],
  },
  {
    name: 'lease-counted-from-the-answer',
    rule: '§10.7, INV-2',
    what: 'a promise counts from when its answer comes, not from when it was asked for',
    edits: [
      {
        file: progress,
        find: 'this.supportedSince(ring[3 * this.#oldest + 2] as number);',
        replace: 'this.supportedSince(nowMs);',
      },
    ],
    hunt: coreStory('lease-late-answer'),
    expect: ['STORY'],
  },
  {
    name: 'lease-by-an-append-sent-again',
    rule: '§10.7, INV-2',
    what: 'the answer to an append that was sent twice counts from the second time, though it may answer the first',
    edits: [
      { file: progress, find: 'lastIndex > this.#newestSent ? nowMs : Number.NEGATIVE_INFINITY', replace: 'nowMs' },
      {
        file: 'src/consensus/replication.ts',
        find: '    p.noteSent(lastIndex);\n    p.awaiting = true;',
        replace: '    p.sent(lastIndex, 0, s.nowMs);\n    p.awaiting = true;',
      },
    ],
    hunt: coreStory('lease-resent'),
    expect: ['STORY'],
  },
  {
    name: 'lease-kept-while-handing-over',
    rule: '§10.7, INV-2',
    what: 'a leader that has asked another one to campaign goes on reading alone',
    edits: [{ file: leases, find: 's.leaseGivenUp = true;', replace: '' }],
    hunt: coreStory('lease-transfer'),
    expect: ['STORY'],
  },
];
