import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkDurability } from '../../src/sim/checkers/durability.ts';
import { checkLinearizability } from '../../src/sim/checkers/linearizability.ts';
import { ReplicaWatch, whyNotConverged } from '../../src/sim/checkers/replicas.ts';
import type { CoreletInspection } from '../../src/sim/checkers/replicas.ts';
import { History } from '../../src/sim/history.ts';
import type { OperationKind, Outcome } from '../../src/sim/history.ts';
import { runOnce } from '../../src/sim/run.ts';
import { standInRun } from './stand-in-run.ts';
import type { Fault } from './stand-in.ts';

interface Step {
  readonly name: string;
  readonly kind: OperationKind;
  readonly value: number;
  readonly outcome?: Exclude<Outcome, 'open'>;
}

/** A history of one register from `names` in order of instants: a name's first place is the invocation, its second the answer. */
function historyOf(order: string, steps: readonly Step[]): History {
  const history = new History();
  const open = new Map<string, () => void>();
  order.split(' ').forEach((name, at) => {
    const end = open.get(name);
    if (end !== undefined) {
      end();
      return;
    }
    const step = steps.find((candidate) => candidate.name === name);
    assert(step !== undefined);
    const { kind, value, outcome = 'ok' } = step;
    const operation = history.begin({ host: 0, slot: 0, kind, offset: 0, lengthBytes: 4096, invokedMs: at });
    const write = kind !== 'read';
    if (write) history.touch(0, operation, 'write', value);
    open.set(name, () => {
      history.end(operation, outcome, at);
      if (!write) history.touch(0, operation, 'read', value);
    });
  });
  return history;
}

const name = () => 'block 0';
const w1: Step = { name: 'w1', kind: 'write', value: 1 };
const w2: Step = { name: 'w2', kind: 'write', value: 2 };
const r = (label: string, value: number): Step => ({ name: label, kind: 'read', value });

function verdict(order: string, steps: readonly Step[]): readonly string[] {
  return checkLinearizability(historyOf(order, steps), name).violations.map(({ invariant }) => invariant);
}

test('right histories pass: a checker that cries wolf is no checker', () => {
  assert.deepEqual(verdict('w1 w1 ra ra', [w1, r('ra', 1)]), []);
  assert.deepEqual(verdict('ra ra w1 w1', [w1, r('ra', 0)]), []);
  assert.deepEqual(verdict('w1 ra ra w1', [w1, r('ra', 1)]), [], 'a read under way with the write may see it');
  assert.deepEqual(verdict('w1 ra ra rb rb w1', [w1, r('ra', 0), r('rb', 1)]), []);
  assert.deepEqual(
    verdict('w1 w2 w1 w2 ra ra rb rb', [w1, w2, r('ra', 1), r('rb', 1)]),
    [],
    'overlapping writes, either order',
  );
  const zero: Step = { name: 'z', kind: 'trim', value: 0 };
  assert.deepEqual(verdict('w1 w1 z z ra ra', [w1, zero, r('ra', 0)]), []);
});

test('a write of unknown outcome may have happened, late or never, but not twice', () => {
  const lost: Step = { ...w1, outcome: 'unknown' };
  assert.deepEqual(verdict('w1 w1 ra ra', [lost, r('ra', 0)]), []);
  assert.deepEqual(verdict('w1 w1 ra ra rb rb', [lost, r('ra', 0), r('rb', 1)]), []);
  assert.deepEqual(verdict('w1 w1 ra ra rb rb', [lost, r('ra', 1), r('rb', 0)]), ['INV-2']);
  assert.deepEqual(verdict('w1 w1 ra ra w2 w2 rb rb', [lost, w2, r('ra', 1), r('rb', 1)]), ['INV-2']);
  const lostZero: Step = { name: 'z', kind: 'trim', value: 0, outcome: 'unknown' };
  assert.deepEqual(verdict('w1 w1 z z ra ra rb rb', [w1, lostZero, r('ra', 1), r('rb', 0)]), []);
});

test('a stale read is found, and told in its two or three operations', () => {
  const steps = [w1, w2, r('rb', 2), r('rc', 2), r('ra', 1)];
  const { violations } = checkLinearizability(
    historyOf('w1 w1 rx rx w2 w2 rb rb rc rc ra ra', [...steps, r('rx', 1)]),
    name,
  );
  assert.equal(violations.length, 1);
  assert.equal(violations[0]?.invariant, 'INV-2');
  assert.deepEqual(violations[0]?.story.length, 3, 'write 1, write 2, the read of 1');
  assert.match(violations[0]?.story.join('\n') ?? '', /read saw value 1/);
});

test('a read that goes back in time is found: new, then old, with both writes under way', () => {
  assert.deepEqual(verdict('w1 w1 w2 ra ra rb rb w2', [w1, w2, r('ra', 2), r('rb', 1)]), ['INV-2']);
});

test('a resurrected write is found', () => {
  const steps = [w1, w2, r('ra', 2), r('rb', 1)];
  assert.deepEqual(verdict('w1 w1 w2 w2 ra ra rb rb', steps), ['INV-2']);
  const zero: Step = { name: 'z', kind: 'zero', value: 0 };
  assert.deepEqual(verdict('w1 w1 z z rz rz rb rb', [w1, zero, r('rz', 0), r('rb', 1)]), ['INV-2']);
});

test('a value whose host was told that the write failed is found (INV-5)', () => {
  assert.deepEqual(verdict('w1 w1 ra ra', [{ ...w1, outcome: 'failed' }, r('ra', 1)]), ['INV-5']);
});

test('a value that nobody wrote there is found', () => {
  assert.deepEqual(verdict('w1 w1 ra ra', [w1, r('ra', 9)]), ['INV-2']);
  assert.deepEqual(verdict('w1 w1 ra ra', [w1, r('ra', -1)]), ['INV-2']);
});

test('a lost acknowledged write is named by the durability checker', () => {
  const history = historyOf('w1 w1 w2 w2 ra ra', [w1, w2, r('ra', 1)]);
  const found = checkDurability(history, new Set([3]), name);
  assert.equal(found.length, 1);
  assert.match(found[0]?.summary ?? '', /acknowledged write op 2 of value 2 is lost/);
  const kept = historyOf('w1 w2 w1 w2 ra ra', [w1, w2, r('ra', 1)]);
  assert.deepEqual(checkDurability(kept, new Set([3]), name), [], 'of overlapping writes either may be last');
  const gone = historyOf('w1 w1', [w1]);
  assert.equal(checkDurability(gone, new Set([9]), name).length, 1, 'acknowledged and unreadable is lost too');
});

function replica(slot: number, fields: Partial<CoreletInspection['replicas'][number]>, start = 1): CoreletInspection {
  const base = { arc: 0, generation: 1, role: 'follower', term: 3, commitIndex: 9, appliedIndex: 9, complete: true };
  const durableTerm = fields.term ?? base.term;
  const replicas = [{ ...base, durableTerm, voters: ['a.1', 'b.1', 'c.1'], digest: () => 'same', ...fields }];
  return { slot, id: 'abc'[slot] as string, start, replicas: replicas as unknown as CoreletInspection['replicas'] };
}

test('two leaders in one term are found, even when they never live at the same moment', () => {
  const watch = new ReplicaWatch();
  watch.observe([replica(0, { role: 'leader' })], 1);
  watch.observe([replica(1, { role: 'leader', term: 4 })], 2);
  assert.equal(watch.violations.length, 0);
  watch.observe([replica(2, { role: 'leader', term: 3 })], 3);
  assert.equal(watch.violations[0]?.invariant, 'INV-3');
});

test('a replica that forgets its term over a restart, or its commit index within one life, is found', () => {
  const forgetful = new ReplicaWatch();
  forgetful.observe([replica(0, { term: 5 }, 1)], 1);
  forgetful.observe([replica(0, { term: 5, commitIndex: 2, appliedIndex: 2 }, 2)], 2);
  assert.equal(forgetful.violations.length, 0, 'commit may be learned anew');
  forgetful.observe([replica(0, { term: 4 }, 3)], 3);
  assert.match(forgetful.violations[0]?.summary ?? '', /forgot term 5/);
  const hasty = new ReplicaWatch();
  hasty.observe([replica(0, { term: 5, durableTerm: 4 }, 1)], 1);
  hasty.observe([replica(0, { term: 4 }, 2)], 2);
  assert.equal(hasty.violations.length, 0, 'nothing was told of a term that is not durable yet');
  const backwards = new ReplicaWatch();
  backwards.observe([replica(0, {})], 1);
  backwards.observe([replica(0, { commitIndex: 8, appliedIndex: 8 })], 2);
  assert.match(backwards.violations[0]?.summary ?? '', /went back/);
});

test('replicas that differ at the same index are found, at once or one after the other', () => {
  const watch = new ReplicaWatch();
  watch.compare([replica(0, {}), replica(1, { appliedIndex: 8, digest: () => 'older' })], 1);
  assert.equal(watch.violations.length, 0);
  watch.compare([replica(2, { digest: () => 'other' })], 2);
  assert.equal(watch.violations[0]?.invariant, 'INV-6');
});

test('an arc that is not whole says why', () => {
  const expected = { arcs: 1, copies: 3 };
  const leader = replica(0, { role: 'leader' });
  assert.deepEqual(whyNotConverged([leader, replica(1, {}), replica(2, {})], expected), []);
  const why = (...corelets: CoreletInspection[]) => whyNotConverged(corelets, expected)[0] ?? '';
  assert.match(why(replica(0, {}), replica(1, {}), replica(2, {})), /no leader/);
  assert.match(why(leader, replica(1, {})), /2 of 3 voters/);
  assert.match(why(leader, replica(1, {}), replica(2, { appliedIndex: 4 })), /applied 4/);
  assert.match(why(leader, replica(1, {}), replica(2, { complete: false })), /isn't complete/);
  assert.match(why(leader, replica(1, {}), replica(2, { digest: () => 'other' })), /differs/);
});

const seededFaults: readonly (readonly [Fault, RegExp])[] = [
  ['stale-read', /INV-2/],
  ['lost-write', /INV-[12]/],
  ['resurrected-write', /INV-2/],
  ['failed-write-lands', /INV-5/],
  ['torn-block', /INV-2/],
  ['diverged-replica', /INV-6/],
  ['two-leaders', /INV-3/],
  ['forgotten-term', /INV-3/],
  ['never-whole', /INV-9/],
  ['hangs', /INV-9/],
];

test('a correct cluster passes the whole simulator', async () => {
  let unknown = 0;
  for (let seed = 1; seed <= 4; seed++) {
    const report = await runOnce(standInRun(seed));
    assert.deepEqual(report.violations, []);
    assert(report.operations >= 4000);
    assert.equal(report.uncheckedRegisters, 0);
    unknown += report.unknown;
  }
  assert(unknown > 0, 'gateways died with operations under way');
});

for (const [fault, invariant] of seededFaults) {
  test(`the whole simulator notices a cluster with: ${fault}`, async () => {
    const report = await runOnce(standInRun(1, fault));
    assert.match(report.violations.map((violation) => violation.invariant).join(' '), invariant);
  });
}
