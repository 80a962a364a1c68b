import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { iscsiDoor } from '../../../src/corelet/doors.ts';
import { systemHashes } from '../../../src/platform/hashes.ts';
import { createRandom } from '../../../src/platform/random.ts';
import { openToAll } from '../../../src/volume/access.ts';
import { fakeCorelet, slotStatus, statusOf } from '../admin/fake-corelet.ts';
import { Initiator, senseText, type TestTarget } from '../iscsi/initiator.ts';
import { realClock } from '../nbd/clocks.ts';
import { MemoryCatalog, MemoryDevice } from '../nbd/memory-device.ts';

test('iSCSI: a path that comes or goes is told to hosts of the others, once, and nothing else is', async () => {
  let status = statusOf(3);
  const listeners: (() => void)[] = [];
  const corelet = {
    ...fakeCorelet(() => status),
    catalog: new MemoryCatalog(new MemoryDevice({ name: 'vol', sizeBytes: 1024 * 1024 })),
    rules: { rules: async () => openToAll, namesFor: async () => ['vol'] },
    onSlotsChanged: (run: () => void) => void listeners.push(run),
  };
  const options = { clock: realClock, random: createRandom(), hashes: systemHashes, portals: () => [] };
  const door = { target: iscsiDoor(corelet, options) } as unknown as TestTarget;
  const initiator = await new Initiator(door).start();
  const change = async (slots: typeof status.slots): Promise<void> => {
    status = statusOf(3, { slots });
    for (const run of listeners) run();
    await turn();
  };
  const ready = () => initiator.answer(initiator.command({}));
  const [first, second, third] = [slotStatus(0), slotStatus(1), slotStatus(2)];

  await change([first, second, slotStatus(2, { usedBytes: 5, leads: 3 })]);
  assert.equal((await ready()).status, 0, 'how full a slot is concerns no path');
  await change([first, second, slotStatus(2, { state: 'silent' })]);
  assert.equal(senseText((await ready()).sense), '6/2a/06');
  assert.equal((await ready()).status, 0);
  await change([first, second, slotStatus(2, { state: 'gone' })]);
  assert.equal((await ready()).status, 0, 'unavailable before and after');
  await change([first, second, third]);
  assert.equal(senseText((await ready()).sense), '6/2a/06');
  initiator.connection.closed();
});
