import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startChassis } from '../chassis.ts';
import { eventually, rest } from '../commands.ts';
import { NbdConnection } from '../nbd-connection.ts';

/** Longer than a command may be old when it is carried out (T_life, 1 s). */
const standsStillMs = 2_500;

test('a Corelet that stood still closes the connections of its hosts unread, and tells why', async (t) => {
  const chassis = await startChassis({ slots: 3 });
  t.after(() => chassis.stop());
  await chassis.full();
  const stalled = chassis.slots()[1];
  assert.ok(stalled !== undefined);
  const port = chassis.nbdPort + stalled.slot;
  const host = await NbdConnection.open(port, 'demo');
  await host.write(0, Buffer.alloc(4096, 1));
  process.kill(stalled.pid, 'SIGSTOP');
  const late = assert.rejects(host.write(0, Buffer.alloc(4096, 2)), 'what waited is not carried out late');
  await rest(standsStillMs);
  process.kill(stalled.pid, 'SIGCONT');
  await late;
  await eventually('it is told', 30_000, async () => {
    const { stdout } = await chassis.corelet(['events']);
    return /stood still for \d+\.\d s and closed a host's connection: .*Hosts connect again/.test(stdout)
      ? true
      : undefined;
  });
  const again = await eventually('connected again', 30_000, () =>
    NbdConnection.open(port, 'demo').catch(() => undefined),
  );
  t.after(() => again.close());
  assert.ok((await again.read(0, 4096)).equals(Buffer.alloc(4096, 1)));
});
