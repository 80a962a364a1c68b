import { extname, join } from 'node:path';
import type { CoreletProgram } from '../chassis/process.ts';

/**
 * How a Corelet's process is started. The flags keep it small at rest: two dozen of them share a machine. Measured figures are
 * in docs/operating/processes.md.
 */
export function coreletProgram(): CoreletProgram {
  return {
    node: process.execPath,
    nodeFlags: ['--max-semi-space-size=2', '--v8-pool-size=1'],
    script: join(import.meta.dirname, `main${extname(import.meta.filename)}`),
  };
}
