import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

let ticksPerSecond: number | undefined;

export interface CpuTime {
  readonly userMicros: number;
  readonly systemMicros: number;
}

/** CPU time that these processes used so far, all threads (proc(5): stat, fields 14 and 15). */
export function cpuTime(pids: readonly number[]): CpuTime {
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  const tickMicros = 1e6 / ticksPerSecond;
  let userTicks = 0;
  let systemTicks = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // from field 3 on
    userTicks += Number(fields[11]);
    systemTicks += Number(fields[12]);
  }
  return { userMicros: userTicks * tickMicros, systemMicros: systemTicks * tickMicros };
}

/** The same, user and system together, in microseconds. */
export function cpuMicros(pids: readonly number[]): number {
  const { userMicros, systemMicros } = cpuTime(pids);
  return userMicros + systemMicros;
}

/** Resident memory of one process in bytes. */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (line === null) throw new Error(`process ${pid} has no VmRSS`);
  return Number(line[1]) * 1024;
}

/** Looks without a change, a second apart, after which a process counts as at rest: it takes a few to see that it is. */
const steadyLooks = 6;

/** Residents in the order of `pids`, once no one changed by more than 1 % over several looks. At most 40 looks. */
export async function residentAtRestBytes(pids: readonly number[]): Promise<number[]> {
  let before = pids.map(residentBytes);
  for (let look = 0, steady = 0; look < 40 && steady < steadyLooks; look++) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const now = pids.map(residentBytes);
    steady = now.every((bytes, i) => Math.abs(bytes - (before[i] as number)) < bytes / 100) ? steady + 1 : 0;
    before = now;
  }
  return before;
}
