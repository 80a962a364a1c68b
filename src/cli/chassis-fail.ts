import { resolve } from 'node:path';
import { exitCodes } from '../admin/errors.ts';
import { readChassis } from '../chassis/chassis-file.ts';
import {
  type ChassisHardware,
  celsiusMax,
  fansMax,
  isBrownOut,
  readHardware,
  soundHardware,
  suppliesMax,
  writeHardware,
} from '../chassis/hardware.ts';
import { defaultDataFolder } from './client.ts';
import { type Invocation, integer, usage } from './command.ts';
import { CommandFailure } from './failure.ts';

/** `chassis fail psu 1`, `fan 2`, `heat 70`; with --mend the part works again, and the air is as cool as at first. */
export async function run(invocation: Invocation): Promise<number> {
  const dir = resolve(invocation.text('data') ?? defaultDataFolder);
  const read = readChassis(dir);
  if (!read.ok) throw new CommandFailure('NO_CHASSIS', read.message);
  const mend = invocation.flag('mend');
  const after = changed(invocation, readHardware(dir), mend);
  const dark = isBrownOut(after);
  if (dark && !invocation.flag('force'))
    throw new CommandFailure(
      'NOT_SAFE',
      'no supply would be left: every Corelet goes, after a last word',
      'repeat it with --force',
    );
  const dryRun = invocation.flag('dry-run');
  if (!dryRun) writeHardware(dir, after);
  const { failedSupplies, failedFans, inletCelsius } = after;
  if (invocation.flag('json')) {
    process.stdout.write(`${JSON.stringify({ schemaVersion: 1, dryRun, failedSupplies, failedFans, inletCelsius })}\n`);
    return exitCodes.done;
  }
  const supplies = `${suppliesMax - failedSupplies.length} of ${suppliesMax} supplies`;
  const fans = `${fansMax - failedFans.length} of ${fansMax} fans`;
  process.stdout.write(
    `${dryRun ? 'would have' : 'the chassis has'} ${supplies} and ${fans} working, air of ${inletCelsius} °C\n`,
  );
  return exitCodes.done;
}

function changed(invocation: Invocation, now: ChassisHardware, mend: boolean): ChassisHardware {
  const [part = '', number = ''] = invocation.positionals;
  const bounded = (what: string, max: number) => integer(invocation, what, number, { min: 1, max });
  const marked = (failed: readonly number[], one: number) => {
    const others = failed.filter((other) => other !== one);
    return mend ? others : [...others, one].sort((a, b) => a - b);
  };
  switch (part) {
    case 'psu':
      return { ...now, failedSupplies: marked(now.failedSupplies, bounded('the supply', suppliesMax)) };
    case 'fan':
      return { ...now, failedFans: marked(now.failedFans, bounded('the fan', fansMax)) };
    case 'heat':
      return { ...now, inletCelsius: mend ? soundHardware.inletCelsius : bounded('the temperature', celsiusMax) };
    default:
      throw usage(invocation.spec, `psu, fan or heat, not '${part}'`);
  }
}
