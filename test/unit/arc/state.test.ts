import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Reader, Writer } from '../../../src/base/bytes.ts';
import type { VolumeId } from '../../../src/base/ids.ts';
import type { Command } from '../../../src/arc/command.ts';
import { epochActions } from '../../../src/wire/peer/types.ts';
import { ArcState, stateLimits } from '../../../src/arc/state.ts';

const volume = 7 as VolumeId;
const range = { volume, layer: 0, chunk: 0, firstBlock: 0, blockCount: 1 };
const session = 1;

/** A state with one session and one volume at epoch 1; `apply` gives entries the next index. */
function started() {
  const state = new ArcState();
  let index = 0;
  const apply = (command: Command) => state.apply(command, command.kind === 'write' ? range : undefined, ++index);
  apply({ kind: 'openSession', session, number: 0, lowestOpen: 0 });
  apply({ kind: 'epoch', session, number: 1, lowestOpen: 1, volume, epoch: 1, action: 'create' });
  return { state, apply };
}

const write = (number: number, lowestOpen = 2, epoch = 1): Command => ({
  kind: 'write',
  session,
  number,
  lowestOpen,
  epoch,
});
const cancel = (number: number): Command => ({ kind: 'cancel', session, number, lowestOpen: 2 });

function copyOf(state: ArcState): ArcState {
  const writer = new Writer();
  state.encode(writer);
  const reader = new Reader(writer.copy());
  const copy = ArcState.decode(reader);
  reader.done();
  return copy;
}

test('INV-5: a cancelled operation never happens: copies that come later do nothing, on copies of the state too', () => {
  const { state, apply } = started();
  assert.equal(apply(cancel(5)).outcome.code, 'cancelled');
  const late = apply(write(5));
  assert.deepEqual([late.outcome.code, late.blocks], ['cancelled', false]);
  assert.equal(copyOf(state).answerOf(session, 5)?.code, 'cancelled');
});

test('cancelling what was applied tells how it ended: the host’s write counts', () => {
  const { apply } = started();
  const first = apply(write(5)).outcome;
  const answer = apply(cancel(5));
  assert.deepEqual([answer.outcome, answer.blocks], [first, false]);
});

test('a fenced operation leaves no trace and can still be cancelled', () => {
  const { state, apply } = started();
  apply({ kind: 'epoch', session, number: 2, lowestOpen: 2, volume, epoch: 4, action: 'raise' });
  assert.equal(apply(write(5, 2, 3)).outcome.code, 'fenced');
  assert.equal(state.answerOf(session, 5), undefined);
  assert.equal(apply(cancel(5)).outcome.code, 'cancelled');
});

test('a compare-and-write that differed gets the same answer again, whatever has been written since', () => {
  const { apply } = started();
  const miscompare: Command = {
    kind: 'miscompare',
    session,
    number: 5,
    lowestOpen: 2,
    volume,
    epoch: 1,
    byteOffset: 9,
  };
  const first = apply(miscompare);
  assert.deepEqual([first.outcome, first.blocks], [{ code: 'miscompare', version: 9 }, false]);
  apply(write(6));
  const retried = apply(write(5)); // the retry's leader compared anew, and found it equal
  assert.deepEqual([retried.outcome, retried.blocks], [first.outcome, false]);
});

test('data of a newer epoch fences what is older at once; older raises change nothing', () => {
  const { apply } = started();
  assert.equal(apply(write(5, 2, 3)).outcome.code, 'ok');
  assert.equal(apply(write(6, 2, 2)).outcome.code, 'fenced');
  apply({ kind: 'epoch', session, number: 7, lowestOpen: 2, volume, epoch: 2, action: 'raise' });
  assert.equal(apply(write(8, 2, 2)).outcome.code, 'fenced');
});

test('a raise that comes late does not bring a dropped volume back: nobody would ever free what is written to it', () => {
  const { state, apply } = started();
  apply({ kind: 'epoch', session, number: 2, lowestOpen: 2, volume, epoch: 2, action: 'drop' });
  const late = apply({ kind: 'epoch', session, number: 3, lowestOpen: 2, volume, epoch: 3, action: 'raise' });
  assert.equal(late.outcome.code, 'fenced');
  assert.equal(state.epochs.has(volume), false);
  assert.equal(apply(write(4, 2, 9)).outcome.code, 'fenced');
});

test('a maker that slept tells of a volume that was dropped since: it stays dropped, on a copy of the state, too', () => {
  const { state, apply } = started();
  apply({ kind: 'epoch', session, number: 2, lowestOpen: 2, volume, epoch: 2, action: 'drop' });
  const late = { kind: 'epoch', session, number: 3, lowestOpen: 2, volume, epoch: 1, action: 'create' } as const;
  assert.equal(apply(late).outcome.code, 'fenced');
  assert.equal(apply(write(4, 2, 1)).outcome.code, 'fenced');
  const copy = copyOf(state);
  assert.equal(copy.digest(0), state.digest(0));
  assert.deepEqual([copy.epochs.has(volume), copy.dropped.has(volume)], [false, true]);
  assert.equal(copy.apply(late, undefined, 100).outcome.code, 'fenced');
});

test('INV-8: of dropped volumes a bounded number is remembered, the newest', () => {
  const { state, apply } = started();
  for (let number = 2; number < stateLimits.droppedMax + 4; number++) {
    const dropped = (1000 + number) as VolumeId;
    apply({ kind: 'epoch', session, number, lowestOpen: number, volume: dropped, epoch: 2, action: 'drop' });
  }
  assert.equal(state.dropped.size, stateLimits.droppedMax);
  assert.deepEqual([state.dropped.has(1002 as VolumeId), state.dropped.has(1004 as VolumeId)], [false, true]);
});

test('INV-8: the window is full by number, so that the lowest open operation can always end and move it on', () => {
  const { state, apply } = started();
  const end = 2 + stateLimits.windowMax;
  for (let number = 3; number < end; number++) assert.equal(apply(write(number)).outcome.code, 'ok');
  assert.equal(apply(write(end)).outcome.code, 'windowFull');
  assert.equal(state.answerOf(session, end), undefined, 'not recorded: it may come again');
  assert.equal(apply(write(2)).outcome.code, 'ok');
  assert.equal(apply(write(end, end)).outcome.code, 'ok');
});

test('INV-8: keys are refused beyond their bytes, and room that is given back is room', () => {
  const { apply } = started();
  const value = new Uint8Array(60 * 1024);
  let number = 2;
  const set = (key: string, bytes: Uint8Array, expectedVersion = 0) => {
    const command: Command = { kind: 'key', session, number, lowestOpen: number, key, expectedVersion, value: bytes };
    number += 1;
    return apply(command).outcome;
  };
  const first = set('k0', value);
  let stored = 1;
  while (set(`k${stored}`, value).code === 'ok') stored += 1;
  assert.ok(
    stored * value.length <= stateLimits.keysBytesMax && (stored + 1) * value.length > stateLimits.keysBytesMax,
  );
  assert.equal(set('k0', new Uint8Array(0), first.version).code, 'ok');
  assert.equal(set('again', value).code, 'ok');
});

test('INV-8: answers of all sessions together are bounded: the session used longest ago is forgotten', () => {
  const { state, apply } = started();
  const sessions = Math.ceil(stateLimits.answersMax / stateLimits.windowMax) + 1;
  for (let id = 10; id < 10 + sessions; id++) {
    apply({ kind: 'openSession', session: id, number: 0, lowestOpen: 0 });
    for (let number = 1; number <= stateLimits.windowMax; number++) {
      apply({ kind: 'write', session: id, number, lowestOpen: 1, epoch: 1 });
    }
  }
  assert.equal(state.answerOf(10, 5), undefined);
  assert.equal(apply({ kind: 'write', session: 10, number: 5, lowestOpen: 1, epoch: 1 }).outcome.code, 'noSession');
  assert.equal(state.answerOf(9 + sessions, 5)?.code, 'ok');
});

test('INV-6: replicas that applied the same entries hold the same, whether they lived through them or were copied to', () => {
  const numbers = fc.integer({ min: 2, max: 12 });
  const commands: fc.Arbitrary<Command> = fc.oneof(
    fc.tuple(numbers, numbers, fc.nat(3)).map(([a, b, epoch]) => write(Math.max(a, b), Math.min(a, b), epoch)),
    numbers.map(cancel),
    fc.tuple(numbers, fc.nat(3), fc.constantFrom(...epochActions)).map<Command>(([number, epoch, action]) => ({
      kind: 'epoch',
      session,
      number,
      lowestOpen: 2,
      volume,
      epoch,
      action,
    })),
    fc.tuple(numbers, fc.nat(20), fc.uint8Array({ maxLength: 4 })).map<Command>(([number, expectedVersion, value]) => ({
      kind: 'key',
      session,
      number,
      lowestOpen: 2,
      key: 'k',
      expectedVersion,
      value,
    })),
    fc.constant<Command>({ kind: 'openSession', session: 2, number: 0, lowestOpen: 0 }),
  );
  fc.assert(
    fc.property(fc.array(commands, { maxLength: 40 }), fc.nat(40), (list, cut) => {
      const { state } = started();
      let copy: ArcState | undefined;
      for (const [i, command] of list.entries()) {
        if (i === cut) copy = copyOf(state);
        const outcome = state.apply(command, command.kind === 'write' ? range : undefined, 100 + i);
        if (copy !== undefined) {
          assert.deepEqual(copy.apply(command, command.kind === 'write' ? range : undefined, 100 + i), outcome);
        }
      }
      if (copy !== undefined) assert.equal(copy.digest(0), state.digest(0));
    }),
    { numRuns: 300 },
  );
});
