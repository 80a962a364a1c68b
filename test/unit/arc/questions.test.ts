import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memberId } from '../../../src/arc/members.ts';
import { Questions, type QuestionsOwner } from '../../../src/arc/questions.ts';
import { Positions } from '../../../src/arc/positions.ts';
import { Reticence } from '../../../src/arc/reticence.ts';
import type { ReplicaContext } from '../../../src/arc/context.ts';
import type { Replica } from '../../../src/arc/replica.ts';
import { Standing } from '../../../src/arc/standing.ts';
import type { ArcId, CoreletId } from '../../../src/base/ids.ts';
import type { Answer, Question } from '../../../src/wire/peer/question.ts';

// A voter that forgot a vote or an acknowledged write and votes on loses acknowledged data without a word (INV-10).

const ids = ['a', 'b', 'c'].map((letter) => letter.repeat(32) as CoreletId);
const [a, b, c] = ids as [CoreletId, CoreletId, CoreletId];
const arc = 3 as ArcId;
const voters = ids.map((id) => memberId(id, 1));

interface Log {
  readonly term: number;
  readonly lastIndex: number;
  readonly vote?: string;
}

/** One Corelet with one replica that just restarted, and what it does. */
function started({ term, lastIndex, vote }: Log, registers: ReadonlyMap<string, Uint8Array> = new Map()) {
  const sent: { to: CoreletId; message: Question | Answer }[] = [];
  const timers: { atMs: number; run: () => void }[] = [];
  const told = { spoke: 0, lost: [] as string[], ended: [] as string[] };
  let nowMs = 0;
  const replica = {
    arc,
    generation: 1,
    member: voters[0],
    installed: true,
    reticence: new Reticence() as Reticence | undefined,
    standing: new Standing(),
    hardState: { term, vote },
    core: { term, lastIndex, configuration: { voters, votersOutgoing: [], learners: [] } },
    speak() {
      replica.reticence = undefined;
      told.spoke += 1;
    },
  };
  const context = {
    self: a,
    clock: {
      nowMs: () => nowMs,
      after: (delayMs: number, run: () => void) => {
        timers.push({ atMs: nowMs + delayMs, run });
        return { cancel: () => undefined };
      },
    },
    send: (to: CoreletId, message: Question | Answer) => sent.push({ to, message }),
    isAlive: () => true,
    store: { sequenceAtOpen: 500 },
  } as unknown as ReplicaContext;
  const owner: QuestionsOwner = {
    replicas: () => [replica as unknown as Replica],
    replica: (wanted) => (wanted === arc ? (replica as unknown as Replica) : undefined),
    lost: (_, why) => told.lost.push(why),
    ended: (_, member) => told.ended.push(member),
    formerLife: () => undefined,
  };
  const kept: [string, Uint8Array][] = [];
  const store = { syncedSequence: 1, setRegister: (...register: [string, Uint8Array]) => kept.push(register) };
  const positions = new Positions(store, context.clock, registers);
  const questions = new Questions(context, owner, positions);
  questions.start();
  const pass = (ms: number) => {
    for (const until = nowMs + ms; nowMs < until; nowMs += 10) {
      for (const timer of timers.splice(0)) {
        if (timer.atMs <= nowMs) timer.run();
        else timers.push(timer);
      }
    }
  };
  const answer = (from: CoreletId, fields: Partial<Answer['arcs'][number]> = {}) => {
    const saw = { arc, generation: 1, term: 0, index: 0, voteTerm: 0, lost: false, ...fields };
    questions.answer(from, { type: 'answer', syncedSequence: 0, arcs: [saw] });
  };
  return { questions, positions, store, kept, replica, sent, told, pass, answer };
}

test('it keeps silent until a majority, itself included, has told what it saw', () => {
  const { replica, told, answer } = started({ term: 4, lastIndex: 20 });
  assert(replica.reticence !== undefined);
  answer(b, { term: 4, index: 20 });
  assert.equal(told.spoke, 1);
  assert.deepEqual(told.lost, []);
});

test('an answer is given at once, before its own questions are answered: all may restart together', () => {
  const { questions, replica, sent, told } = started({ term: 4, lastIndex: 20 });
  replica.standing.heard(memberId(b, 1), {
    type: 'appendReply',
    arc,
    fromGeneration: 1,
    toGeneration: 1,
    term: 4,
    matched: true,
    index: 17,
    hintTerm: 0,
  });
  questions.question(b, { type: 'question', arcs: [{ arc, generation: 1, lost: false }] });
  assert.equal(told.spoke, 0);
  const given = sent.find(({ to, message }) => to === b && message.type === 'answer')?.message as Answer;
  assert.deepEqual(given.arcs, [{ arc, generation: 1, term: 4, index: 17, voteTerm: 0, lost: false }]);
});

test('one message asks a peer about all arcs; without an answer it is asked again, not all the time', () => {
  const { sent, pass, answer } = started({ term: 4, lastIndex: 20 });
  const asked = () => sent.filter(({ to, message }) => to === b && message.type === 'question').length;
  assert.equal(asked(), 1);
  pass(1000);
  assert(asked() >= 3 && asked() <= 6, `${asked()} questions in a second`);
  answer(c);
  const before = asked();
  pass(3000);
  assert.equal(asked(), before);
});

const forgotten: readonly (readonly [string, Log, Partial<Answer['arcs'][number]>])[] = [
  ['an entry that it acknowledged', { term: 4, lastIndex: 20 }, { term: 4, index: 21 }],
  ['a whole term', { term: 4, lastIndex: 20 }, { term: 5, index: 3 }],
  ['a vote in a later term', { term: 4, lastIndex: 20 }, { voteTerm: 5 }],
  ['its vote in this term', { term: 4, lastIndex: 20 }, { voteTerm: 4 }],
  ['whom it voted for', { term: 4, lastIndex: 20, vote: memberId(c, 1) }, { voteTerm: 4 }],
];
for (const [what, log, saw] of forgotten) {
  test(`a replica that forgot ${what} never speaks again under its generation`, () => {
    const { told, answer } = started(log);
    answer(b, saw);
    assert.equal(told.spoke, 0);
    assert.equal(told.lost.length, 1);
  });
}

test('a device that was seen to be durable further than it is now was put back: all its replicas begin anew', () => {
  const { questions, told } = started({ term: 4, lastIndex: 20 });
  const arcs = [{ arc, generation: 1, term: 0, index: 0, voteTerm: 0, lost: false }];
  questions.answer(b, { type: 'answer', syncedSequence: 501, arcs });
  assert.equal(told.spoke, 0);
  assert.equal(told.lost.length, 1);
});

test('what heartbeats told of a device is told to it when it asks: the highest of its earlier starts', () => {
  const { questions, positions, sent } = started({ term: 4, lastIndex: 20 });
  for (const position of [7, 90, 12]) positions.saw(b, 5, position);
  positions.saw(b, 6, 0);
  positions.saw(b, 6, 95);
  positions.saw(b, 5, 99);
  questions.question(b, { type: 'question', arcs: [] });
  const given = sent.at(-1)?.message;
  assert(given?.type === 'answer');
  assert.equal(given.syncedSequence, 90);
});

test('positions survive a restart: after a power loss of all, one put back meanwhile is still told so', () => {
  const first = started({ term: 4, lastIndex: 20 });
  first.store.syncedSequence = 10;
  first.positions.saw(b, 5, 90);
  const again = started({ term: 4, lastIndex: 20 }, new Map(first.kept));
  again.positions.saw(b, 6, 0);
  again.questions.question(b, { type: 'question', arcs: [] });
  const given = again.sent.at(-1)?.message;
  assert(given?.type === 'answer');
  assert.equal(given.syncedSequence, 90);
});

test('positions are kept at most once a second, and not where the device would rest otherwise', () => {
  const { positions, store, kept, pass } = started({ term: 4, lastIndex: 20 });
  for (let i = 0; i < 100; i++) {
    positions.saw(b, 5, 100 + i);
    positions.saw(c, 5, 100 + i);
    pass(100);
  }
  assert.equal(kept.length, 0);
  for (let i = 0; i < 100; i++) {
    store.syncedSequence += 2;
    positions.saw(b, 5, 300 + i);
    pass(100);
  }
  assert(kept.length >= 9 && kept.length <= 11, `${kept.length} times in 10 s`);
});

test('a device that was put back begins anew once, not at every start until it has come as far again', () => {
  const first = started({ term: 4, lastIndex: 20 });
  const arcs = [{ arc, generation: 1, term: 0, index: 0, voteTerm: 0, lost: false }];
  first.questions.answer(b, { type: 'answer', syncedSequence: 900, arcs });
  assert.equal(first.told.lost.length, 1);
  const again = started({ term: 4, lastIndex: 20 }, new Map(first.kept));
  again.questions.answer(b, { type: 'answer', syncedSequence: 900, arcs });
  assert.deepEqual([again.told.lost, again.told.spoke], [[], 1]);
});

test('also an answer that comes late counts, after it has begun to speak', () => {
  const { questions, told, answer, sent } = started({ term: 4, lastIndex: 20 });
  answer(b);
  assert.equal(told.spoke, 1);
  questions.ask(c);
  assert.equal(sent.at(-1)?.to, c);
  answer(c, { term: 4, index: 30 });
  assert.equal(told.lost.length, 1);
});

test('a log cut by the leader of a later term is shorter than what was acknowledged, and whole', () => {
  const { told, answer } = started({ term: 6, lastIndex: 20, vote: memberId(b, 1) });
  answer(b, { term: 5, index: 40, voteTerm: 6 });
  assert.equal(told.spoke, 1);
  assert.deepEqual(told.lost, []);
});

test('a life of another that is over is told on', () => {
  const { told, answer } = started({ term: 4, lastIndex: 20 });
  answer(c, { lost: true });
  assert.deepEqual(told.ended, [memberId(c, 1)]);
});

test('where a leader speaks to it and those it remembers are gone, it begins anew rather than wait for ever', () => {
  const { replica, told, pass } = started({ term: 4, lastIndex: 20 });
  const append = {
    type: 'append',
    arc,
    fromGeneration: 9,
    toGeneration: 1,
    term: 9,
    prevIndex: 0,
    prevTerm: 0,
  } as const;
  replica.reticence?.hold(c, { ...append, commit: 0, entries: [] }, 0);
  pass(4000);
  assert.deepEqual(told.lost, []);
  pass(2000);
  assert(told.lost.length >= 1);
});

test('what is kept while it is silent is bounded', () => {
  const reticence = new Reticence();
  const probe = { type: 'readProbe', arc, fromGeneration: 1, toGeneration: 1, term: 1, context: 1 } as const;
  for (let i = 0; i < 1000; i++) reticence.hold(b, probe, i);
  assert(reticence.held.length <= 64);
});
