import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { exitCodes } from '../admin/errors.ts';
import type { CoreletId } from '../base/ids.ts';
import { slotsMax } from '../chassis/chassis-file.ts';
import { type BlankModule, checkSlot, insertSlot } from '../chassis/slots.ts';
import { shelvedFlashFile } from '../chassis/layout.ts';
import { defaultDataFolder } from './client.ts';
import { type Invocation, integer, usage } from './command.ts';
import { checkRaw, formatDevice, type RawDevice } from './format.ts';
import { coreletProgram } from './program.ts';
import { granted } from './slot-pull.ts';
import { confirm } from './terminal.ts';

export async function run(invocation: Invocation): Promise<number> {
  const slot = integer(invocation, 'the slot', invocation.positionals[0] as string, { min: 0, max: slotsMax * 16 });
  const dir = resolve(invocation.text('data') ?? defaultDataFolder);
  const blank = invocation.flag('blank');
  const dryRun = invocation.flag('dry-run');
  const discardOld = invocation.flag('discard');
  const given = invocation.text('confirm');
  if (discardOld && !blank) throw usage(invocation.spec, '--discard belongs to --blank');
  const raw = rawOption(invocation);
  if (given !== undefined && !discardOld && raw?.overwrite !== true)
    throw usage(invocation.spec, '--confirm belongs to --discard or --overwrite');
  const before = granted(checkSlot(dir, slot, 'empty'), slot);
  if (discardOld && !dryRun)
    await confirm(
      `Discarding module ${before.id.slice(0, 8)} of slot ${slot} destroys what it holds`,
      String(slot),
      given,
    );
  if (raw !== undefined) {
    if (raw.overwrite && !dryRun) await confirm(`Formatting ${raw.path} destroys all that it holds`, raw.path, given);
    // Before the old module is put aside.
    await checkRaw(raw);
  }
  const id = blank ? (randomBytes(16).toString('hex') as CoreletId) : before.id;
  const module = blank ? { id, discardOld, format: formatBlank(dir, raw) } : undefined;
  const record = dryRun ? { ...before, id } : granted(await insertSlot(dir, slot, coreletProgram(), module), slot);
  if (invocation.flag('json')) {
    process.stdout.write(
      `${JSON.stringify({ schemaVersion: 1, slot, id: record.id, dryRun, blank, pid: record.pid })}\n`,
    );
  } else {
    const on = raw === undefined ? '' : ` on ${raw.path}`;
    const what = blank ? `a blank module (${id.slice(0, 8)})${on}` : `module ${id.slice(0, 8)}`;
    if (blank && !discardOld && !dryRun)
      process.stderr.write(`the old module's flash is kept as ${shelvedFlashFile(slot, before.id)}\n`);
    process.stdout.write(`${dryRun ? 'would insert' : 'inserted'} ${what} into slot ${slot}\n`);
  }
  return exitCodes.done;
}

/** The block device that a blank module is to be made on. */
function rawOption(invocation: Invocation): RawDevice | undefined {
  const path = invocation.text('device');
  const overwrite = invocation.flag('overwrite');
  if (path === undefined && overwrite) throw usage(invocation.spec, '--overwrite belongs to --device');
  if (path === undefined) return undefined;
  if (!invocation.flag('blank')) throw usage(invocation.spec, '--device belongs to --blank');
  if (overwrite && invocation.flag('discard')) throw usage(invocation.spec, '--overwrite and --discard: one at a time');
  return { path, overwrite };
}

/** A blank module belongs to the cluster and knows its shape, but founds nothing: it must be admitted. */
function formatBlank(dir: string, raw: RawDevice | undefined): BlankModule['format'] {
  return async (chassis, record) => {
    const founding = { cluster: chassis.cluster, arcs: chassis.arcs, copies: chassis.copies, members: [] };
    await formatDevice({ dir, slot: record.slot, id: record.id, sizeBytes: chassis.flashBytes, founding, raw });
  };
}
