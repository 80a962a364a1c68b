import { exitCodes } from '../admin/errors.ts';
import { formatBytes } from '../base/units.ts';
import { readChassis } from '../chassis/chassis-file.ts';
import type { VolumeInfo } from '../corelet/types.ts';
import { clientFor, defaultDataFolder } from './client.ts';
import type { Invocation } from './command.ts';
import { connectLines } from './connect-lines.ts';
import { table } from './terminal.ts';

export async function run(invocation: Invocation): Promise<number> {
  const name = invocation.positionals[0] as string;
  const volume = await clientFor(invocation).ask<VolumeInfo>('GET', `/api/volumes/${encodeURIComponent(name)}`);
  if (invocation.flag('json')) {
    process.stdout.write(`${JSON.stringify({ schemaVersion: 1, ...volume })}\n`);
    return exitCodes.done;
  }
  const rows = [
    ['Name', volume.name],
    ['Id', volume.id],
    ['Size', `${formatBytes(volume.sizeBytes)} (${volume.sizeBytes} bytes)`],
    ['Copies', String(volume.copies)],
    ['Epoch', String(volume.epoch)],
    ['State', volume.state],
  ];
  const chassis = readChassis(invocation.text('data') ?? defaultDataFolder);
  const gateway = chassis.ok ? chassis.chassis.slots.find((slot) => slot.pid !== null) : undefined;
  if (gateway !== undefined) {
    const [first, ...further] = connectLines(gateway, name);
    rows.push(['Connect', `${first}   (any slot serves it)`], ...further.map((line) => ['', line]));
  }
  process.stdout.write(table(rows));
  return exitCodes.done;
}
