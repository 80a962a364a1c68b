import { exitCodes } from '../admin/errors.ts';
import { formatBytes } from '../base/units.ts';
import type { CoreletStatus, VolumeInfo } from '../corelet/types.ts';
import { type ChassisClient, clientFor } from './client.ts';
import { type Invocation, integerOption, size } from './command.ts';
import { CommandFailure } from './failure.ts';

export const copiesMax = 7;

export async function run(invocation: Invocation): Promise<number> {
  const [name, sizeText] = invocation.positionals as [string, string];
  const sizeBytes = size('the size', sizeText);
  const copies = integerOption(invocation, 'copies', { min: 1, max: copiesMax, otherwise: 3 });
  const client = clientFor(invocation);
  const dryRun = invocation.flag('dry-run');
  if (dryRun) await checkRoom(client, name, copies);
  const volume = dryRun
    ? { name, sizeBytes, copies }
    : await client.ask<VolumeInfo>('POST', '/api/volumes', { name, sizeBytes, copies });
  if (invocation.flag('json')) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, dryRun, ...volume })}\n`);
  else
    process.stdout.write(
      `${dryRun ? 'would create' : 'created'} volume ${name}: ${formatBytes(sizeBytes)}, ${copies} copies\n`,
    );
  return exitCodes.done;
}

async function checkRoom(client: ChassisClient, name: string, copies: number): Promise<void> {
  const { volumes } = await client.ask<{ readonly volumes: readonly VolumeInfo[] }>('GET', '/api/volumes');
  if (volumes.some((volume) => volume.name === name))
    throw new CommandFailure('VOLUME_EXISTS', `a volume named '${name}' exists`);
  const status = await client.ask<CoreletStatus>('GET', '/api/status');
  const live = status.slots.filter((slot) => slot.state === 'live').length;
  if (live < copies)
    throw new CommandFailure('TOO_FEW_CORELETS', `${copies} copies want ${copies} live Corelets; ${live} are`);
}
