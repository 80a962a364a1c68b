import { blockBytes, chunkBytes } from '../src/base/ids.ts';
import { type DemoChassis, startChassis } from '../test/interop/chassis.ts';
import { eventually, rest } from '../test/interop/commands.ts';
import { type Answer, HistoryConnection } from '../test/interop/history-connection.ts';
import { runBench } from './command-line.ts';
import { median } from './jobs.ts';

const usage = `npm run bench:failover -- [--json] [--tries 20] [--slots 6]

A host writes, one I/O at a time, to arcs that one Corelet leads, through another one; then that leader is killed
(SIGKILL), or paused (SIGSTOP). How long until the first I/O that is begun after that has completed.`;

const volumeBytes = 256 * 1024 * 1024;
const chunks = volumeBytes / chunkBytes;
/** Long enough for every answer that can come without the paused one, too short for anyone to elect. */
const lookMs = 60;
const gateway = 0;

const bars = { killed: 150, paused: 600 } as const;
type Fault = keyof typeof bars;

const done = (answer: Answer): void => {
  if (answer === 'lost' || 'error' in answer) throw new Error(`the host was told ${JSON.stringify(answer)}`);
};

/** Chunks whose arcs the Corelet with this pid leads: reads of them have no answer while it stands still for a moment. */
async function ledBy(pid: number, connection: HistoryConnection): Promise<number[]> {
  const silent = new Set<number>();
  let open = 0;
  process.kill(pid, 'SIGSTOP');
  try {
    for (let chunk = 0; chunk < chunks; chunk++) {
      silent.add(chunk);
      open++;
      connection.read(chunk * chunkBytes, blockBytes, (answer) => {
        done(answer);
        open--;
        silent.delete(chunk);
      });
    }
    await rest(lookMs);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  const led = [...silent];
  await eventually('all read', 30_000, () => (open === 0 ? true : undefined));
  return led;
}

/** Milliseconds from the fault to the end of the first write that began after it. */
async function tryOnce(chassis: DemoChassis, fault: Fault): Promise<number> {
  const connection = await HistoryConnection.open(chassis.nbdPort + gateway, 'demo');
  try {
    const { pid, slot, led } = await eventually('a leader', 60_000, async () => {
      const { slots } = (await chassis.status()) as unknown as { slots: { slot: number; leads: number }[] };
      const most = slots.filter((one) => one.slot !== gateway).sort((a, b) => b.leads - a.leads)[0];
      const record = chassis.slots().find((one) => one.slot === most?.slot);
      if (record === undefined) return undefined;
      const first = await ledBy(record.pid, connection);
      const again = new Set(await ledBy(record.pid, connection));
      const both = first.filter((chunk) => again.has(chunk));
      return both.length === 0 || both.length === chunks ? undefined : { ...record, led: both };
    });
    const data = new Uint8Array(blockBytes).fill(1);
    let faultMs = Number.POSITIVE_INFINITY;
    let turn = 0;
    const tookMs = new Promise<number>((resolve) => {
      const next = (): void => {
        const begunMs = performance.now();
        const chunk = led[turn++ % led.length] as number;
        connection.write(chunk * chunkBytes, data, (answer) => {
          done(answer);
          if (begunMs >= faultMs) resolve(performance.now() - faultMs);
          else next();
        });
      };
      next();
    });
    await rest(300 + Math.random() * 300);
    faultMs = performance.now();
    process.kill(pid, fault === 'killed' ? 'SIGKILL' : 'SIGSTOP');
    try {
      return await Promise.race([
        tookMs,
        rest(30_000).then(() => {
          throw new Error('no write completed within 30 s');
        }),
      ]);
    } finally {
      if (fault === 'paused') process.kill(pid, 'SIGCONT');
      else {
        await eventually(`slot ${slot} inserted again`, 30_000, async () =>
          (await chassis.corelet(['slot', 'insert', String(slot)])).code === 0 ? true : undefined,
        );
      }
    }
  } finally {
    connection.abandon();
  }
}

/** Until what the fault left is made good: every slot active again, every arc with all its copies. */
async function settled(chassis: DemoChassis): Promise<void> {
  await chassis.until('all slots back', 120_000, ({ slots, arcs }) => {
    const back = slots.filter(({ state }) => state === 'live' || state === 'spare').length;
    return back === chassis.slotCount && arcs.full === arcs.total && arcs.reduced === 0;
  });
  await rest(1500);
}

async function bench(tries: number, slots: number, json: boolean): Promise<void> {
  const chassis = await startChassis({ slots });
  try {
    await chassis.full();
    const report: Record<string, { medianMs: number; maxMs: number; eachMs: readonly number[] }> = {};
    for (const fault of ['killed', 'paused'] as const) {
      const eachMs: number[] = [];
      for (let i = 0; i < tries; i++) {
        await settled(chassis);
        eachMs.push(Math.round(await tryOnce(chassis, fault)));
      }
      const maxMs = Math.max(...eachMs);
      report[fault] = { medianMs: median(eachMs), maxMs, eachMs };
      if (maxMs > bars[fault]) process.exitCode = 1;
      if (!json) {
        console.log(
          `leader ${fault}: the next I/O to its arcs after ${median(eachMs)} ms (median), ${maxMs} ms (longest) ` +
            `of ${tries} tries; the bar: ${bars[fault]} ms\n  each: ${eachMs.join(' ')}`,
        );
      }
    }
    if (json) console.log(JSON.stringify({ schemaVersion: 1, bench: 'failover', slots, tries, ...report }));
  } finally {
    await chassis.stop();
  }
}

await runBench(usage, { tries: '20', slots: '6' }, ({ tries, slots, json }) =>
  bench(Number(tries), Number(slots), json),
);
