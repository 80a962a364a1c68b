import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { type DemoChassis, startChassis } from '../chassis.ts';
import { eventually } from '../commands.ts';
import { ensureGuest, runGuest, startGuest } from '../guest/guest.ts';
import { multipathJob, type Ports, reservationJob, transferJob, volumeJob } from './jobs.ts';

// The Linux kernel's own NVMe/TCP initiator, and nvme-cli, against the demo as a user starts it.

const slots = 3;
const jobLimitMs = 200_000;
/** How long the guest writes while a Corelet is pulled and put back. */
const loadSeconds = 24;
let chassis: DemoChassis | undefined;
let folder: string | undefined;

before(async () => {
  folder = await ensureGuest();
  if (folder !== undefined) chassis = await startChassis({ slots, volume: 'demo:512MiB' });
});
after(() => chassis?.stop());

function withGuest(promise: string, body: (t: TestContext, ports: Ports, guest: string) => Promise<void>): void {
  test(`Linux: ${promise}`, { timeout: jobLimitMs + 30_000 }, async (t) => {
    if (folder === undefined || chassis === undefined) return t.skip("a guest can't be made here");
    const ports = { volumes: chassis.nvmePort, discovery: chassis.nvmeDiscoveryPort, slots };
    await body(t, ports, folder);
  });
}

withGuest(
  'discovers, connects, shows, makes file systems, compares, discards, disconnects; digests and reservations',
  async (t, ports, guest) => {
    const jobs = [volumeJob(ports, '-i 2'), transferJob(ports, '-g -G'), reservationJob(ports)];
    const { console: printed, tookMs } = await runGuest(guest, jobs.join('\n'), jobLimitMs);
    assert.equal(printed.split('\n').filter((line) => line === 'DONE').length, jobs.length, printed);
    assert.doesNotMatch(printed, /I\/O error|I\/O Cmd/, 'no command of the kernel failed');
    t.diagnostic(`the guest took ${Math.round(tookMs / 1000)} s`);
  },
);

withGuest(
  'writes over all paths while a Corelet is pulled, and uses its path again when it is back',
  async (t, ports, guest) => {
    const demo = chassis as DemoChassis;
    const running = startGuest(guest, multipathJob(ports, 'round-robin', loadSeconds), jobLimitMs);
    await running.line(/^UNDER-LOAD/);
    const pulled = await demo.corelet(['slot', 'pull', '1', '--force']);
    assert.equal(pulled.code, 0, pulled.stderr);
    await eventually('the others have noticed', 20_000, async () => {
      const status = await demo.status();
      return status.slots.find(({ slot }) => slot === 1)?.state !== 'live' || undefined;
    });
    const inserted = await demo.corelet(['slot', 'insert', '1']);
    assert.equal(inserted.code, 0, inserted.stderr);
    const { console: printed, code } = await running.ended;
    assert.equal(code, 0, printed);
    t.diagnostic(printed.split('\n').find((line) => line.startsWith('LONGEST')) ?? 'no figure');
  },
);
