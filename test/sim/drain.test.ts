import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RepairRig } from './repair-rig.ts';

// Who drains a slot before drawing it does so in order to lose nothing, not even a copy: the next failure may come meanwhile.

const shape = { slots: 5, arcs: 8, copies: 3 };
const victim = 2;

/** Arcs whose leader goes by a configuration that lacks a complete copy now. */
function short(rig: RepairRig): string[] {
  const all = rig.cluster.inspections().flatMap(({ id, replicas }) => replicas.map((replica) => ({ id, replica })));
  const lacking: string[] = [];
  for (const { replica } of all.filter((one) => one.replica.role === 'leader')) {
    const held = all.filter(
      (one) =>
        one.replica.arc === replica.arc &&
        one.replica.complete &&
        replica.voters.includes(`${one.id}.${one.replica.generation}`),
    );
    if (held.length < shape.copies)
      lacking.push(`arc ${replica.arc}: ${held.length} of ${replica.voters.length} voters complete`);
  }
  return lacking;
}

/** By which voters each arc's leader goes. */
function configurations(rig: RepairRig): string {
  const all = rig.cluster.inspections().flatMap(({ replicas }) => replicas);
  const led = all.filter(({ role }) => role === 'leader').map(({ arc, voters }) => `${arc}:${voters.join()}`);
  return led.sort().join(' ');
}

test('draining a slot under load: no arc is ever short of a complete copy, and in the end the slot holds none', async () => {
  const rig = new RepairRig(41, shape, 2500);
  await rig.begin();
  await rig.work(1000);
  await rig.converge();
  const id = rig.cluster.slots[victim]?.id;
  assert(id !== undefined);
  const copiesThere = () => rig.cluster.inspections().find((one) => one.slot === victim)?.replicas.length ?? 0;
  const copiesAtFirst = copiesThere();
  assert(copiesAtFirst > 0, 'it holds copies at first');
  const asked = rig.cluster.handle(0)?.setMemberState(id as never, 'draining');
  assert(asked?.ok === true);
  const { engine } = rig;
  let known = configurations(rig);
  let changes = 0;
  const lacking: string[] = [];
  // After every event: who leads by which configuration; and whenever that is another one, whether it has all copies.
  const look = (): boolean => {
    const now = configurations(rig);
    if (now === known) return lacking.length > 0;
    known = now;
    changes += 1;
    lacking.push(...short(rig));
    return lacking.length > 0;
  };
  for (const until = engine.nowMs + 60_000; engine.nowMs < until && copiesThere() > 0; ) {
    await engine.run(engine.nowMs + 40, look);
    assert.deepEqual([...lacking, ...short(rig)], [], `${engine.nowMs.toFixed(1)} ms\n${rig.story()}`);
  }
  assert(changes >= copiesAtFirst, `${changes} configurations seen`);
  assert.equal(copiesThere(), 0, `everything moved off\n${rig.story()}`);
  await rig.judge();
  rig.end();
});
