import { exitCodes } from '../admin/errors.ts';
import { formatBytes } from '../base/units.ts';
import type { VolumeInfo } from '../corelet/types.ts';
import { clientFor } from './client.ts';
import type { Invocation } from './command.ts';
import { table } from './terminal.ts';

export async function run(invocation: Invocation): Promise<number> {
  const answer = await clientFor(invocation).ask<{ readonly volumes: readonly VolumeInfo[] }>('GET', '/api/volumes');
  if (invocation.flag('json')) process.stdout.write(`${JSON.stringify(answer)}\n`);
  else if (answer.volumes.length === 0)
    process.stderr.write('no volumes; make one with: corelet volume create NAME SIZE\n');
  else {
    const rows = answer.volumes.map((volume) => [
      volume.name,
      formatBytes(volume.sizeBytes),
      String(volume.copies),
      volume.state,
    ]);
    process.stdout.write(table([['NAME', 'SIZE', 'COPIES', 'STATE'], ...rows], [2]));
  }
  return exitCodes.done;
}
