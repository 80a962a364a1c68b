import { story } from './hunts.ts';
import type { Mutation } from './types.ts';

const receiver = 'src/arc/copy-receiver.ts';
const state = 'src/arc/state.ts';
const fetching = 'src/arc/fetching.ts';
const mending = 'src/arc/mending.ts';
const cohort = 'src/membership/cohort.ts';
const room = 'src/arc/room.ts';
const comparing = 'src/arc/comparing.ts';
const twoContents = story('15c-two-contents-of-one-version', 3);
const lastComesFirst = [
  {
    file: 'src/store/chunk.ts',
    find: 'if ((page.versions[block] as number) >= version) return 0;',
    replace: 'if (page.versions[block] === version) return 0;',
  },
];
const lastUnasserted = [
  {
    file: 'src/store/map.ts',
    find: "assert(chunk.versionOf(block) === Math.max(known, version), 'INV-6: of a copied block the newer version counts');",
    replace: '',
  },
];

/** Faults that need a schedule which no storm happens to bring: stories tell it (design §10.3, §10.4, §10.9; brakes). */
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
  {
    name: 'mended-by-one-that-is-behind',
    rule: '§10.8, INV-7',
    what: 'a voter that has not applied as much gives its older block to one that lost its map',
    edits: [{ file: fetching, find: ' || replica.core.appliedIndex < fetch.floor', replace: '' }],
    hunt: story('15d-mended-with-what-was-there', 3),
    expect: ['INV-2', 'INV-6', 'STORY'],
  },
  {
    name: 'mended-with-an-older-version',
    rule: '§10.8, INV-7',
    what: 'a bad block is mended with whatever a voter has: nobody looks at the version, nor the map at what comes',
    edits: [
      { file: fetching, find: ' || replica.core.appliedIndex < fetch.floor', replace: '' },
      {
        file: fetching,
        find: 'if (fetch.versions[i] !== 0 && fetch.versions[i] !== version) continue;',
        replace: '',
      },
      {
        file: mending,
        find: 'return wanted.version === 0 ? version <= floor : version === wanted.version;',
        replace: 'return version <= floor;',
      },
      {
        file: mending,
        find: 'if (wanted.version !== 0 && crc !== wanted.crc) this.#recordDiffers(member, key, block);\n      else taken.push(i);',
        replace: 'taken.push(i);',
      },
      ...lastComesFirst,
      ...lastUnasserted,
    ],
    hunt: story('15-rot-of-the-newest-copy', 3),
    expect: ['INV-2', 'INV-6', 'STORY'],
  },
  {
    name: 'older-replaces-newer-in-the-map',
    rule: '§10.6, INV-6',
    what: 'a block takes what comes last, not what is newest; the assert is there',
    edits: lastComesFirst,
    hunt: story('15e-mended-too-late', 3),
    expect: ['INV-6'],
  },
  {
    name: 'older-replaces-newer-in-the-map-unasserted',
    rule: '§10.6, INV-6',
    what: 'the same without the assert: a repair that comes late undoes a write',
    edits: [...lastComesFirst, ...lastUnasserted],
    hunt: story('15e-mended-too-late', 3),
    expect: ['INV-2', 'INV-6', 'STORY'],
  },
  {
    name: 'next-leader-told-late',
    rule: '§3, INV-9',
    what: 'a new leader tells of itself at the next look at its arcs, not when its term is proven',
    edits: [
      {
        file: 'src/consensus/replication.ts',
        find: 'if (before < s.leadStartIndex || (before < activeIndex && activeIndex <= index)) s.outbox.changed = true;',
        replace: '',
      },
    ],
    hunt: story('25c-next-leader-is-known-at-once', 3),
    expect: ['STORY'],
  },
  {
    name: 'healing-waits-for-its-turn',
    rule: '§6',
    what: 'the next step of healing is taken at the next look at all arcs, not when what it waited for has happened',
    edits: [
      {
        file: 'src/corelet/corelet.ts',
        find: 'onProgress: () => this.#rounds.hurry(),',
        replace: 'onProgress: () => undefined,',
      },
    ],
    hunt: story('26b-many-arcs-at-once', 3),
    expect: ['STORY'],
  },
  {
    name: 'one-voice-makes-sit-out',
    rule: '§5 fail-slow',
    what: 'a member sits out because a single other one finds it slow',
    edits: [
      {
        file: 'src/membership/wishes.ts',
        find: 'const judges = Math.max(2, Math.ceil(heard.size / 3));',
        replace: 'const judges = 1;',
      },
    ],
    hunt: story('20e-one-slow-path-is-nobodys-fault', 3),
    expect: ['STORY'],
  },
  {
    name: 'slow-by-a-fixed-bound',
    rule: '§5 fail-slow',
    what: 'a member is slow by the clock, whatever its siblings take at the same time',
    edits: [
      {
        file: cohort,
        find: 'const slow = Math.max(median * slowFactor, median + deviations * madScale * mad, median + slowMs);',
        replace: 'const slow = slowMs + 0 * (slowFactor + deviations * madScale * mad);',
      },
    ],
    hunt: story('20e-one-slow-path-is-nobodys-fault', 3),
    expect: ['STORY'],
  },
  {
    name: 'back-when-the-other-cause-is-well',
    rule: '§5 fail-slow',
    what: 'who sits out for its answers lives again because its flash is quick',
    edits: [
      {
        file: 'src/membership/slowness.ts',
        find: 'this.#flash.isWell(id, patience, nowMs) && this.#answers.isWell(id, patience, nowMs)',
        replace: 'this.#flash.isWell(id, patience, nowMs)',
      },
    ],
    hunt: story('20d-slow-to-answer-sits-out', 3),
    expect: ['STORY'],
  },
  {
    name: 'relapses-forgotten',
    rule: '§5 fail-slow',
    what: 'who sits out again and again comes back as soon as the first time',
    edits: [
      {
        file: 'src/membership/relapses.ts',
        find: 'return 2 ** Math.min(times - 1, doublingsMax);',
        replace: 'return times > 0 ? 1 : doublingsMax;',
      },
    ],
    hunt: story('20f-slow-again-and-again', 3),
    expect: ['STORY'],
  },
  {
    name: 'healed-full',
    rule: 'never heal a cluster full',
    what: 'copies are begun, and taken in, whatever room there is',
    edits: [
      {
        file: 'src/healing/brake.ts',
        find: 'return filledBytes <= (copyFillMax - slack) * known.sizeBytes;',
        replace: 'return filledBytes > 0;',
      },
      { file: room, find: 'return needBytes === 0 ||', replace: 'return needBytes >= 0 ||' },
    ],
    hunt: story('16b-never-healed-full', 3),
    expect: ['STORY'],
  },
  {
    name: 'room-promised-twice',
    rule: 'never heal a cluster full',
    what: 'a receiver forgets what it promised to other leaders, and leaders what they decided',
    edits: [
      { file: room, find: 'this.#promised.set(arc, bytes);', replace: '' },
      {
        file: 'src/healing/brake.ts',
        find: 'this.#promisedBytes.set(id, (this.#promisedBytes.get(id) ?? 0) + bytes);',
        replace: '',
      },
    ],
    hunt: story('16b-never-healed-full', 3),
    expect: ['STORY'],
  },
  {
    name: 'room-is-never-looked-for-again',
    rule: 'never heal a cluster full, INV-9',
    what: 'who was refused for want of room is never asked again',
    edits: [
      {
        file: room,
        find: '?? Number.NEGATIVE_INFINITY) < refusalMs;',
        replace: '?? Number.NEGATIVE_INFINITY) < Number.POSITIVE_INFINITY;',
      },
    ],
    hunt: story('16b-never-healed-full', 3),
    expect: ['STORY', 'INV-9'],
  },
  {
    name: 'two-contents-given-to-hosts',
    rule: '§10.8',
    what: 'a leader gives hosts its own content of a block of which another valid one of the same version is known',
    edits: [
      {
        file: 'src/arc/reads.ts',
        find: 'if (this.#context.quarantine.holds(this.#replica.arc, page, blocksOf(range))) return quarantined;',
        replace: '',
      },
    ],
    hunt: twoContents,
    expect: ['STORY', 'INV-2'],
  },
  {
    name: 'two-contents-compared',
    rule: '§10.8',
    what: 'a compare-and-write, or a write of a part, takes one of two valid contents for the block',
    edits: [
      {
        file: 'src/arc/mending.ts',
        find: "if (this.#context.quarantine.holds(this.#replica.arc, page, blocks)) return 'lost';",
        replace: '',
      },
    ],
    hunt: twoContents,
    expect: ['STORY', 'INV-2'],
  },
  {
    name: 'quarantine-known-to-two-only',
    rule: '§10.8',
    what: 'the third member, which has one of the two contents, is not told',
    edits: [
      { file: comparing, find: 'this.#tellQuarantined(key, this.#others());', replace: '' },
      { file: comparing, find: 'this.#tellQuarantined(key, [member]);\n    const first', replace: 'const first' },
    ],
    hunt: twoContents,
    expect: ['STORY', 'INV-2'],
  },
  {
    name: 'quarantine-forgotten-at-restart',
    rule: '§10.8',
    what: 'blocks in quarantine are remembered in memory only',
    edits: [
      {
        file: 'src/arc/quarantine.ts',
        find: 'this.#store.setRegister(`${registerPrefix}${arc}`, writer.copy());',
        replace: '',
      },
    ],
    hunt: twoContents,
    expect: ['STORY', 'INV-2'],
  },
  {
    name: 'members-removed-however-many-fail',
    rule: 'stop removing members when too many fail at once',
    what: 'each remnant of a view removes whoever is silent, however many went just before',
    edits: [{ file: 'src/membership/tally.ts', find: 'if (this.braked) return [];', replace: '' }],
    hunt: story('18d-nobody-more-is-removed', 3),
    expect: ['STORY'],
  },
  {
    name: 'half-of-the-members-decide',
    rule: 'a minority never decides',
    what: 'half of a view is enough to decide the next one',
    edits: [
      {
        file: 'src/ring/view.ts',
        find: 'return Math.floor(count / 2) + 1;',
        replace: 'return Math.ceil(count / 2);',
      },
    ],
    hunt: story('18d-nobody-more-is-removed', 3),
    expect: ['STORY'],
  },
  {
    name: 'voter-before-its-copy-is-whole',
    rule: '§10.14',
    what: 'a learner takes the place of a voter before it has everything',
    edits: [
      {
        file: 'src/healing/plan.ts',
        find: 'return facts.isCaughtUp(learner) ? replaceBy(facts, learner) : none;',
        replace: 'return replaceBy(facts, learner);',
      },
    ],
    hunt: story('07e-drained-without-a-copy-less', 3),
    expect: ['STORY', 'INV-1'],
  },
];
