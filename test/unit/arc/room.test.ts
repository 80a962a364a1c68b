import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memberId } from '../../../src/arc/members.ts';
import { CopyRoom } from '../../../src/arc/room.ts';
import { type ArcId, blockBytes, type CoreletId } from '../../../src/base/ids.ts';
import type { Store } from '../../../src/store/store.ts';

// A flash that copies fill up refuses the writes of hosts. Several leaders choose the same flash in the same moment: only the flash's
// own Corelet knows what it has promised already.

const [one, two, three] = [1, 2, 3] as [ArcId, ArcId, ArcId];
const arcBytes = 30 * blockBytes;

function made(usedBlocks: number) {
  const held = new Map<ArcId, number>();
  const device = { usedBytes: usedBlocks * blockBytes, sizeBytes: 100 * blockBytes, syncs: 0 };
  const store = { fill: () => device, map: (arc: ArcId) => ({ blockCount: held.get(arc) ?? 0 }) };
  return { room: new CopyRoom(store as unknown as Store, 0.9), held, device };
}

test('copies are let in up to 90 % of the flash, what is promised and not there yet counted', () => {
  const { room, held, device } = made(30);
  assert(room.fits(one, arcBytes));
  room.promise(one, arcBytes);
  assert(room.fits(two, arcBytes), 'exactly 90 %');
  room.promise(two, arcBytes);
  assert(!room.fits(three, blockBytes));
  held.set(one, 30);
  device.usedBytes += arcBytes;
  assert(!room.fits(three, blockBytes), 'what has come counts as used, no longer as promised');
  room.release(two);
  assert(room.fits(three, arcBytes), 'a copy that is not wanted any more makes room for another');
});

test('offered again, a copy is measured against the rest that is still to come', () => {
  const { room, held, device } = made(60);
  room.promise(one, arcBytes);
  held.set(one, 20);
  device.usedBytes += 20 * blockBytes;
  assert(room.fits(one, arcBytes));
  assert(!room.fits(one, arcBytes + blockBytes));
});

test('what is there already, of an earlier life, and an arc without data come in however full the flash is', () => {
  const { room, held } = made(99);
  held.set(one, 30);
  assert(room.fits(one, arcBytes));
  assert(room.fits(two, 0));
  assert(!room.fits(two, blockBytes));
});

test('who said that it has no room is believed for 10 s, then asked again', () => {
  const { room } = made(0);
  const id = 'a'.repeat(32) as CoreletId;
  room.refused(memberId(id, 7), 1000);
  assert(room.isRefused(id, 10_999) && room.isRefused(memberId(id, 7), 10_999));
  assert(!room.isRefused(memberId(id, 8), 1000), 'another copy to it, already let in, goes on');
  assert(!room.isRefused(id, 11_000));
});
