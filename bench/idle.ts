import { startChassis } from '../test/interop/chassis.ts';
import { cpuMicros } from '../test/interop/processes.ts';
import { rest } from '../test/interop/commands.ts';
import { runBench } from './command-line.ts';
import { fabricCounts } from './counts.ts';

const usage = `npm run bench:idle -- [--json] [--slots 24] [--seconds 30] [--settle 120]

A chassis at rest: processor time of all Corelets together, as a share of one core, and their messages per second. It is at
rest after some two minutes: until then leaders move to where they are wanted, and Node compiles what ran often.`;

const perCent = 10;

async function bench(slots: number, seconds: number, settleSeconds: number, json: boolean): Promise<void> {
  const chassis = await startChassis({ slots, limitMs: 180_000 });
  try {
    await chassis.full(180_000);
    await rest(1000 * settleSeconds);
    const records = chassis.slots();
    const pids = records.map(({ pid }) => pid);
    const admins = records.map(({ admin }) => admin);
    const before = await fabricCounts(admins);
    const cpuBefore = cpuMicros(pids);
    const began = performance.now();
    await rest(1000 * seconds);
    const cpu = cpuMicros(pids) - cpuBefore;
    const tookSeconds = (performance.now() - began) / 1000;
    const after = await fabricCounts(admins);
    const report = {
      schemaVersion: 1,
      bench: 'idle',
      slots,
      seconds: tookSeconds,
      corePercent: cpu / tookSeconds / 1e4,
      messagesPerSecond: (after.messages - before.messages) / tookSeconds,
      writesPerSecond: (after.frames - before.frames) / tookSeconds,
    };
    if (json) console.log(JSON.stringify(report));
    else {
      console.log(
        `${slots} slots at rest for ${seconds} s: ${report.corePercent.toFixed(1)} % of one core for all Corelets together ` +
          `(the bar: ${perCent} %), ${Math.round(report.messagesPerSecond)} messages/s in ` +
          `${Math.round(report.writesPerSecond)} writes/s between them`,
      );
    }
    if (report.corePercent > perCent) process.exitCode = 1;
  } finally {
    await chassis.stop();
  }
}

await runBench(usage, { slots: '24', seconds: '30', settle: '120' }, ({ slots, seconds, settle, json }) =>
  bench(Number(slots), Number(seconds), Number(settle), json),
);
