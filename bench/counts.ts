import { readdirSync, readFileSync } from 'node:fs';
import { type CpuTime, cpuTime } from '../test/interop/processes.ts';

/** What went between Corelets since their starts: messages, and the writes that carried them, a turn's at once. */
export interface FabricCounts {
  readonly messages: number;
  readonly frames: number;
}

/** Of all Corelets whose admin addresses are given. */
export async function fabricCounts(admins: readonly string[]): Promise<FabricCounts> {
  let messages = 0;
  let frames = 0;
  for (const admin of admins) {
    const text = await (await fetch(`${admin}/metrics`)).text();
    const counter = (name: string) => Number(new RegExp(`^corelet_fabric_${name}_total (\\d+)$`, 'm').exec(text)?.[1]);
    messages += counter('messages_sent');
    frames += counter('writes');
  }
  return { messages, frames };
}

/** What a group of processes has used and done since their starts, all threads. */
export interface ProcessCounts extends CpuTime {
  /** Times that a thread gave up its core, or was taken off it (proc(5): status). */
  readonly switches: number;
  /** System calls that read or write, of files and sockets alike (proc(5): io). */
  readonly readCalls: number;
  readonly writeCalls: number;
}

/** Threads may end while they are looked at: what they did is lost to `switches`. */
export function processCounts(pids: readonly number[]): ProcessCounts {
  let switches = 0;
  let readCalls = 0;
  let writeCalls = 0;
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) switches += switchesOf(pid, thread);
    const io = readFileSync(`/proc/${pid}/io`, 'utf8');
    readCalls += Number(/^syscr: (\d+)$/m.exec(io)?.[1]);
    writeCalls += Number(/^syscw: (\d+)$/m.exec(io)?.[1]);
  }
  return { ...cpuTime(pids), switches, readCalls, writeCalls };
}

function switchesOf(pid: number, thread: string): number {
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
  } catch {
    return 0;
  }
  let switches = 0;
  for (const [, count] of status.matchAll(/^(?:non)?voluntary_ctxt_switches:\s+(\d+)$/gm)) switches += Number(count);
  return switches;
}
