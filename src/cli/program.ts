import { spawnSync } from 'node:child_process';
import { extname, join } from 'node:path';
import type { CoreletProgram } from '../chassis/process.ts';

/** sched(7): SCHED_BATCH, which any user may ask for. */
const asBatch = ['chrt', '-b', '0'] as const;

/**
 * How a Corelet's process is started. Corelets that share cores don't interrupt one another when they wake: each first does
 * all that has come to it (docs/decisions/0026; without where util-linux is missing). One helper thread: two dozen of them
 * share a machine. The heap may be roomy under load, and is given back at rest (`collectAtRest`). Measured figures are in
 * docs/operating/processes.md.
 */
export function coreletProgram(): CoreletProgram {
  const [command, ...words] = asBatch;
  const isBatchPossible = spawnSync(command, [...words, 'true'], { stdio: 'ignore' }).status === 0;
  return {
    through: isBatchPossible ? asBatch : [],
    node: process.execPath,
    nodeFlags: ['--max-semi-space-size=8', '--initial-heap-size=128', '--v8-pool-size=1'],
    script: join(import.meta.dirname, `main${extname(import.meta.filename)}`),
  };
}
