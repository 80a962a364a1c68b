import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RepairRig } from './repair-rig.ts';

// Who loses one of these gets an I/O error, or worse, while a good copy of the block lies on another Corelet (INV-7).

const shape = { slots: 3, arcs: 4, copies: 3 };

for (const how of ['flips', 'unreadable'] as const) {
  test(`blocks that go bad on one flash under load (${how}) are answered from the others, and mended`, async () => {
    const rig = new RepairRig(how === 'flips' ? 11 : 12, shape, 4000);
    await rig.begin();
    await rig.work(500);
    for (let round = 0; round < 20 && !rig.workload.done; round++) {
      rig.rot(0, 150, how);
      await rig.work(250);
    }
    await rig.judge();
    assert(rig.events('flash.repaired') > 10, `blocks were mended\n${rig.story()}`);
    rig.end();
  });
}

test('a mended block stays mended over a restart: the repair is in the log', async () => {
  const rig = new RepairRig(13, shape, 2000);
  await rig.begin();
  await rig.work(60_000);
  rig.rot(0, 400, 'flips');
  await rig.judge();
  const mended = rig.events('flash.repaired');
  assert(mended > 0, 'blocks were mended');
  rig.cluster.crash(0);
  await rig.engine.run(rig.engine.nowMs + 50);
  const started = rig.cluster.start(0);
  assert(await rig.engine.settle(started, 10_000), 'it starts');
  await rig.judge();
  assert.equal(rig.events('flash.repaired'), mended, rig.story());
  rig.end();
});
