import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type ChassisStatus, startChassis } from '../chassis.ts';
import { ensureClient } from '../clients.ts';
import { runFio } from '../fio.ts';

const sizeBytes = 64 * 1024 * 1024;

test('a drained slot gives its copies away while hosts notice nothing, may be drawn, and comes back', {
  timeout: 240_000,
}, async (t: TestContext) => {
  if (!(await ensureClient('fio'))) return t.skip("fio is not installed and can't be");
  const chassis = await startChassis({ slots: 5, volume: 'demo:64MiB' });
  t.after(() => chassis.stop());
  const uri = chassis.nbdUri(0);
  await runFio({ uri, rw: 'write', blockSizeBytes: 1024 * 1024, queueDepth: 2, sizeBytes, seconds: 0 });
  await chassis.full();

  const planned = await chassis.corelet(['slot', 'drain', '2', '--dry-run']);
  assert.equal(planned.code, 0, planned.stderr);
  assert.equal((await stateOf(chassis.status(), 2)).state, 'live', 'a dry run changes nothing');

  let unavailable = 0;
  let looks = 0;
  const short: string[] = [];
  let drained = false;
  const draining = chassis.corelet(['slot', 'drain', '2', '--json', '--wait', '120']).finally(() => {
    drained = true;
  });
  const load = {
    uri,
    rw: 'randwrite',
    blockSizeBytes: 4096,
    queueDepth: 4,
    sizeBytes,
    seconds: 5,
    verify: true,
  } as const;
  const running = runFio(load);
  await chassis.until('drained', 120_000, ({ arcs, slots }) => {
    looks += 1;
    // A machine that stands still for a moment makes slots silent: that says nothing about copies, nor whether fio is served.
    const allHeard = slots.every(({ state }) => state === 'live' || state === 'draining');
    if (allHeard) unavailable += arcs.unavailable;
    if (allHeard && arcs.reduced > 0) short.push(`look ${looks}: ${arcs.reduced} of ${arcs.total} arcs`);
    return drained;
  });
  const done = await draining;
  assert.equal(done.code, 0, done.stderr + done.stdout);
  assert.equal(unavailable, 0, 'every arc was served at every look');
  assert.deepEqual(short, [], `no arc was short of a complete copy at any of ${looks} looks`);
  assert.equal((await running).errors, 0);
  const { copies, safeToPull } = await stateOf(chassis.status(), 2);
  assert.deepEqual({ copies, safeToPull }, { copies: 0, safeToPull: true });

  const undone = await chassis.corelet(['slot', 'drain', '2', '--undo']);
  assert.equal(undone.code, 0, undone.stderr);
  await chassis.until('copies again', 60_000, (status) => {
    const slot = status.slots.find((one) => one.slot === 2) as unknown as Slot | undefined;
    return slot?.state === 'live' && slot.copies > 0 && status.arcs.full === status.arcs.total;
  });
  // Two others can't hold three copies.
  for (const slot of [3, 4]) {
    assert.equal((await chassis.corelet(['slot', 'pull', String(slot), '--force'])).code, 0);
    await chassis.healedWithout(slot);
  }
  const refused = await chassis.corelet(['slot', 'drain', '2']);
  assert.equal(refused.code, 4, refused.stdout + refused.stderr);
});

interface Slot {
  readonly slot: number;
  readonly state: string;
  readonly copies: number;
  readonly safeToPull: boolean;
}

async function stateOf(status: Promise<ChassisStatus>, slot: number): Promise<Slot> {
  const found = (await status).slots.find((one) => one.slot === slot);
  assert(found !== undefined);
  return found as unknown as Slot;
}
