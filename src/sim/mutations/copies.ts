import { cluster, story } from './hunts.ts';
import type { Mutation } from './types.ts';

const host = 'src/arc/host.ts';
const replica = 'src/arc/replica.ts';
const recovery = 'src/arc/recovery.ts';
const sender = 'src/arc/copy-sender.ts';
const receiver = 'src/arc/copy-receiver.ts';
const owner = 'src/arc/store-owner.ts';

const anyLifeSpeaks = {
  file: replica,
  find: 'const known = this.#peers.get(id);',
  replace:
    'const named = membersOf(this.core.configuration, id)[0];\n    if (named !== undefined) return named;\n    const known = this.#peers.get(id);',
};

/** Faults of copies, lives of replicas and restarts (design §10.4, §10.5, §10.12). */
export const copyMutations: readonly Mutation[] = [
  {
    name: 'copy-of-an-unknown-base',
    rule: '§10.4',
    what: 'a receiver without a state claims to have everything',
    edits: [
      {
        file: receiver,
        find: 'const base = replica.installed ? replica.core.appliedIndex : 0;',
        replace: 'const base = offer.index;',
      },
    ],
    hunt: cluster('moving', 6),
    expect: ['INV-1', 'INV-6', 'INV-2'],
  },
  {
    name: 'copy-without-tombstones',
    rule: '§10.6',
    what: 'a copy leaves out blocks that were trimmed',
    edits: [{ file: sender, find: 'if (position === 0) empty.push(i);', replace: 'if (position === 0) continue;' }],
    hunt: cluster('hot', 60),
    expect: ['INV-2', 'INV-6', 'INV-9'],
  },
  {
    name: 'scrub-leaves-what-it-finds',
    rule: '§10.8, INV-9',
    what: 'a scrub counts what is bad, and mends nothing',
    edits: [
      {
        file: 'src/arc/mending.ts',
        find: "if (bad.length === 0 || this.#stopped) return { blocks: held.length, bad: 0, result: 'mended' };",
        replace: "if (bad.length > -1) return { blocks: held.length, bad: bad.length, result: 'mended' };",
      },
    ],
    hunt: cluster('rotten', 40),
    expect: ['INV-9'],
  },
  {
    name: 'same-generation-again',
    rule: 'INV-10, §10.12',
    what: 'a replica that comes back has the generation that it had',
    edits: [
      {
        file: 'src/healing/healer.ts',
        find: 'const learner = memberId(id, this.#options.random.u32() || 1);',
        replace: 'const learner = memberId(id, 1);',
      },
    ],
    hunt: cluster('moving', 20),
    expect: ['INV-3', 'INV-9', 'INV-10'],
  },
  {
    name: 'word-of-another-life-counts',
    rule: 'INV-10, §10.12',
    what: "what a Corelet says counts as its named life's word, whichever life of it speaks",
    edits: [anyLifeSpeaks],
    hunt: story('09d-put-back-to-before-its-copy', 3),
    expect: ['INV-9', 'INV-10', 'STORY'],
  },
  {
    name: 'former-life-goes-on',
    rule: 'INV-10, §10.12',
    what: 'who forgot what it told answers, and votes, in the name of its former life, and that counts',
    edits: [
      anyLifeSpeaks,
      {
        file: host,
        find: 'const known = replica?.generation === message.toGeneration;',
        replace: 'const known = replica !== undefined;',
      },
      {
        file: replica,
        find: 'if (message.toGeneration !== this.generation) return; // INV-10: meant for another life of this replica',
        replace: '',
      },
      {
        file: host,
        find: "if (message.type === 'vote' && !replica.installed) {",
        replace: "if (message.type === 'vote' && message.term < 0) {",
      },
    ],
    hunt: story('09d-put-back-to-before-its-copy', 3),
    expect: ['INV-1', 'INV-2', 'INV-3', 'INV-10'],
  },
  {
    name: 'restart-applies-uncommitted',
    rule: 'INV-3, §10.5',
    what: 'a restart applies everything in the log',
    edits: [
      {
        file: recovery,
        find: 'this.applyUpTo(Math.min(stored.commit, stored.index));',
        replace: 'this.applyUpTo(stored.index);',
      },
    ],
    hunt: cluster('hot', 20),
    expect: ['INV-2', 'INV-3', 'INV-6'],
  },
  {
    name: 'truncation-not-durable',
    rule: '§10.5',
    what: 'truncating a suffix leaves no record',
    edits: [{ file: replica, find: 'store.appendTruncate(this.arc, truncateFrom);', replace: '' }],
    hunt: cluster('hot', 20),
    expect: ['ASSERT', 'INV-2', 'INV-3', 'INV-6'],
  },
  {
    name: 'truncation-not-replayed',
    rule: '§10.5',
    what: 'a restart takes truncated entries for entries',
    edits: [
      {
        file: recovery,
        find: 'this.#entries.length = Math.max(0, Math.min(this.#entries.length, fromIndex - this.#compactedIndex - 1));',
        replace: '',
      },
    ],
    hunt: cluster('hot', 20),
    expect: ['ASSERT', 'INV-2', 'INV-3', 'INV-6'],
  },
  {
    name: 'checkpoint-without-tail',
    rule: '§10.5, INV-1',
    what: 'a checkpoint leaves out what is not applied yet',
    edits: [{ file: owner, find: 'tail.push(storedShape(arc, entry, core.commitIndex));', replace: '' }],
    hunt: cluster('hot', 20),
    expect: ['ASSERT', 'INV-1', 'INV-2', 'INV-3'],
  },
];
