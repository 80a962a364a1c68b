import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Flash, FlashError } from '../../../src/ports/flash.ts';
import { layoutOf, segmentStart } from '../../../src/store/layout.ts';
import { Preparer } from '../../../src/store/preparer.ts';

const mebibyte = 1024 * 1024;

test('where the file system had no space it is asked again now and then, also when nobody writes', async () => {
  let nowMs = 0;
  let hasSpace = false;
  let asked = 0;
  const prepare = (): Promise<void> => {
    asked++;
    return hasSpace ? Promise.resolve() : Promise.reject(new FlashError('ENOSPC', 'no space'));
  };
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const ports = { flash: { prepare } as unknown as Flash, clock: { nowMs: () => nowMs } };
  const layout = layoutOf(256 * mebibyte, 8 * mebibyte);
  const start = segmentStart(layout, 0);
  const preparer = new Preparer(ports, layout, { segment: 0, position: start }, () => true);
  void preparer.before(start, start + 4096, 1);
  for (let i = 0; i < 32; i++) preparer.wrote(4096);
  await settled();
  assert.equal(preparer.isFull(), true);
  const before = asked;
  for (let i = 0; i < 100; i++) preparer.isFull();
  await settled();
  assert.equal(asked, before, 'not with every look');
  nowMs += 1001;
  preparer.isFull();
  await settled();
  assert.deepEqual({ asked, full: preparer.isFull() }, { asked: before + 1, full: true });
  hasSpace = true;
  nowMs += 1001;
  preparer.isFull();
  await settled();
  assert.equal(preparer.isFull(), false, 'somebody made room');
});
