import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplicaInspection } from '../../src/corelet/types.ts';
import { AcknowledgedWatch } from '../../src/sim/checkers/acknowledged.ts';
import { checkBounds } from '../../src/sim/checkers/bounds.ts';
import { checkLinearizability } from '../../src/sim/checkers/linearizability.ts';
import { LogWatch } from '../../src/sim/checkers/logs.ts';
import { VoteWatch } from '../../src/sim/checkers/votes.ts';
import { History } from '../../src/sim/history.ts';
import type { ArcId } from '../../src/base/ids.ts';
import type { PeerMessage } from '../../src/wire/peer/types.ts';

// Each checker is shown the one thing that it is there for, and its nearest harmless relative.

interface FakeReplica {
  role?: string;
  term?: number;
  commitIndex?: number;
  generation?: number;
  voters?: readonly string[];
  configurationIndex?: number;
}

/** `terms[i]` is the term of entry i + 1. The array may be changed afterwards, as a log is. */
function replica(terms: number[], fields: FakeReplica = {}): ReplicaInspection {
  const log = {
    firstIndex: 1,
    get lastIndex() {
      return terms.length;
    },
    get lastTerm() {
      return terms.at(-1) ?? 0;
    },
    termAt: (index: number) => (index === 0 ? 0 : terms[index - 1]),
  };
  const base = { arc: 0, generation: 1, role: 'follower', term: terms.at(-1) ?? 1, commitIndex: 0, appliedIndex: 0 };
  return { ...base, complete: true, voters: [], digest: () => '', log, ...fields } as unknown as ReplicaInspection;
}

const story = (watch: { readonly violations: readonly { invariant: string; summary: string }[] }) =>
  watch.violations.map(({ invariant, summary }) => `${invariant} ${summary}`).join('\n');

test('logs that hold the same entry after different ones are found (log matching)', () => {
  const watch = new LogWatch();
  watch.observe(0, replica([1, 1, 2]), 1);
  watch.observe(1, replica([1, 1, 3]), 2);
  assert.equal(story(watch), '', 'ends may differ');
  watch.observe(2, replica([1, 3, 3]), 3);
  assert.match(story(watch), /INV-3 arc 0: logs with the same entry 3 of term 3 differ before it/);
});

test('two committed entries at one index are found (state machine safety)', () => {
  const watch = new LogWatch();
  watch.observe(0, replica([1, 2], { commitIndex: 2 }), 1);
  watch.observe(1, replica([1, 1, 3], { commitIndex: 1 }), 2);
  assert.equal(story(watch), '');
  watch.observe(2, replica([1, 1, 3], { commitIndex: 3 }), 3);
  assert.match(story(watch), /two different entries committed at 2/);
});

test('a leader that lacks what an earlier term committed is found (leader completeness)', () => {
  const watch = new LogWatch();
  watch.observe(0, replica([1, 1], { commitIndex: 2, role: 'leader', term: 1 }), 1);
  watch.observe(1, replica([1, 1, 2], { role: 'leader', term: 2 }), 2);
  assert.equal(story(watch), '');
  watch.observe(2, replica([1, 3], { role: 'leader', term: 3 }), 3);
  assert.match(story(watch), /the leader of term 3 lacks committed entry 2/);
});

test('a leader that changes its own log is found; a follower may', () => {
  const terms = [1, 1];
  const watch = new LogWatch();
  const leader = replica(terms, { role: 'leader', term: 1 });
  watch.observe(0, leader, 1);
  terms.push(1);
  watch.observe(0, leader, 2);
  const followed = [1, 1];
  const follower = replica(followed, { term: 2 });
  watch.observe(1, follower, 3);
  followed.splice(1, 1, 2);
  watch.observe(1, follower, 4);
  assert.equal(story(watch), '');
  terms.length = 1;
  watch.observe(0, leader, 5);
  assert.match(story(watch), /slot 0 changed its own log while it led term 1/);
});

const voteReply = (term: number, toGeneration = 1): PeerMessage => ({
  type: 'voteReply',
  arc: 0 as ArcId,
  fromGeneration: 1,
  toGeneration,
  term,
  pre: false,
  granted: true,
});

test('a second vote in one term is found, whatever was in between; pre-votes bind nobody', () => {
  const watch = new VoteWatch();
  const log = () => replica([1]);
  watch.sent(0, 'a', 'b', voteReply(2), log, 1);
  watch.sent(0, 'a', 'b', voteReply(2), log, 2);
  watch.sent(0, 'a', 'c', voteReply(3), log, 3);
  watch.sent(0, 'a', 'c', { ...voteReply(2), pre: true } as PeerMessage, log, 4);
  assert.equal(story(watch), '');
  watch.sent(0, 'a', 'c', voteReply(2), log, 5);
  assert.match(story(watch), /INV-3 arc 0: slot 0 voted twice in term 2/);
});

test('a vote of one who forgot what it acknowledged is found (INV-10)', () => {
  const ack = {
    type: 'appendReply',
    arc: 0,
    fromGeneration: 1,
    toGeneration: 1,
    term: 2,
    matched: true,
    index: 3,
    hintTerm: 0,
  };
  const watch = new VoteWatch();
  watch.sent(0, 'a', 'b', ack as PeerMessage, () => replica([1, 2, 2]), 1);
  watch.sent(0, 'a', 'b', voteReply(4), () => replica([1, 3]), 2);
  assert.equal(story(watch), '', 'a newer leader shortened its log: that is no forgetting');
  const rolledBack = new VoteWatch();
  rolledBack.sent(0, 'a', 'b', ack as PeerMessage, () => replica([1, 2, 2]), 1);
  rolledBack.sent(0, 'a', 'b', voteReply(3), () => replica([1, 2]), 2);
  assert.match(story(rolledBack), /INV-10 arc 0: slot 0 votes in term 3, but forgot what it acknowledged/);
});

const ids = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(32));

test('an acknowledged write that is on one medium of three is found (INV-1)', () => {
  const voters = ids.slice(0, 3).map((id) => `${id}.1`);
  const leader = replica([1], { role: 'leader', voters, configurationIndex: 1 });
  const corelets = [{ slot: 0, id: ids[0] as string, start: 1, replicas: [leader] }];
  const check = (slots: readonly number[], atMs: number) => {
    const watch = new AcknowledgedWatch();
    watch.observe(corelets, 0);
    const history = new History();
    const place = { host: 0, slot: 0, kind: 'write', offset: 0, lengthBytes: 4096, invokedMs: atMs } as const;
    const operation = history.begin(place);
    const media = ids.map((id, slot) => ({ slot, id, holds: () => slots.includes(slot) }));
    watch.acknowledged(operation, { arc: 0, key: 0 }, corelets, media, 3, atMs + 1);
    return story(watch);
  };
  assert.equal(check([0, 1], 1000), '');
  assert.match(check([0], 1000), /INV-1 op 1 was acknowledged, but is durable on 1 media only/);
  assert.match(check([0, 3], 1000), /INV-1/, 'slot 3 has no vote');
  assert.equal(check([0, 3], 50), '', 'the copies were moved just then');
});

test('what grows beyond its limit is found (INV-8)', () => {
  const bounds = (length: number) => () => [{ name: 'sessions', length, max: 10 }];
  const corelet = (length: number) => ({
    slot: 0,
    id: 'a',
    start: 1,
    replicas: [{ ...replica([1]), bounds: bounds(length) }],
  });
  assert.deepEqual(checkBounds([corelet(10)], 1), []);
  assert.match(checkBounds([corelet(11)], 1)[0]?.summary ?? '', /11 sessions, at most 10/);
});

const laterValue = 7;

interface LateWrite {
  readonly effectByMs: number;
  /** At these milliseconds, these values. */
  readonly reads: readonly (readonly [number, number])[];
  /** When `laterValue` was written, and acknowledged. */
  readonly laterMs?: number;
  readonly value?: number;
}

/** One write of unknown outcome, perhaps a later one that was acknowledged, and what reads saw. */
function lateWrite({ effectByMs, reads, laterMs, value = 1 }: LateWrite): readonly string[] {
  const history = new History();
  const place = { host: 0, slot: 0, offset: 0, lengthBytes: 4096 };
  const change = (kind: 'write' | 'zero', invokedMs: number, written: number, deadMs?: number) => {
    const made = history.begin({ ...place, kind, invokedMs, ...(deadMs === undefined ? {} : { effectByMs: deadMs }) });
    history.touch(0, made, 'write', written);
    history.end(made, deadMs === undefined ? 'ok' : 'unknown', invokedMs + 1);
  };
  if (value === 0) change('write', 0, 1);
  change(value === 0 ? 'zero' : 'write', 2, value, effectByMs);
  if (laterMs !== undefined) change('write', laterMs, laterValue);
  for (const [atMs, seen] of reads) {
    const read = history.begin({ ...place, kind: 'read', invokedMs: atMs });
    history.end(read, 'ok', atMs + 1);
    history.touch(0, read, 'read', seen);
  }
  return checkLinearizability(history, () => 'block 0').violations.map(({ invariant }) => invariant);
}

const overwrittenThenBack = (value: number) =>
  [
    [150, laterValue],
    [200, value],
  ] as const;

test('a write whose tickets are dead is never seen after a change that was asked for since', () => {
  assert.deepEqual(lateWrite({ effectByMs: 100, laterMs: 120, reads: overwrittenThenBack(1) }), ['INV-2']);
  assert.deepEqual(lateWrite({ effectByMs: 100, laterMs: 90, reads: overwrittenThenBack(1) }), [], 'its tickets lived');
  assert.deepEqual(
    lateWrite({ effectByMs: Number.POSITIVE_INFINITY, laterMs: 120, reads: overwrittenThenBack(1) }),
    [],
  );
});

test('what was appended in time may be seen late: committed by the next leader', () => {
  const seenLate = [
    [150, 0],
    [200, 1],
  ] as const;
  assert.deepEqual(lateWrite({ effectByMs: 100, reads: seenLate }), []);
});

test('the same for zeros, which name no author', () => {
  assert.deepEqual(lateWrite({ effectByMs: 100, laterMs: 120, reads: overwrittenThenBack(0), value: 0 }), ['INV-2']);
  assert.deepEqual(lateWrite({ effectByMs: 100, laterMs: 90, reads: overwrittenThenBack(0), value: 0 }), []);
});

test('compare-and-write is one step: it writes what it compared, or saw that it differs', () => {
  const run = (kind: 'compare' | 'differs', expected: number, seen: number) => {
    const history = new History();
    const place = { host: 0, slot: 0, offset: 0, lengthBytes: 4096 };
    const write = history.begin({ ...place, kind: 'write', invokedMs: 0 });
    history.touch(0, write, 'write', 1);
    history.end(write, 'ok', 1);
    const compare = history.begin({ ...place, kind: 'compare', invokedMs: 2 });
    history.touch(0, compare, kind, 2, expected);
    history.end(compare, 'ok', 3);
    const read = history.begin({ ...place, kind: 'read', invokedMs: 4 });
    history.end(read, 'ok', 5);
    history.touch(0, read, 'read', seen);
    return checkLinearizability(history, () => 'block 0').violations.length;
  };
  assert.equal(run('compare', 1, 2), 0);
  assert.equal(run('differs', 0, 1), 0);
  assert.equal(run('compare', 0, 2), 1, 'it held 1, so 0 can not have been found there');
  assert.equal(run('differs', 1, 1), 1, 'it did hold 1');
  assert.equal(run('differs', 0, 2), 1, 'nothing was written');
});
