import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SimFlash } from '../../src/sim/flash.ts';
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
  // All that is bad there, also what nobody has read.
  assert(await rig.engine.settle(rig.cluster.handle(0)?.scrub() ?? Promise.reject(), 60_000), 'it scrubs');
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

test('a copy that a leader sends holds every block, also those whose map page is lost there', async () => {
  // Taken for not there: hosts read zeros, as soon as the copies that were made from it are a majority.
  const rig = new RepairRig(18, { slots: 4, arcs: 4, copies: 3 }, 4000, 24_000);
  await rig.begin();
  await rig.work(60_000);
  for (const pulled of [1, 2, 3]) {
    await rig.converge();
    rig.cluster.crash(pulled);
    assert(rig.ruinMapPages(0) > 0, 'map pages are on the flash');
    assert(await rig.engine.settle(rig.cluster.insertBlank(pulled), 20_000), 'a blank module starts');
    await rig.work(100);
  }
  await rig.judge('gateways pulled');
  assert(rig.events('arc.copied') > 0 && rig.events('flash.repaired') > 0, rig.story());
  rig.end();
});

test('blocks that no copy can give stay unreadable, and everything else becomes whole again without them', async () => {
  const rig = new RepairRig(19, { slots: 4, arcs: 4, copies: 3 }, 2000);
  await rig.begin();
  await rig.work(60_000);
  await rig.converge();
  rig.rotEverywhere(1, 2);
  rig.cluster.crash(1);
  assert(await rig.engine.settle(rig.cluster.insertBlank(1), 20_000), 'a blank module starts');
  await rig.converge();
  assert(rig.events('arc.blocks-lost') > 0, rig.story());
  rig.cluster.crash(1);
  await rig.restart(1);
  await rig.converge();
  const reads = await rig.engine.settle(rig.workload.readAll(1), 60_000);
  assert.equal(reads?.value, undefined, 'hosts are told that they are lost');
  assert.deepEqual(rig.cluster.violations, [], rig.story());
  rig.end();
});

/** A few batches before the newest: it was acknowledged, and what came after proves that it was there. */
function loseRecords(rig: RepairRig, slot: number): void {
  rig.cluster.crash(slot);
  const batch = rig.batchesOn(slot)[6];
  assert(batch !== undefined, 'the log has batches');
  rig.flip(slot, batch + 130);
}

test('a device that lost synced records comes back under new generations, and its arcs become whole again', async () => {
  const rig = new RepairRig(14, shape, 3000);
  await rig.begin();
  await rig.work(1500);
  loseRecords(rig, 1);
  await rig.work(300);
  await rig.restart(1);
  await rig.work(10_000);
  await rig.judge();
  assert.equal(rig.events('flash.lost-records'), 1, rig.story());
  assert(rig.events('arc.voter-added') >= shape.arcs, `its copies vote again\n${rig.story()}`);
  // The gap is still in the log: what was begun anew behind it stands.
  rig.cluster.crash(1);
  await rig.restart(1);
  await rig.judge();
  assert.equal(rig.events('flash.lost-records'), 1, rig.story());
  rig.end();
});

test('what it still holds is a base: only what differs travels again', async () => {
  const rig = new RepairRig(17, shape, 2000);
  await rig.begin();
  await rig.work(60_000);
  await rig.converge();
  loseRecords(rig, 1);
  const before = rig.cluster.events.length;
  await rig.restart(1);
  await rig.judge();
  const copies = rig.cluster.events.slice(before).filter(({ event }) => event.kind === 'arc.copied');
  const blocks = copies.reduce((sum, { event }) => sum + Number(event.data?.['blocks']), 0);
  assert.equal(copies.length, shape.arcs, rig.story());
  assert(blocks < 80, `${blocks} of about 100 blocks were sent`);
  rig.end();
});

test('a device put back to an earlier state learns from the others what it told, and begins anew', async () => {
  const rig = new RepairRig(15, shape, 3000);
  await rig.begin();
  await rig.work(800);
  const earlier = (rig.flashes[2] as SimFlash).clone();
  await rig.work(1500);
  rig.cluster.crash(2);
  (rig.flashes[2] as SimFlash).restore(earlier);
  await rig.work(50);
  await rig.restart(2);
  await rig.work(10_000);
  await rig.judge();
  assert(rig.events('arc.copy-doubted') > 0, rig.story());
  rig.end();
});

test('where a majority lost what it told, nobody is elected, and the arc says so', async () => {
  const rig = new RepairRig(16, shape, 3000);
  await rig.begin();
  await rig.work(1500);
  loseRecords(rig, 0);
  loseRecords(rig, 1);
  await rig.restart(0);
  await rig.restart(1);
  await rig.engine.run(rig.engine.nowMs + 10_000);
  assert(rig.events('arc.majority-lost') >= shape.arcs, rig.story());
  const replicas = rig.cluster.inspections().flatMap((corelet) => corelet.replicas);
  assert.deepEqual(
    replicas.filter(({ role }) => role === 'leader').map(({ arc }) => arc),
    [],
  );
  assert.deepEqual(rig.cluster.violations, []);
  rig.end();
});
