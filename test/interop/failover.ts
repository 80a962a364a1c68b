import { startChassis } from './chassis.ts';
import { eventually } from './commands.ts';
import { NbdConnection } from './nbd-connection.ts';

// How long hosts wait when a Corelet dies or stands still: one I/O to each of many chunks, begun right after it happened,
// through a Corelet that lives. Of each try the longest counts: that of an arc that was led there.
// usage: node test/interop/failover.ts [tries] [slots]

const tries = Number(process.argv[2] ?? 20);
const slots = Number(process.argv[3] ?? 6);
const chunkBytes = 1024 * 1024;
const chunks = 32;
/** Until leaders are where placement wants them again. */
const restMs = 5000;

const kinds = ['SIGKILL', 'SIGSTOP'] as const;
const chassis = await startChassis({ slots, volume: `demo:${chunks}MiB`, more: ['--no-open'] });
const longest = new Map<string, number[]>();

/** The longest of one read or write per chunk, in milliseconds. */
async function wave(host: NbdConnection, write: boolean): Promise<number> {
  const data = Buffer.alloc(4096, 1);
  const each = Array.from({ length: chunks }, async (_, chunk) => {
    const beganMs = performance.now();
    if (write) await host.write(chunk * chunkBytes, data);
    else await host.read(chunk * chunkBytes, data.length);
    return performance.now() - beganMs;
  });
  return Math.max(...(await Promise.all(each)));
}

async function one(kind: (typeof kinds)[number], turn: number): Promise<void> {
  const write = turn % 2 === 0;
  const slot = 1 + (turn % (slots - 1));
  const pid = chassis.slots().find((record) => record.slot === slot)?.pid;
  if (pid === undefined || pid <= 0) throw new Error(`slot ${slot} runs nothing`);
  const host = await NbdConnection.open(chassis.nbdPort, 'demo');
  for (let i = 0; i < 3; i++) await wave(host, i % 2 === 0);
  const usualMs = await wave(host, write);
  process.kill(pid, kind);
  const tookMs = await wave(host, write);
  host.close();
  const name = `${kind} ${write ? 'write' : 'read'}`;
  longest.set(name, [...(longest.get(name) ?? []), tookMs]);
  console.log(`${name} slot ${slot}: ${tookMs.toFixed(0)} ms, without a fault ${usualMs.toFixed(0)} ms`);
  if (kind === 'SIGSTOP') process.kill(pid, 'SIGCONT');
  else {
    await eventually(`slot ${slot} inserted again`, 30_000, async () =>
      (await chassis.corelet(['slot', 'insert', String(slot)])).code === 0 ? true : undefined,
    );
  }
  await new Promise((resolve) => setTimeout(resolve, restMs));
  await chassis.full();
}

try {
  await chassis.full();
  for (let turn = 0; turn < tries; turn++) for (const kind of kinds) await one(kind, turn);
} finally {
  await chassis.stop();
}
for (const [name, all] of longest) {
  const median = all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;
  console.log(`${name}: median ${median.toFixed(0)} ms, longest ${Math.max(...all).toFixed(0)} ms of ${all.length}`);
}
