import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RepairRig } from './repair-rig.ts';

// A warning that comes with every change of leader is no warning: whoever reads "short of a copy" looks for a failure that there
// never was, and the next time doesn't look.

test('leaders change while every copy is complete: nobody ever says that an arc is short of one', async () => {
  const rig = new RepairRig(43, { slots: 5, arcs: 16, copies: 3 }, 1200);
  await rig.begin();
  await rig.work(1000);
  await rig.converge();
  const { cluster, engine } = rig;
  const leads = () =>
    cluster
      .inspections()
      .filter(({ slot }) => slot === 2)
      .flatMap(({ replicas }) => replicas.filter(({ role }) => role === 'leader')).length;
  const before = leads();
  assert(before > 0, 'it leads some arcs at first');
  cluster.slowFlash(4, 300); // its answers come last, long after a majority has made a leader
  // All that it leads goes to others, and the copies stay where they are.
  const id = cluster.slots[2]?.id;
  assert(cluster.handle(2)?.setMemberState(id as never, 'sitting-out').ok === true);
  assert(cluster.handle(0)?.setMemberState(id as never, 'sitting-out').ok === true);
  assert(cluster.handle(1)?.setMemberState(id as never, 'sitting-out').ok === true);
  for (const until = engine.nowMs + 8000; engine.nowMs < until; ) {
    await engine.run(engine.nowMs + 1);
    for (const slot of [0, 4]) {
      const { full, total } = cluster.handle(slot)?.status().arcs ?? {};
      assert.equal(full, total, `slot ${slot} at ${engine.nowMs} ms\n${rig.story()}`);
    }
  }
  assert.equal(leads(), 0, `of ${before}`);
  await rig.judge();
  rig.end();
});
