import { exitCodes } from '../admin/errors.ts';
import { formatBytes } from '../base/units.ts';
import type { VolumeInfo } from '../corelet/types.ts';
import { clientFor } from './client.ts';
import type { Invocation } from './command.ts';
import { confirm } from './terminal.ts';

export async function run(invocation: Invocation): Promise<number> {
  const name = invocation.positionals[0] as string;
  const client = clientFor(invocation);
  const path = `/api/volumes/${encodeURIComponent(name)}`;
  const volume = await client.ask<VolumeInfo>('GET', path);
  const dryRun = invocation.flag('dry-run');
  if (!dryRun) {
    await confirm(
      `Deleting volume ${name} destroys its ${formatBytes(volume.sizeBytes)}`,
      name,
      invocation.text('confirm'),
    );
    // The content type keeps pages of other origins from sending this.
    await client.ask<VolumeInfo>('DELETE', path, { confirm: name });
  }
  if (invocation.flag('json')) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, dryRun, ...volume })}\n`);
  else
    process.stdout.write(`${dryRun ? 'would delete' : 'deleted'} volume ${name} (${formatBytes(volume.sizeBytes)})\n`);
  return exitCodes.done;
}
