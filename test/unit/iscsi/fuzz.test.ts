import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prng } from '../../../src/base/prng.ts';
import { until } from '../nbd/session-client.ts';
import { hostilePdu } from './hostile-pdu.ts';
import { Initiator, pattern, TestTarget } from './initiator.ts';

const cases = 10_000;
const seed = 20_261_128;

test(`${cases} hostile PDUs in and before sessions: no crash, no memory without end; a session beside them notices nothing`, async (t) => {
  const random = new Prng(seed);
  const target = new TestTarget({}, 64 * 1024 * 1024);
  const neighbour = await new Initiator(target).start({ name: 'iqn.2026-01.test:neighbour' });
  const mine = pattern(4096);
  const lba = 100_000;
  let sessions = 0;
  let initiator: Initiator | undefined;
  for (let sent = 0; sent < cases; sent++) {
    if (initiator === undefined || initiator.isClosed || random.chance(0.01)) {
      initiator?.connection.closed();
      initiator = new Initiator(target);
      sessions += 1;
      const keys = [['InitialR2T', random.chance(0.5) ? 'Yes' : 'No'] as const];
      if (random.chance(0.9)) await initiator.start({ keys, isid: sessions.toString(16).padStart(12, '0') });
    }
    initiator.connection.receive(hostilePdu(random));
    if (random.chance(0.2)) await new Promise((resolve) => setImmediate(resolve));
    initiator.received.length = 0;
    if (sent % 500 === 0) {
      // Read and write right on: a reset by a stranger costs a unit attention, and nothing else.
      let written = await neighbour.write(lba, mine);
      while (written.status !== 0) {
        assert.equal((written.sense[2] as number) & 15, 6, 'a unit attention');
        written = await neighbour.write(lba, mine);
      }
      assert.deepEqual((await neighbour.read(lba, 8)).data, mine);
    }
  }
  initiator?.connection.closed();
  await until(() => target.target.sessions().length === 1, 'only the neighbour is left');
  assert.ok(!neighbour.isClosed);
  t.diagnostic(`${sessions} sessions`);
});
