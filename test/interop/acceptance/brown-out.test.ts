import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { chunkBytes } from '../../../src/base/ids.ts';
import type { EventRecord } from '../../../src/ports/events.ts';
import { type DemoChassis, isRunning, startChassis } from '../chassis.ts';
import { eventually } from '../commands.ts';
import { type Answer, HistoryConnection, kept } from '../history-connection.ts';

const slots = 5;
const volumeBytes = 64 * 1024 * 1024;

/** What this slot's Corelet recorded of changed views. */
function viewsOf(chassis: DemoChassis, slot: number): EventRecord[] {
  return chassis.recorded(slot).filter(({ kind }) => kind.startsWith('view.'));
}

async function ask(
  chassis: DemoChassis,
  slot: number,
  run: (host: HistoryConnection, done: (answer: Answer) => void) => void,
) {
  const host = await HistoryConnection.open(chassis.nbdPort + slot, 'demo');
  try {
    return await new Promise<Answer>((resolve) => run(host, (answer) => resolve(kept(answer))));
  } finally {
    host.abandon();
  }
}

test('both supplies fail: all say that they go, go by themselves, nobody is removed, and every acknowledged byte is there afterwards', async () => {
  const offsets = Array.from({ length: 8 }, (_, i) => i * chunkBytes);
  const volume = `demo:${volumeBytes / 1024 / 1024}MiB`;
  const chassis = await startChassis({ slots, volume });
  let again: DemoChassis | undefined;
  try {
    await chassis.full();
    for (const [i, offset] of offsets.entries()) {
      const answer = await ask(chassis, i % slots, (host, done) =>
        host.write(offset, new Uint8Array(4096).fill(i + 1), done),
      );
      assert.ok(typeof answer === 'object' && 'data' in answer, JSON.stringify(answer));
    }
    const members = Array.from({ length: slots }, (_, slot) => slot);
    const before = members.map((slot) => viewsOf(chassis, slot).length);
    const pids = chassis.slots().map(({ pid }) => pid);
    assert.equal((await chassis.corelet(['chassis', 'fail', 'psu', '1'])).code, 0);
    assert.ok((await chassis.corelet(['chassis', 'fail', 'psu', '2'])).code !== 0, 'not without --force');
    assert.equal((await chassis.corelet(['chassis', 'fail', 'psu', '2', '--force'])).code, 0);
    await eventually('all Corelets gone', 30_000, () => (pids.some(isRunning) ? undefined : true));
    for (const slot of members) {
      const log = readFileSync(join(chassis.data, 'slots', String(slot), 'log'), 'utf8');
      assert.match(log, /stopping \(no power supply is left\)[^]*stopped\n$/, `slot ${slot} went in good order`);
      assert.equal(viewsOf(chassis, slot).length, before[slot], `slot ${slot}: the chassis is found as it was`);
    }
    await chassis.stop({ keepData: true });
    for (const supply of ['1', '2']) {
      assert.equal((await chassis.corelet(['chassis', 'fail', 'psu', supply, '--mend'])).code, 0);
    }
    again = await startChassis({ slots, volume, data: chassis.data });
    await again.full();
    for (const [i, offset] of offsets.entries()) {
      const answer = await ask(again, (i + 1) % slots, (host, done) => host.read(offset, 4096, done));
      assert.ok(typeof answer === 'object' && 'data' in answer);
      assert.deepEqual(new Set(answer.data), new Set([i + 1]));
    }
  } finally {
    await (again ?? chassis).stop();
  }
});
