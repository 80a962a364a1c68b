import { story } from './hunts.ts';
import type { Mutation } from './types.ts';

const receiver = 'src/arc/copy-receiver.ts';
const state = 'src/arc/state.ts';

/** Faults that need a schedule which no storm happens to bring: stories tell it (design §10.3, §10.4, §10.9). */
export const toldMutations: readonly Mutation[] = [
  {
    name: 'copy-from-an-unapplied-state',
    rule: '§10.4',
    what: 'a receiver of a copy claims what it has in its log, though it has not applied it',
    edits: [
      {
        file: receiver,
        find: 'const base = replica.installed ? replica.core.appliedIndex : 0;',
        replace: 'const base = replica.installed ? replica.core.lastIndex : 0;',
      },
    ],
    hunt: story('10-trim-while-one-is-away', 3),
    expect: ['INV-2', 'INV-6', 'STORY'],
  },
  {
    name: 'copy-ends-before-it-is-stored',
    rule: '§10.4',
    what: 'a copy goes on after a part of it was lost',
    edits: [{ file: receiver, find: 'message.sequence !== this.#sequence + 1 ||', replace: '' }],
    hunt: story('23b-a-part-of-a-copy-is-lost', 3),
    expect: ['INV-2', 'INV-6', 'STORY'],
  },
  {
    name: 'late-copy-of-a-forgotten-operation',
    rule: '§10.9, INV-5',
    what: 'a copy of an operation whose answer was taken and forgotten is applied',
    edits: [{ file: state, find: 'if (op.number < session.lowestOpen) return applied;', replace: '' }],
    hunt: story('05-retry-after-a-newer-write', 3),
    expect: ['INV-2', 'INV-5', 'STORY'],
  },
  {
    name: 'op-window-ignored-at-apply',
    rule: '§10.3, INV-5',
    what: 'whether an operation was done before is asked at the door only, not when it is applied',
    edits: [{ file: state, find: 'if (answer !== undefined) return answer;', replace: '' }],
    hunt: story('05-retry-after-a-newer-write', 3),
    expect: ['INV-2', 'INV-5'],
  },
];
