import { extname, join } from 'node:path';
import type { CoreletProgram } from '../chassis/process.ts';

/**
 * How a Corelet's process is started. One helper thread: two dozen of them share a machine. The heap may be
 * roomy under load, and is given back at rest (`collectAtRest`). Measured figures are
 * in docs/operating/processes.md.
 */
export function coreletProgram(): CoreletProgram {
  return {
    node: process.execPath,
    nodeFlags: ['--max-semi-space-size=8', '--initial-heap-size=64', '--v8-pool-size=1'],
    script: join(import.meta.dirname, `main${extname(import.meta.filename)}`),
  };
}
