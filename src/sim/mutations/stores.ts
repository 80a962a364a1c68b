import { store } from './hunts.ts';
import type { Mutation } from './types.ts';

const log = 'src/store/log.ts';
const chunk = 'src/store/chunk.ts';
const recovery = 'src/store/recovery.ts';
const replay = 'src/store/replay.ts';
const checkpointer = 'src/store/checkpointer.ts';
const cleaner = 'src/store/cleaner.ts';
const upkeep = 'src/store/upkeep.ts';
const all = ['INV-1', 'INV-2', 'INV-4', 'INV-5', 'INV-6', 'INV-7', 'INV-9', 'INV-10'];

/** Faults of the log on the flash: syncs, restarts, checkpoints, cleaning (design §7, §10.5, §10.11). */
export const storeMutations: readonly Mutation[] = [
  {
    name: 'store-acknowledges-before-sync',
    rule: 'INV-1, §10.11',
    what: 'the store says "durable" when it has been told',
    edits: [{ file: log, find: 'else newest.callbacks.push(run);', replace: 'else run();' }],
    hunt: store(300, 3),
    expect: all,
  },
  {
    name: 'batch-begun-before-the-one-before-returned',
    rule: '§10.11',
    what: 'a batch is written while the one before it is still on its way',
    edits: [
      {
        file: log,
        find: 'if (this.#writing !== undefined || this.#failure !== undefined || this.#closed) return;',
        replace: 'if (this.#failure !== undefined || this.#closed) return;',
      },
      {
        file: log,
        find: 'if (this.#scheduled || this.#writing !== undefined) return;',
        replace: 'if (this.#scheduled) return;',
      },
      {
        file: log,
        find: "assert(batch.sequence === this.#durableSequence + 1, 'INV-7: a batch is begun when the one before it is durable');",
        replace: '',
      },
    ],
    hunt: store(300, 3),
    expect: all,
  },
  {
    name: 'torn-batch-taken',
    rule: '§10.11, INV-4',
    what: 'the newest batch counts though part of its data never reached the medium',
    edits: [
      {
        file: recovery,
        find: 'if (isProven || (await dataIsWhole(this.#flash, held))) {',
        replace: 'if (isProven || (await dataIsWhole(this.#flash, held)) || true) {',
      },
    ],
    hunt: store(300, 3),
    expect: all,
  },
  {
    name: 'whole-batch-taken-for-torn',
    rule: '§10.11, INV-1',
    what: 'the newest batch never counts, though it may have been acknowledged',
    edits: [
      { file: recovery, find: 'if (isProven || (await dataIsWhole(this.#flash, held))) {', replace: 'if (isProven) {' },
    ],
    hunt: store(300, 3),
    expect: all,
  },
  {
    name: 'remainder-of-a-torn-batch-followed',
    rule: '§10.11',
    what: 'a batch that names another predecessor is taken for the next one',
    edits: [{ file: recovery, find: '      !follows(first, this.#last)\n', replace: '      !follows(first, first)\n' }],
    hunt: store(300, 3),
    expect: all,
  },
  {
    name: 'page-older-than-its-changes',
    rule: '§10.5',
    what: 'changes of a chunk are lost when its page is read under them',
    edits: [
      {
        file: chunk,
        find: '        version < known ||\n',
        replace: '        version > 0 ||\n',
      },
    ],
    hunt: store(300, 3),
    expect: all,
  },
  {
    name: 'anchor-before-its-checkpoint',
    rule: '§10.5',
    what: 'the anchor of a checkpoint is written before the checkpoint is durable',
    edits: [
      {
        file: checkpointer,
        find: '    await this.#device.synced();\n    await this.#device.writeAnchor',
        replace: '    await this.#device.writeAnchor',
      },
    ],
    hunt: store(300, 3),
    expect: all,
  },
  {
    name: 'replay-before-the-state',
    rule: '§10.5',
    what: "a restart tells an arc of records that are older than the checkpoint's state of it",
    edits: [
      {
        file: replay,
        find: 'if (sequence >= start.sequence) this.#awaited.set(arc, { sequence, position: state.position });\n      else this.#told.add(arc);',
        replace: 'this.#told.add(arc);',
      },
    ],
    hunt: store(300, 3),
    expect: all,
  },
  {
    name: 'cleaned-with-a-piece-of-the-checkpoint',
    rule: '§7, §10.5',
    what: 'a segment is free although the newest checkpoint has a piece in it',
    edits: [{ file: cleaner, find: '      if (pass >= checkpointer.passesDone) continue;\n', replace: '' }],
    hunt: store(1000, 2, 'reuse'),
    expect: all,
  },
  {
    name: 'cleaned-with-the-log-of-a-restart',
    rule: '§7, §10.5',
    what: 'a segment is free although a restart from the newest checkpoint reads the log in it',
    edits: [
      {
        file: cleaner,
        find: 'if (state === segmentStates.log && segments.stamp(segment) >= checkpointer.startSequence) continue;',
        replace: '',
      },
    ],
    hunt: store(110, 1, 'churn'),
    expect: all,
  },
  {
    name: 'cleaned-with-map-pages',
    rule: '§7, §10.5',
    what: 'a segment is free although pages of the map lie in it',
    edits: [
      { file: cleaner, find: 'await space.rewrite(page.arc, page.key);', replace: '' },
      {
        file: cleaner,
        find: 'if (this.#stopped || map.pagePosition(page.key) === page.position) return false;',
        replace: '',
      },
    ],
    hunt: store(1000, 2, 'reuse'),
    expect: all,
  },
  {
    name: 'cleaned-with-what-an-arc-holds',
    rule: '§10.5',
    what: 'a segment is free although entries lie in it that are not applied, or are to be sent',
    edits: [
      {
        file: cleaner,
        find: 'if (score <= bestScore || owner.holds(segmentStart(layout, segment), segmentEnd(layout, segment))) continue;',
        replace: 'if (score <= bestScore) continue;',
      },
      {
        file: cleaner,
        find: 'if (!owner.holds(segmentStart(layout, segment), segmentEnd(layout, segment))) free.push(segment);',
        replace: 'free.push(segment);',
      },
    ],
    hunt: store(1000, 2, 'reuse'),
    expect: all,
  },
  {
    name: 'cleaned-while-blocks-come-into-it',
    rule: '§7',
    what: 'a segment is free although moved blocks are still written into it',
    edits: [
      {
        file: cleaner,
        find: 'if (busy.includes(segment) || this.#moved.isOpen(segment)) continue;',
        replace: 'if (busy.includes(segment)) continue;',
      },
    ],
    hunt: store(1000, 2, 'reuse'),
    expect: all,
  },
  {
    name: 'moved-and-not-told',
    rule: '§7, §10.5',
    what: 'a segment is free although the log does not tell where its blocks are now',
    edits: [{ file: cleaner, find: '      this.#o.appendMoved(moved);\n', replace: '' }],
    hunt: store(1000, 2, 'reuse'),
    expect: all,
  },
  {
    name: 'freed-and-not-told',
    rule: '§7, §10.5',
    what: 'a segment is in use again although the log does not tell that it was free',
    edits: [{ file: upkeep, find: '      if (!append.freed(segment)) break;\n', replace: '' }],
    hunt: store(1000, 2, 'reuse'),
    expect: all,
  },
];
