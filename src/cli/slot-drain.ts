import { setTimeout } from 'node:timers/promises';
import { exitCodes } from '../admin/errors.ts';
import { estimateRange } from '../admin/status-words.ts';
import { formatBytes, formatSeconds } from '../base/units.ts';
import { slotsMax } from '../chassis/chassis-file.ts';
import type { CoreletStatus, SlotStatus } from '../corelet/types.ts';
import { copyFillMax } from '../ring/placement.ts';
import { type ChassisClient, clientFor } from './client.ts';
import { type Invocation, integer, integerOption } from './command.ts';
import { CommandFailure } from './failure.ts';
import { terminal } from './terminal.ts';

const pollMs = 500;
/** The members agree within this, or there is no majority of them. */
const agreedMsMax = 12_000;
const waitSecondsMax = 604_800;

/** Moves every copy off a slot, or lets it hold copies again. */
export async function run(invocation: Invocation): Promise<number> {
  const slot = integer(invocation, 'the slot', invocation.positionals[0] as string, { min: 0, max: slotsMax * 16 });
  const seconds = integerOption(invocation, 'wait', { min: 0, max: waitSecondsMax, otherwise: 86_400 });
  const client = clientFor(invocation);
  const undo = invocation.flag('undo');
  const before = await client.ask<CoreletStatus>('GET', '/api/status');
  const subject = slotIn(before, slot);
  const plan = undo
    ? { ok: true, text: 'it holds copies again, as placement gives them to it' }
    : planOf(before, subject);
  if (invocation.flag('dry-run')) {
    tell(
      invocation,
      { slot, id: subject.id, dryRun: true, possible: plan.ok },
      `would ${undo ? 'take back the draining of' : 'drain'} slot ${slot}: ${plan.text}`,
    );
    return plan.ok ? exitCodes.done : exitCodes.unsafe;
  }
  if (!plan.ok) throw new CommandFailure('NOT_SAFE', `slot ${slot} can't be drained: ${plan.text}`, 'corelet status');
  const state = undo ? 'live' : 'draining';
  await client.ask('POST', `/api/slots/${slot}/state`, { state });
  await untilAgreed(client, slot, state);
  if (undo || seconds === 0) {
    tell(
      invocation,
      { slot, id: subject.id, state },
      undo ? `slot ${slot} is live again` : `slot ${slot} drains: ${plan.text}; follow with: corelet status --watch`,
    );
    return exitCodes.done;
  }
  const goesOn = `Ctrl-C ends the waiting only; to take it back: corelet slot drain ${slot} --undo`;
  process.stderr.write(`slot ${slot} drains: ${plan.text}\n${goesOn}\n`);
  const tookMs = await untilDrained(client, slot, Date.now() + seconds * 1000);
  tell(
    invocation,
    { slot, id: subject.id, state, copies: 0, mayBeDrawn: true, tookMs },
    `slot ${slot} holds no copies any more, after ${formatSeconds(tookMs / 1000)}; every arc has all its copies elsewhere. It may be drawn: corelet slot pull ${slot}`,
  );
  return exitCodes.done;
}

function tell(invocation: Invocation, facts: Readonly<Record<string, unknown>>, text: string): void {
  process.stdout.write(`${invocation.flag('json') ? JSON.stringify({ schemaVersion: 1, ...facts }) : text}\n`);
}

function slotIn(status: CoreletStatus, slot: number): SlotStatus {
  const found = status.slots.find((one) => one.slot === slot);
  if (found === undefined || found.state === 'gone')
    throw new CommandFailure('SLOT_NOT_FOUND', `slot ${slot} holds no member of the chassis`);
  return found;
}

/** Whether the others can take what it holds, and what that means. */
export function planOf(status: CoreletStatus, subject: SlotStatus): { readonly ok: boolean; readonly text: string } {
  const others = status.slots.filter(
    (one) =>
      one.slot !== subject.slot && (one.state === 'live' || one.state === 'sitting-out' || one.state === 'spare'),
  );
  const copies = status.copies ?? 0;
  if (others.length < copies)
    return {
      ok: false,
      text: `${copies} copies of every block need ${copies} other live Corelets, there are ${others.length}`,
    };
  const used = others.reduce((sum, one) => sum + one.usedBytes, 0);
  const room = others.reduce((sum, one) => sum + one.sizeBytes, 0);
  const after = room === 0 ? 0 : (used + subject.usedBytes) / room;
  if (after > copyFillMax)
    return {
      ok: false,
      text: `the others would be ${Math.round(100 * after)} % full; insert modules, or delete data, first`,
    };
  return {
    ok: true,
    text: `${subject.copies} copies, about ${formatBytes(subject.usedBytes)}, move to ${others.length} others, which are ${Math.round(100 * after)} % full then; no arc is without any of its copies meanwhile`,
  };
}

async function untilAgreed(client: ChassisClient, slot: number, state: 'draining' | 'live'): Promise<void> {
  const giveUpMs = Date.now() + agreedMsMax;
  for (;;) {
    const { state: now } = slotIn(await client.ask<CoreletStatus>('GET', '/api/status'), slot);
    if ((now === 'draining') === (state === 'draining')) return;
    if (Date.now() >= giveUpMs)
      throw new CommandFailure(
        'TIMED_OUT',
        `the members didn't agree within ${agreedMsMax / 1000} s: a majority of them is away`,
      );
    await setTimeout(pollMs);
  }
}

/** @returns milliseconds until it held nothing and every arc was full. */
async function untilDrained(client: ChassisClient, slot: number, giveUpMs: number): Promise<number> {
  const startedMs = Date.now();
  const { interactive } = terminal(true);
  let most = 0;
  for (;;) {
    const status = await client.ask<CoreletStatus>('GET', '/api/status');
    const { copies, state } = slotIn(status, slot);
    if (state !== 'draining')
      throw new CommandFailure('FAILED', `slot ${slot} is ${state} now: somebody took the draining back`);
    if (copies === 0 && status.arcs.full === status.arcs.total) {
      if (interactive) process.stderr.write('\n');
      return Date.now() - startedMs;
    }
    if (Date.now() >= giveUpMs)
      throw new CommandFailure(
        'TIMED_OUT',
        `slot ${slot} still holds ${copies} copies; it goes on draining${waiting(status)}`,
      );
    most = Math.max(most, copies);
    if (interactive) process.stderr.write(`\r${progress(copies, most, Date.now() - startedMs)}   `);
    await setTimeout(pollMs);
  }
}

function waiting({ arcs }: CoreletStatus): string {
  const count = arcs.waitingForRoom;
  return count === 0 ? '' : ` when there is room: ${count} arcs wait for it; insert modules, or delete or trim volumes`;
}

function progress(copies: number, most: number, tookMs: number): string {
  const moved = most - copies;
  if (moved === 0) return `${copies} copies left`;
  const leftSeconds = ((tookMs / moved) * copies) / 1000;
  return `${copies} of ${most} copies left, done in ${formatSeconds(leftSeconds * estimateRange.low)} to ${formatSeconds(leftSeconds * estimateRange.high)}`;
}
