import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreletId } from '../../../src/base/ids.ts';
import { Echoes } from '../../../src/membership/echoes.ts';
import { Slowness } from '../../../src/membership/slowness.ts';
import { viewOf, withState } from '../../../src/ring/view.ts';
import { memberOf } from './network.ts';
import { Seeded } from './seeded.ts';

const members = Array.from({ length: 8 }, (_, slot) => memberOf(slot));
const view = viewOf(1, members);
const ids = members.map((member) => member.id);
const slow = ids[3] as CoreletId;

const sitting = viewOf(
  2,
  members.map((member) => (member.id === slow ? withState(member, 'sitting-out') : member)),
);

type LatencyMs = (id: CoreletId) => number;
const unknown: LatencyMs = () => 0;

/** What is wished within `seconds`, with these latencies told every half second. */
function wished(
  slowness: Slowness,
  flashMs: LatencyMs,
  span: { readonly fromMs: number; readonly seconds: number },
  seen = view,
  max = 1,
  answersMs = unknown,
): readonly string[] {
  const wishes = new Set<string>();
  for (let ms = span.fromMs; ms < span.fromMs + 1000 * span.seconds; ms += 500) {
    for (const id of ids) {
      slowness.tellFlash(id, flashMs(id), ms);
      slowness.tellAnswers(id, answersMs(id), ms);
    }
    for (const { id, state, slow: why } of slowness.judge(seen, max, ms)) {
      wishes.add([ids.indexOf(id), state, ...Object.keys(why)].join(' '));
    }
  }
  return [...wishes];
}

test('a flash ten times slower than its siblings is seen within 10 s, and seen to be well again', () => {
  const slowness = new Slowness();
  const random = new Seeded(1);
  const noise = () => 2 + 2 * random.fraction();
  const ill = (id: CoreletId) => (id === slow ? 30 : noise());
  assert.deepEqual(wished(slowness, ill, { fromMs: 0, seconds: 10 }), ['3 sitting-out flash']);
  assert.deepEqual(
    wished(slowness, ill, { fromMs: 10_000, seconds: 20 }, sitting),
    [],
    'as long as it is slow it stays',
  );
  assert.deepEqual(wished(slowness, noise, { fromMs: 30_000, seconds: 15 }, sitting), ['3 live']);
});

test('who sits out again and again has to be well for twice as long each time, until it has lived well for ten minutes', () => {
  const slowness = new Slowness();
  let nowMs = 0;
  const well = () => 2;
  const ill = (id: CoreletId) => (id === slow ? 30 : 2);
  /** Slow, sitting out, then well: whole seconds until it may live again. */
  const spell = (): number => {
    assert.deepEqual(wished(slowness, ill, { fromMs: nowMs, seconds: 10 }), ['3 sitting-out flash']);
    wished(slowness, ill, { fromMs: nowMs + 10_000, seconds: 5 }, sitting);
    nowMs += 15_000;
    for (let seconds = 0; ; seconds++, nowMs += 1000) {
      if (wished(slowness, well, { fromMs: nowMs, seconds: 1 }, sitting).includes('3 live')) return seconds;
    }
  };
  const lives = (seconds: number): void => {
    assert.deepEqual(wished(slowness, well, { fromMs: nowMs, seconds }), []);
    nowMs += 1000 * seconds;
  };
  const took: number[] = [];
  for (let i = 0; i < 8; i++) {
    took.push(spell());
    lives(30);
  }
  assert.deepEqual(took, [10, 20, 40, 80, 160, 320, 320, 320]);
  lives(600);
  assert.equal(spell(), 10);
});

test('nobody sits out because all are slow, because of noise, or for a moment', () => {
  const random = new Seeded(2);
  assert.deepEqual(
    wished(new Slowness(), () => 200 + 100 * random.fraction(), { fromMs: 0, seconds: 60 }),
    [],
  );
  assert.deepEqual(
    wished(new Slowness(), () => 1 + 3 * random.fraction(), { fromMs: 0, seconds: 60 }),
    [],
  );
  const slowness = new Slowness();
  assert.deepEqual(
    wished(slowness, (id) => (id === slow ? 50 : 2), { fromMs: 0, seconds: 2 }),
    [],
  );
  assert.deepEqual(
    wished(slowness, () => 2, { fromMs: 2000, seconds: 20 }),
    [],
  );
});

test('no more sit out than redundancy bears, the slowest first', () => {
  const latency = (id: CoreletId) => (id === slow ? 90 : id === ids[5] ? 60 : 2);
  assert.deepEqual(wished(new Slowness(), latency, { fromMs: 0, seconds: 10 }), ['3 sitting-out flash']);
  assert.deepEqual(wished(new Slowness(), latency, { fromMs: 0, seconds: 10 }, view, 0), []);
});

test('one that answers ten times slower than its siblings is seen, with a flash as quick as theirs, and told apart', () => {
  const slowness = new Slowness();
  const random = new Seeded(3);
  const noise = () => 1 + 2 * random.fraction();
  const ill = (id: CoreletId) => (id === slow ? 40 : 0) + noise();
  assert.deepEqual(wished(slowness, noise, { fromMs: 0, seconds: 10 }, view, 1, ill), ['3 sitting-out answers']);
  assert.deepEqual(wished(slowness, noise, { fromMs: 10_000, seconds: 20 }, sitting, 1, ill), []);
  assert.deepEqual(wished(slowness, noise, { fromMs: 30_000, seconds: 15 }, sitting, 1, noise), ['3 live']);
  const both = wished(new Slowness(), ill, { fromMs: 0, seconds: 10 }, view, 1, ill);
  assert.deepEqual(both, ['3 sitting-out flash answers']);
});

test('who sits out for one cause does not come back because the other one is well', () => {
  const quick = () => 2;
  const ill = (id: CoreletId) => (id === slow ? 40 : 2);
  const first = new Slowness();
  assert.deepEqual(wished(first, ill, { fromMs: 0, seconds: 40 }, sitting, 1, quick), []);
  const second = new Slowness();
  assert.deepEqual(wished(second, quick, { fromMs: 0, seconds: 40 }, sitting, 1, ill), []);
  // At rest nobody knows how quick flashes are; how quick answers are is known.
  assert.deepEqual(wished(new Slowness(), unknown, { fromMs: 0, seconds: 40 }, sitting, 1, ill), []);
});

test('of two peers the quicker one says what is usual', () => {
  const [quick, ill] = [ids[0], slow];
  const of = (id: CoreletId) => (id === ill ? 60 : id === quick ? 1 : 0);
  assert.deepEqual(wished(new Slowness(), unknown, { fromMs: 0, seconds: 10 }, view, 1, of), ['3 sitting-out answers']);
  const even = (id: CoreletId) => (id === ill || id === quick ? 40 : 0);
  assert.deepEqual(wished(new Slowness(), unknown, { fromMs: 0, seconds: 60 }, view, 1, even), []);
});

test('what a member took under load is not compared with what its siblings take at rest', () => {
  const slowness = new Slowness();
  const loaded = () => 20;
  assert.deepEqual(wished(slowness, loaded, { fromMs: 0, seconds: 10 }), []);
  // It knows nothing newer of itself, and the others do.
  const after = (id: CoreletId) => (id === slow ? 0 : 2);
  assert.deepEqual(wished(slowness, after, { fromMs: 10_000, seconds: 30 }), []);
});

test('an observer that is slow itself finds nobody slow: it compares the others with each other', () => {
  const random = new Seeded(4);
  const seen = wished(
    new Slowness(),
    unknown,
    { fromMs: 0, seconds: 60 },
    view,
    1,
    () => 300 + 400 * random.fraction(),
  );
  assert.deepEqual(seen, []);
});

/** One tells the other at these times; what is on the way takes `wayMs`, and the other one looks at it `lateMs` later. */
function answersSeen(wayMs: number, lateMs: number, heldMs: number): number {
  const [here, there] = [new Echoes(), new Echoes()];
  let nowMs = 0;
  for (let turn = 0; turn < 8; turn++) {
    const asked = here.next(slow, nowMs);
    nowMs += wayMs + lateMs;
    there.heard(ids[0] as CoreletId, asked, nowMs);
    nowMs += heldMs;
    const answer = there.next(ids[0] as CoreletId, nowMs);
    nowMs += wayMs;
    here.heard(slow, answer, nowMs);
    nowMs += 100;
  }
  return Math.round(here.answerMs(slow, nowMs));
}

test('how long a peer takes to answer is the way and its being late, not the time that it waits in its rhythm', () => {
  assert.equal(answersSeen(1, 0, 1000), 2);
  assert.equal(answersSeen(1, 40, 1000), 42);
  assert.equal(answersSeen(1, 40, 0), 42);
  assert.equal(answersSeen(1, 40, 20_000), 0, 'clocks drift: what it had for so long measures nothing');
});

test('an echo that comes twice, or of nothing that was sent, measures nothing', () => {
  const echoes = new Echoes();
  for (let turn = 0; turn < 3; turn++) {
    const { sequence } = echoes.next(slow, 100 * turn);
    const echo = { sequence: 1, echo: sequence, echoHeldUs: 0 };
    for (let again = 0; again < 5; again++) echoes.heard(slow, echo, 100 * turn + 5 + again);
    echoes.heard(slow, { ...echo, echo: sequence + 77 }, 100 * turn + 50);
  }
  assert.equal(echoes.answerMs(slow, 300), 0, 'three answers are too few to tell');
  echoes.heard(slow, { sequence: 1, echo: echoes.next(slow, 300).sequence, echoHeldUs: 0 }, 305);
  assert.equal(echoes.answerMs(slow, 305), 5);
  assert.equal(echoes.answerMs(slow, 60_000), 0, 'that was long ago');
});

test('who echoes what it heard is not deaf, however sequences wrap; who echoes nothing for long is', () => {
  const echoes = new Echoes(0xffff_fffe);
  const says = (echo: number, nowMs: number): boolean =>
    echoes.heard(slow, { sequence: 1, echo, echoHeldUs: 0 }, nowMs);
  const first = echoes.next(slow, 0).sequence;
  assert.equal(says(0, 1000), false, 'it may be on its way');
  assert.equal(says(first, 5000), false);
  const second = echoes.next(slow, 5000).sequence;
  echoes.next(slow, 6900);
  assert.equal(says(first, 7500), true);
  assert.equal(says(second, 7600), false);
  echoes.next(slow, 7700);
  echoes.forget(slow);
  assert.equal(says(0, 9900), false, 'a new connection begins anew');
});
