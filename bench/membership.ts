import { type DemoChassis, type SlotRecord, startChassis } from '../test/interop/chassis.ts';
import { eventually, rest } from '../test/interop/commands.ts';
import { runBench } from './command-line.ts';
import { median } from './jobs.ts';
import { SteadyHost } from './steady-host.ts';

const usage = `npm run bench:membership -- [--json] [--tries 5] [--slots 24]

One Corelet of a chassis is killed (SIGKILL), paused (SIGSTOP), or told to stop (SIGTERM: its last gasp). How long
until the views of all others are without it, by what each of them recorded itself; and the longest I/O of a host that goes on
meanwhile, one I/O at a time, through another one.`;

const faults = { killed: 'SIGKILL', paused: 'SIGSTOP', 'last gasp': 'SIGTERM' } as const;
type Fault = keyof typeof faults;
const ioBarMs = 1000;
const volumeBytes = 256 * 1024 * 1024;

interface Tried {
  readonly agreedMs: number;
  readonly longestIoMs: number;
}

const barsMs: Readonly<Record<Fault, number>> = { killed: 2000, paused: 3000, 'last gasp': 500 };

/** When this slot's Corelet recorded a view without the lost one, after `fromMs`. */
function removedAt(chassis: DemoChassis, slot: number, lost: string, fromMs: number): number | undefined {
  for (const event of chassis.recorded(slot).toReversed()) {
    if (event.atWallMs < fromMs) return undefined;
    if (event.kind === 'view.removed' && event.corelet === lost) return event.atWallMs;
  }
  return undefined;
}

/** Milliseconds until the last of the others had a view without `lost`, and the longest I/O until a while after that. */
async function tryOnce(chassis: DemoChassis, lost: SlotRecord, fault: Fault): Promise<Tried> {
  const others = chassis.slots().filter(({ slot }) => slot !== lost.slot);
  const host = await SteadyHost.open({ port: chassis.nbdPort + (others[0] as SlotRecord).slot, volumeBytes, depth: 1 });
  await rest(1000);
  const faultMs = performance.now();
  const fromMs = Date.now();
  process.kill(lost.pid, faults[fault]);
  try {
    // Looked for seldom, so that looking doesn't slow what is measured.
    const agreedMs = await eventually('all agreed', 30_000, async () => {
      await rest(500);
      const times = others.map(({ slot }) => removedAt(chassis, slot, lost.id, fromMs));
      return times.every((time) => time !== undefined) ? Math.max(...times) - fromMs : undefined;
    });
    const longestIoMs = host.longestMs(faultMs);
    if (host.failed !== undefined) throw new Error(`the host was told ${host.failed}`);
    return { agreedMs, longestIoMs };
  } finally {
    host.stop();
    if (fault === 'paused') process.kill(lost.pid, 'SIGCONT');
    else {
      await eventually(`slot ${lost.slot} inserted again`, 30_000, async () =>
        (await chassis.corelet(['slot', 'insert', String(lost.slot)])).code === 0 ? true : undefined,
      );
    }
  }
}

async function settled(chassis: DemoChassis): Promise<void> {
  await chassis.until('all slots back', 180_000, ({ slots, arcs }) => {
    const back = slots.filter(({ state }) => state !== 'gone' && state !== 'silent' && state !== 'joining').length;
    return back === chassis.slotCount && arcs.full === arcs.total && arcs.reduced === 0;
  });
  await rest(4000);
}

async function bench(tries: number, slots: number, json: boolean): Promise<void> {
  const chassis = await startChassis({ slots, limitMs: 180_000 });
  try {
    await chassis.full(180_000);
    const report: Record<
      string,
      { medianMs: number; maxMs: number; eachMs: readonly number[]; ioMs: readonly number[] }
    > = {};
    let turn = 0;
    for (const fault of Object.keys(faults) as Fault[]) {
      const eachMs: number[] = [];
      const ioMs: number[] = [];
      for (let i = 0; i < tries; i++) {
        await settled(chassis);
        const records = chassis.slots();
        // Another one each time: nobody is held down for flapping.
        const lost = records[turn++ % records.length] as SlotRecord;
        const tried = await tryOnce(chassis, lost, fault);
        eachMs.push(Math.round(tried.agreedMs));
        ioMs.push(Math.round(tried.longestIoMs));
      }
      const maxMs = Math.max(...eachMs);
      report[fault] = { medianMs: median(eachMs), maxMs, eachMs, ioMs };
      if (median(eachMs) > barsMs[fault] || Math.max(...ioMs) > ioBarMs) process.exitCode = 1;
      if (!json) {
        console.log(
          `${fault}: all others agreed after ${median(eachMs)} ms (median), ${maxMs} ms (longest) of ${tries} tries; ` +
            `the bar: ${barsMs[fault]} ms\n  each: ${eachMs.join(' ')}\n` +
            `  no I/O of the host failed, the longest took ${Math.max(...ioMs)} ms (the bar: ${ioBarMs} ms)\n  each: ${ioMs.join(' ')}`,
        );
      }
    }
    if (json) console.log(JSON.stringify({ schemaVersion: 1, bench: 'membership', slots, tries, ...report }));
  } finally {
    await chassis.stop();
  }
}

await runBench(usage, { tries: '5', slots: '24' }, ({ tries, slots, json }) =>
  bench(Number(tries), Number(slots), json),
);
