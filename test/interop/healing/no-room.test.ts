import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { CoreletStatus } from '../../../src/corelet/types.ts';
import { type DemoChassis, startChassis } from '../chassis.ts';
import { NbdConnection } from '../nbd-connection.ts';

// A cluster that heals itself full can't be written to any more, for the sake of copies.

const mebibyte = 1024 * 1024;
const copyFillMax = 0.9;

async function statusOf(chassis: DemoChassis): Promise<CoreletStatus> {
  return (await chassis.status()) as unknown as CoreletStatus;
}

function fullest(status: CoreletStatus): number {
  const fills = status.slots.filter(({ state }) => state === 'live').map((slot) => slot.usedBytes / slot.sizeBytes);
  return Math.max(...fills);
}

test('a module is lost and there is no room for all its copies: healing stops at 90 %, says so, and goes on when there is room', {
  timeout: 120_000,
}, async (t: TestContext) => {
  const chassis = await startChassis({ slots: 4, volume: 'demo:512MiB', more: ['--flash', '256MiB'] });
  t.after(() => chassis.stop());
  const host = await NbdConnection.open(chassis.nbdPort, 'demo');
  t.after(() => host.close());
  const { sizeBytes } = (await statusOf(chassis)).slots[0] ?? { sizeBytes: 0 };
  // On three of four now; on three of three it would be 95 %.
  const count = Math.floor((0.95 * sizeBytes) / mebibyte);
  for (let i = 0; i < count; i++) await host.write(i * mebibyte, Buffer.alloc(mebibyte, i + 1));
  await chassis.full();

  assert.equal((await chassis.corelet(['slot', 'pull', '3', '--force'])).code, 0);
  const waits = (status: unknown) => (status as CoreletStatus).arcs.waitingForRoom > 0;
  const braked = (await chassis.until('arcs wait for room', 30_000, waits)) as unknown as CoreletStatus;
  assert.match((await chassis.corelet(['status'])).stdout, /waits? for room.*[Ii]nsert a module, or delete or trim/);
  assert.match((await chassis.corelet(['events'])).stdout, /waits? for room|stays short of a copy/);
  assert(fullest(braked) <= copyFillMax, `${fullest(braked)}`);
  await host.write(count * mebibyte, Buffer.alloc(4096, 7)); // hosts go on

  for (let i = 0; i < count / 4; i++) await host.trim(i * mebibyte, mebibyte);
  const whole = (await chassis.until('all is whole again', 60_000, ({ arcs }) => arcs.full === arcs.total)) as unknown;
  assert.equal((whole as CoreletStatus).arcs.waitingForRoom, 0);
  assert(fullest(whole as CoreletStatus) <= copyFillMax);
  assert((await host.read((count - 1) * mebibyte, mebibyte)).equals(Buffer.alloc(mebibyte, count)));
});
