import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreletId } from '../../../src/base/ids.ts';
import { AddressBook } from '../../../src/corelet/address-book.ts';
import { Recorder } from '../../../src/corelet/recorder.ts';
import { type EventRecord, placeOf } from '../../../src/ports/events.ts';

const known = 'a'.repeat(32) as CoreletId;
const stranger = `${'b'.repeat(8)}${'0'.repeat(24)}` as CoreletId;

function recorded(event: Omit<EventRecord, 'atWallMs'>): Omit<EventRecord, 'atWallMs'> | undefined {
  const book = new AddressBook();
  book.learn([{ id: known, slot: 3, address: '127.0.0.1:1' }]);
  let last: Omit<EventRecord, 'atWallMs'> | undefined;
  const events = {
    record: (one: Omit<EventRecord, 'atWallMs'>) => {
      last = one;
    },
  };
  new Recorder(events, book).record(event);
  return last;
}

test('an event says in which slot it happened, wherever its text names a Corelet', () => {
  const text = `Copied arc 7 from ${placeOf(stranger)} to ${placeOf(known)}.`;
  assert.deepEqual(recorded({ kind: 'arc.copied', corelet: known, text }), {
    kind: 'arc.copied',
    corelet: known,
    slot: 3,
    text: 'Copied arc 7 from Corelet bbbbbbbb to slot 3.',
  });
});
