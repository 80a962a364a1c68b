import { blockBytes } from '../src/base/ids.ts';
import { type DemoChassis, type SlotRecord, startChassis } from '../test/interop/chassis.ts';
import { eventually, rest } from '../test/interop/commands.ts';
import { runBench } from './command-line.ts';
import { fillVolume, SteadyHost } from './steady-host.ts';

const usage = `npm run bench:misfits -- [--json] [--only slow|pulled|paused] [--slots 6]

slow     the flash of slot 5 answers ten times slower under a host's load: how soon it sits out, what the host notices, and how
         soon it is live again when its flash is well
pulled   slot 5 of a full volume is killed and put back, every five seconds for a minute: how often it is removed and taken back, how much of
         what it held is copied (at most once), and what the status says
paused   the same, stopped (SIGSTOP) and let go on`;

const misfit = 5;
const volumeBytes = 256 * 1024 * 1024;
const sitsOutWithinMs = 10_000;
const p99FactorMax = 1.5;
const windowMs = 15_000;
const flapMs = 5000;
const flapRounds = 6;
const ways = ['slow', 'pulled', 'paused'] as const;
type Way = (typeof ways)[number];

interface SlotState {
  readonly slot: number;
  readonly state: string;
  readonly usedBytes: number;
  readonly copies: number;
  readonly heldDownSeconds?: number;
  readonly flapScore?: number;
}

async function stateOf(chassis: DemoChassis): Promise<SlotState> {
  const { slots } = (await chassis.status()) as unknown as { slots: readonly SlotState[] };
  return slots.find(({ slot }) => slot === misfit) as SlotState;
}

/** Milliseconds until slot 5 is in that state. */
async function until(chassis: DemoChassis, state: string, limitMs: number): Promise<number> {
  const fromMs = performance.now();
  await eventually(`slot ${misfit} ${state}`, limitMs, async () =>
    (await stateOf(chassis)).state === state ? true : undefined,
  );
  return performance.now() - fromMs;
}

async function tell(chassis: DemoChassis, args: readonly string[]): Promise<void> {
  const { code, stderr } = await chassis.corelet(args);
  if (code !== 0) throw new Error(`corelet ${args.join(' ')}: ${stderr}`);
}

const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;

function tellResult(json: boolean, figures: object, text: string): void {
  console.log(json ? JSON.stringify({ schemaVersion: 1, bench: 'misfits', ...figures }) : text);
}

async function slow(chassis: DemoChassis, json: boolean): Promise<boolean> {
  const host = await SteadyHost.open({ port: chassis.nbdPort, volumeBytes, depth: 4 });
  try {
    const p99 = async (): Promise<number> => {
      const fromMs = performance.now();
      await rest(windowMs);
      return host.p99Ms(fromMs);
    };
    await rest(10_000);
    const healthyMs = await p99();
    await tell(chassis, ['slot', 'slow', String(misfit), '10']);
    const satOutMs = await until(chassis, 'sitting-out', 60_000);
    await rest(2000);
    const besideMs = await p99();
    await tell(chassis, ['slot', 'slow', String(misfit), '1']);
    const backMs = await until(chassis, 'live', 120_000);
    if (host.failed !== undefined) throw new Error(`the host was told ${host.failed}`);
    tellResult(
      json,
      { way: 'slow', satOutMs, healthyMs, besideMs, backMs },
      `slow: slot ${misfit} sat out after ${(satOutMs / 1000).toFixed(1)} s (the bar: ${sitsOutWithinMs / 1000} s); the host's p99 ` +
        `${healthyMs.toFixed(1)} ms before, ${besideMs.toFixed(1)} ms beside it (${(besideMs / healthyMs).toFixed(2)} times, the bar: ` +
        `${p99FactorMax}); live again ${(backMs / 1000).toFixed(1)} s after its flash was well`,
    );
    return satOutMs <= sitsOutWithinMs && besideMs <= p99FactorMax * healthyMs;
  } finally {
    host.stop();
  }
}

/** As the Corelet in slot 0 recorded them: how many. */
function countOf(chassis: DemoChassis, kind: string, fromMs: number): number {
  return chassis.recorded(0).filter((event) => event.kind === kind && event.slot === misfit && event.atWallMs >= fromMs)
    .length;
}

/** What copies sent, as all Corelets recorded them. */
function copiedBytes(chassis: DemoChassis, fromMs: number): number {
  let bytes = 0;
  for (const { slot } of chassis.slots()) {
    for (const { kind, atWallMs, data } of chassis.recorded(slot)) {
      const isCopy = kind === 'arc.copied' || kind === 'arc.copy-failed';
      if (isCopy && atWallMs >= fromMs) bytes += Number(data?.['blocks'] ?? 0) * blockBytes;
    }
  }
  return bytes;
}

async function flaps(chassis: DemoChassis, way: 'pulled' | 'paused', json: boolean): Promise<boolean> {
  await fillVolume(chassis.nbdPort, volumeBytes);
  await chassis.full();
  await rest(2000); // what a slot uses is told now and then
  const { usedBytes: heldBytes, copies } = await stateOf(chassis);
  const host = await SteadyHost.open({ port: chassis.nbdPort, volumeBytes, depth: 1 });
  const fromMs = Date.now();
  const beganMs = performance.now();
  try {
    for (let round = 0; round < flapRounds; round++) {
      const { pid } = chassis.slots().find(({ slot }) => slot === misfit) as SlotRecord;
      process.kill(pid, way === 'pulled' ? 'SIGKILL' : 'SIGSTOP');
      await rest(flapMs);
      if (way === 'pulled') await tell(chassis, ['slot', 'insert', String(misfit)]);
      else process.kill(pid, 'SIGCONT');
      await rest(flapMs);
    }
    const { state, heldDownSeconds, flapScore } = await stateOf(chassis);
    const movedBytes = copiedBytes(chassis, fromMs);
    const removed = countOf(chassis, 'view.removed', fromMs);
    const joined = countOf(chassis, 'view.joined', fromMs);
    const longestMs = host.longestMs(beganMs);
    const backMs = await until(chassis, 'live', 120_000);
    await eventually('its copies back', 120_000, async () =>
      (await stateOf(chassis)).copies >= copies ? true : undefined,
    );
    const backBytes = copiedBytes(chassis, fromMs) - movedBytes;
    if (host.failed !== undefined) throw new Error(`the host was told ${host.failed}`);
    tellResult(
      json,
      { way, removed, joined, heldBytes, movedBytes, state, flapScore, heldDownSeconds, backMs, backBytes, longestMs },
      `${way} and back every ${flapMs / 1000} s, ${flapRounds} times: removed ${removed} times, taken back ${joined} times; it held ${mib(heldBytes)}, ` +
        `${mib(movedBytes)} were copied (${(movedBytes / heldBytes).toFixed(2)} times, the bar: 1), ${mib(backBytes)} when it came back; the status then: ` +
        `${state}, flapped ${(flapScore ?? 0).toFixed(1)} times, held down ${heldDownSeconds ?? 0} s; live ${(backMs / 1000).toFixed(1)} s after ` +
        `it stayed; the host's longest I/O ${Math.round(longestMs)} ms`,
    );
    return removed <= 2 && movedBytes <= heldBytes;
  } finally {
    host.stop();
  }
}

async function bench(only: readonly Way[], slots: number, json: boolean): Promise<void> {
  for (const way of only) {
    const chassis = await startChassis({ slots });
    try {
      await chassis.full();
      if (!(await (way === 'slow' ? slow(chassis, json) : flaps(chassis, way, json)))) process.exitCode = 1;
    } finally {
      await chassis.stop();
    }
  }
}

await runBench(usage, { only: '', slots: '6' }, ({ only, slots, json }) =>
  bench(
    ways.filter((way) => only === '' || way === only),
    Number(slots),
    json,
  ),
);
