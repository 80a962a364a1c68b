import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { attach, codeOf, discoveryNqn, identifyOf, logOf, openQueue, readOf, writeOf } from '../../unit/nvme/host.ts';
import type { Asked, Initiator } from '../../unit/nvme/initiator.ts';
import { type DemoChassis, startChassis } from '../chassis.ts';
import { eventually } from '../commands.ts';

// The demo as a user starts it, and a host of our own at every Corelet.

const slots = 3;
const subsystemNqn = 'nqn.2026-01.io.corelet:demo';
let chassis: DemoChassis;

before(async () => {
  chassis = await startChassis({ slots, volume: 'demo:64MiB' });
});
after(() => chassis.stop());

async function queueAt(slot: number, hostId = 7): Promise<Initiator> {
  const port = chassis.nvmePort + slot;
  return openQueue(port, await attach(port, { subsystemNqn, hostId }));
}

test('what is written through one Corelet is read through every other, and all tell the same namespace', async () => {
  const queues = await Promise.all(Array.from({ length: slots }, (_, slot) => queueAt(slot)));
  for (const [slot, queue] of queues.entries()) {
    const data = Buffer.alloc(300 * 512, slot + 1);
    await queue.well(writeOf(2000 + 5 * slot, data));
    for (const other of queues) assert.ok((await other.well(readOf(2000 + 5 * slot, 300))).data.equals(data));
  }
  const hosts = await Promise.all(queues.map((_, slot) => attach(chassis.nvmePort + slot, { subsystemNqn })));
  const ids = await Promise.all(
    hosts.map(async ({ admin }) => (await admin.well(identifyOf(3, 1))).data.toString('hex')),
  );
  assert.equal(new Set(ids).size, 1, 'one NGUID and UUID');
  assert.equal(new Set(hosts.map(({ cntlid }) => cntlid)).size, slots, 'no controller id twice');
});

test('discovery at any Corelet names the volume through all of them, and forgets one that was pulled', async () => {
  const { admin } = await attach(chassis.nvmeDiscoveryPort, { subsystemNqn: discoveryNqn });
  const records = async (): Promise<{ readonly generation: number; readonly ports: readonly string[] }> => {
    const log = (await admin.well(logOf(0x70, 1024 * 16))).data;
    const count = Number(log.readBigUInt64LE(8));
    const entries = Array.from({ length: count }, (_, i) => log.subarray(1024 * (i + 1), 1024 * (i + 2)));
    const volumes = entries.filter((entry) => entry[2] === 2);
    const ports = volumes.map((entry) => entry.subarray(32, 64).toString('latin1').trim());
    return { generation: Number(log.readBigUInt64LE(0)), ports };
  };
  const all = Array.from({ length: slots }, (_, slot) => String(chassis.nvmePort + slot));
  const before = await records();
  assert.deepEqual(before.ports, all);
  assert.equal((await chassis.corelet(['slot', 'pull', '2', '--force'])).code, 0);
  const without = await eventually('the pulled one is forgotten', 20_000, async () => {
    const now = await records();
    return now.ports.length === slots - 1 ? now : undefined;
  });
  assert.deepEqual(without.ports, all.slice(0, 2));
  assert.ok(without.generation > before.generation);
  assert.equal((await chassis.corelet(['slot', 'insert', '2'])).code, 0);
  await eventually('it is back', 20_000, async () => ((await records()).ports.length === slots ? true : undefined));
});

function keysOf(key: bigint, other = 0n): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(key, 0);
  bytes.writeBigUInt64LE(other, 8);
  return bytes;
}
const register = (key: bigint): Asked => ({ opcode: 0x0d, nsid: 1, cdw10: 0, data: keysOf(0n, key) });
const acquire = (key: bigint, action: number, type: number, victim = 0n): Asked => ({
  opcode: 0x11,
  nsid: 1,
  cdw10: action | (type << 8),
  data: keysOf(key, victim),
});
const report: Asked = { opcode: 0x0e, nsid: 1, cdw10: 63, cdw11: 1, roomBytes: 256 };

test('a reservation through one Corelet holds at every other; after a preemption its holder writes nothing any more', async () => {
  const [mine, theirs, elsewhere] = await Promise.all([queueAt(0, 1), queueAt(1, 2), queueAt(1, 1)]);
  await mine.well(register(0x11n));
  await mine.well(acquire(0x11n, 0, 1));
  const write = writeOf(64, Buffer.alloc(4096, 9));
  assert.equal(codeOf(await theirs.command(write)), '83', 'another host');
  await theirs.well(readOf(64, 8));
  await elsewhere.well(write);
  const told = (await theirs.well(report)).data;
  assert.deepEqual([told[4], told.readUInt16LE(5), told.readBigUInt64LE(64 + 8)], [1, 1, 0x11n]);
  assert.ok(
    told.subarray(64 + 16, 64 + 32).every((byte) => byte === 1),
    'the host is named',
  );
  await theirs.well(register(0x22n));
  assert.equal(codeOf(await theirs.command(acquire(0x22n, 0, 1))), '83');
  await theirs.well(acquire(0x22n, 1, 1, 0x11n));
  assert.equal(codeOf(await mine.command(write)), '83', 'preempted');
  await theirs.well(write);
  await theirs.well({ opcode: 0x15, nsid: 1, cdw10: 1, data: keysOf(0x22n).subarray(0, 8) });
  await mine.well(write);
});

test('whoever is connected is listed', async () => {
  const queue = await queueAt(1);
  const { code, stdout } = await chassis.corelet(['sessions', '--json']);
  assert.equal(code, 0);
  const { sessions } = JSON.parse(stdout) as { sessions: { protocol: string; slot: number; volume: string | null }[] };
  assert.ok(sessions.some(({ protocol, slot, volume }) => protocol === 'nvme' && slot === 1 && volume === 'demo'));
  queue.close();
});

test('a volume that asks for proof lets no host in that gives none', async () => {
  const change = { chap: { initiator: { name: 'host', secret: 'a secret of enough bytes' } } };
  const access = async (body: unknown): Promise<number> => {
    const headers = { 'content-type': 'application/json' };
    const url = `${chassis.adminUrl(0)}/api/volumes/demo/access`;
    return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).status;
  };
  assert.equal(await access(change), 200);
  await assert.rejects(attach(chassis.nvmePort + 1, { subsystemNqn }), /status 4191h/);
  assert.equal(await access({ chap: null }), 200);
  await attach(chassis.nvmePort + 1, { subsystemNqn });
});
