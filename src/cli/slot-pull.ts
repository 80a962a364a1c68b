import { resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type ErrorCode, errorTable, exitCodes } from '../admin/errors.ts';
import { slotsMax } from '../chassis/chassis-file.ts';
import { checkSlot, pullSlot, type SlotResult } from '../chassis/slots.ts';
import type { CoreletStatus } from '../corelet/types.ts';
import { clientFor, defaultDataFolder } from './client.ts';
import { type Invocation, integer } from './command.ts';
import { CommandFailure } from './failure.ts';
import { formatBytes } from '../base/units.ts';

/** Longest wait for the others to notice, and between two questions. */
const noticeLimitMs = 3_000;
const noticePollMs = 20;

export async function run(invocation: Invocation): Promise<number> {
  const slot = integer(invocation, 'the slot', invocation.positionals[0] as string, { min: 0, max: slotsMax * 16 });
  const dir = resolve(invocation.text('data') ?? defaultDataFolder);
  const before = granted(checkSlot(dir, slot, 'taken'), slot);
  const cost = await pullingCost(invocation, before.id);
  const dryRun = invocation.flag('dry-run');
  if (!cost.safe && !dryRun && !invocation.flag('force'))
    throw new CommandFailure('NOT_SAFE', `slot ${slot} is not safe to pull: ${cost.text}`);
  const record = dryRun ? before : granted(await pullSlot(dir, slot), slot);
  if (!dryRun) await untilNoticed(invocation, record.id);
  if (invocation.flag('json')) {
    process.stdout.write(
      `${JSON.stringify({ schemaVersion: 1, slot, id: record.id, dryRun, safe: cost.safe, cost: cost.text })}\n`,
    );
  } else {
    process.stdout.write(`${dryRun ? 'would pull' : 'pulled'} slot ${slot} (${record.id.slice(0, 8)}): ${cost.text}\n`);
    if (!dryRun)
      process.stderr.write(`follow with: corelet status --watch; put it back with: corelet slot insert ${slot}\n`);
  }
  return dryRun && !cost.safe ? exitCodes.unsafe : exitCodes.done;
}

/** The others notice within milliseconds: waited for, so that the next `status` tells of the loss. */
async function untilNoticed(invocation: Invocation, id: string): Promise<void> {
  const giveUpMs = Date.now() + noticeLimitMs;
  while (Date.now() < giveUpMs) {
    try {
      const status = await clientFor(invocation).ask<CoreletStatus>('GET', '/api/status');
      if (status.slots.find((one) => one.id === id)?.state !== 'live') return;
    } catch (error) {
      if (error instanceof CommandFailure) return; // nobody is left to notice
      throw error;
    }
    await setTimeout(noticePollMs);
  }
}

/** What was done to `slot`. @throws CommandFailure that names the slot in its next step, too. */
export function granted(result: SlotResult, slot: number): Extract<SlotResult, { ok: true }>['record'] {
  if (result.ok) return result.record;
  const code: ErrorCode = result.code;
  throw new CommandFailure(code, result.message, errorTable[code].next.replace(/\bN\b/, String(slot)));
}

interface Cost {
  readonly safe: boolean;
  readonly text: string;
}

/** What the Corelets say that the loss of this slot means. */
async function pullingCost(invocation: Invocation, id: string): Promise<Cost> {
  try {
    const status = await clientFor(invocation).ask<CoreletStatus>('GET', '/api/status');
    const found = status.slots.find((one) => one.id === id);
    if (found === undefined) return { safe: true, text: 'it is no member and holds nothing' };
    if (!found.safeToPull) return { safe: false, text: found.why };
    const moves =
      found.copies === 0
        ? 'it holds no copies'
        : `${found.copies} arcs lose a copy, about ${formatBytes(found.usedBytes)} to rebuild elsewhere`;
    return { safe: true, text: `${moves}; before: survives ${status.lossesSurvivable} more` };
  } catch (error) {
    if (!(error instanceof CommandFailure) || error.code === 'USAGE') throw error;
    return { safe: false, text: `nobody can say what it costs: ${error.message}` };
  }
}
