import { resolve } from 'node:path';
import { exitCodes } from '../admin/errors.ts';
import { slotsMax } from '../chassis/chassis-file.ts';
import { readHardware, slownessMax, writeHardware } from '../chassis/hardware.ts';
import { checkSlot } from '../chassis/slots.ts';
import { defaultDataFolder } from './client.ts';
import { type Invocation, integer } from './command.ts';
import { granted } from './slot-pull.ts';

/** The flash in a slot answers some times slower from now on; 1: as it is. */
export async function run(invocation: Invocation): Promise<number> {
  const [first = '', second = ''] = invocation.positionals;
  const slot = integer(invocation, 'the slot', first, { min: 0, max: slotsMax * 16 });
  const factor = integer(invocation, 'the factor', second, { min: 1, max: slownessMax });
  const dir = resolve(invocation.text('data') ?? defaultDataFolder);
  granted(checkSlot(dir, slot, 'taken'), slot);
  const now = readHardware(dir);
  const { [String(slot)]: _, ...others } = now.slowness;
  const dryRun = invocation.flag('dry-run');
  if (!dryRun) writeHardware(dir, { ...now, slowness: factor === 1 ? others : { ...others, [slot]: factor } });
  const text = `the flash in slot ${slot} ${dryRun ? 'would answer' : 'answers'} ${factor === 1 ? 'as fast as it can' : `${factor} times slower`}`;
  process.stdout.write(
    `${invocation.flag('json') ? JSON.stringify({ schemaVersion: 1, slot, factor, dryRun }) : text}\n`,
  );
  return exitCodes.done;
}
