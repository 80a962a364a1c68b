import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

let ticksPerSecond: number | undefined;

/** CPU time that these processes used so far, all threads, in microseconds (proc(5): stat, fields 14 and 15). */
export function cpuMicrosSplit(pids: readonly number[]): { readonly user: number; readonly system: number } {
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  let user = 0;
  let system = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // from field 3 on
    user += Number(fields[11]);
    system += Number(fields[12]);
  }
  const microsPerTick = 1e6 / ticksPerSecond;
  return { user: user * microsPerTick, system: system * microsPerTick };
}

/** The same, user and system together. */
export function cpuMicros(pids: readonly number[]): number {
  const { user, system } = cpuMicrosSplit(pids);
  return user + system;
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
