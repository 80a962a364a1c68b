import { cluster, story } from './hunts.ts';
import type { Mutation } from './types.ts';

const replica = 'src/arc/replica.ts';
const state = 'src/arc/state.ts';
const operations = 'src/arc/operations.ts';
const patches = 'src/arc/patches.ts';
const applyAll = {
  file: replica,
  find: 'if (effects.commitIndex > this.core.appliedIndex && this.installed) this.#apply(effects.commitIndex);',
  replace: 'if (this.core.lastIndex > this.core.appliedIndex && this.installed) this.#apply(this.core.lastIndex);',
};

/** Faults of the state machine: applying, windows, sub-block writes (design §10.1, §10.3, §10.9). */
export const operationMutations: readonly Mutation[] = [
  {
    name: 'apply-before-commit',
    rule: 'INV-3',
    what: 'entries are applied when they are appended',
    edits: [applyAll],
    hunt: cluster('hot', 8),
    expect: ['INV-3'],
  },
  {
    name: 'apply-before-commit-unasserted',
    rule: 'INV-3, INV-6',
    what: 'the same without the asserts about it',
    edits: [
      applyAll,
      {
        file: 'src/consensus/raft.ts',
        find: "assert(index <= s.commitIndex, 'INV-3: applied beyond what is committed', index, s.commitIndex);",
        replace: '',
      },
      {
        file: replica,
        find: "assert(truncateFrom > this.core.appliedIndex, 'INV-3: an applied entry is never truncated');",
        replace: '',
      },
    ],
    hunt: cluster('hot', 8),
    expect: ['INV-2', 'INV-3', 'INV-6'],
  },
  {
    name: 'told-before-sync',
    rule: 'INV-1, §10.11',
    what: 'what must wait for the sync (votes, acknowledgements) leaves at once',
    edits: [
      {
        file: replica,
        find: 'for (const outgoing of effects.messages) if (!outgoing.afterSync) this.#send(outgoing);',
        replace: 'for (const outgoing of effects.messages) this.#send(outgoing);',
      },
      {
        file: replica,
        find: 'for (const outgoing of messages) if (outgoing.afterSync) this.#send(outgoing);',
        replace: '',
      },
    ],
    hunt: cluster('power', 12),
    expect: ['INV-1', 'INV-2', 'INV-3', 'INV-10'],
  },
  {
    name: 'persisted-before-sync',
    rule: 'INV-1, §10.11',
    what: 'a replica counts its own entries as durable when they are appended',
    edits: [
      {
        file: replica,
        find: 'if (last === undefined && !later) return;',
        replace:
          'if (last !== undefined) this.core.persisted(last.index, last.term);\n    if (last === undefined && !later) return;',
      },
    ],
    hunt: cluster('power', 12),
    expect: ['INV-1', 'INV-2', 'INV-3'],
  },
  {
    name: 'op-window-ignored',
    rule: '§10.3, INV-5',
    what: 'whether an operation was done before is asked nowhere',
    edits: [
      { file: state, find: 'if (answer !== undefined) return answer;', replace: '' },
      {
        file: operations,
        find: "if (answered !== undefined && message.body.kind !== 'openSession') {",
        replace: "if (answered !== undefined && message.number < 0 && message.body.kind !== 'openSession') {",
      },
    ],
    hunt: cluster('retries', 20),
    expect: ['INV-2', 'INV-5'],
  },
  {
    name: 'op-window-ignored-unasserted',
    rule: '§10.3, INV-5',
    what: 'the same without the assert: an operation is applied twice',
    edits: [
      { file: state, find: 'if (answer !== undefined) return answer;', replace: '' },
      {
        file: operations,
        find: "if (answered !== undefined && message.body.kind !== 'openSession') {",
        replace: "if (answered !== undefined && message.number < 0 && message.body.kind !== 'openSession') {",
      },
      {
        file: state,
        find: "assert(!session.answers.has(number), 'INV-5: an operation is applied at most once');",
        replace: '',
      },
    ],
    hunt: cluster('retries', 20),
    expect: ['INV-2', 'INV-5'],
  },
  {
    name: 'window-not-in-the-snapshot',
    rule: '§10.4, INV-6',
    what: 'answers are left out of checkpoints and copies',
    edits: [
      {
        file: state,
        find: 'writer.u32(session.answers.size);',
        replace: 'writer.u32(0);\n      if (id >= 0) continue;',
      },
    ],
    hunt: cluster('hot', 20),
    expect: ['INV-5', 'INV-6', 'INV-2'],
  },
  {
    name: 'patch-without-barrier',
    rule: '§3 read-modify-write, INV-2',
    what: 'a sub-block write reads its block before the writes that were proposed earlier are applied',
    edits: [
      {
        file: operations,
        find: 'await new Promise<void>((resolve) => this.#atBarrier(core.lastIndex, resolve));',
        replace: 'await new Promise<void>((resolve) => this.#atBarrier(0, resolve));',
      },
    ],
    hunt: cluster('hot', 20),
    expect: ['INV-2'],
  },
  {
    name: 'patch-without-gate',
    rule: '§3 read-modify-write, INV-2',
    what: 'a write passes a sub-block write of its block that has read and not written yet',
    edits: [
      {
        file: patches,
        find: 'return this.#gates.size > 0 && this.#gates.has(nameOf(key));',
        replace: 'return false;',
      },
    ],
    hunt: cluster('hot', 20),
    expect: ['INV-2'],
  },
  {
    name: 'patches-together',
    rule: '§3 read-modify-write, INV-2',
    what: 'two sub-block writes of one chunk read at the same time',
    edits: [{ file: patches, find: 'if (this.#gates.has(name)) return this.#queue(name, true, enter);', replace: '' }],
    hunt: cluster('hot', 20),
    expect: ['INV-2'],
  },
  {
    name: 'patch-across-terms',
    rule: '§3 read-modify-write, INV-2',
    what: 'what a leader read to merge a part into it is proposed though another one led in between',
    edits: [
      {
        file: operations,
        find: 'if (merged !== undefined && this.#byKey.get(pending.key) === pending) {',
        replace: 'if (merged !== undefined) {',
      },
      {
        file: operations,
        find: "if (core.term !== term) this.#finish(pending, { code: 'notLeader', version: 0 });\n      else this",
        replace: 'this',
      },
    ],
    hunt: story('24b-read-in-one-term-written-in-another', 3),
    expect: ['INV-2', 'STORY'],
  },
];
