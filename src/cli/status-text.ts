import { formatBytes, formatSeconds } from '../base/units.ts';
import type { CoreletStatus, SlotState, SlotStatus } from '../corelet/types.ts';
import { paint, type Style, table, type Terminal } from './terminal.ts';

const stateLooks: Readonly<Record<SlotState, readonly [glyph: string, style: Style]>> = {
  live: ['●', 'green'],
  'sitting-out': ['◒', 'yellow'],
  draining: ['▽', 'yellow'],
  spare: ['○', 'cyan'],
  joining: ['◐', 'yellow'],
  silent: ['?', 'yellow'],
  gone: ['✕', 'red'],
};

/** The rate of a rebuild varies: the estimate is told as a range from ×0.8 to ×1.5. */
export const estimateRange = { low: 0.8, high: 1.5 } as const;

/** Flash wants to be cooler than this. */
const hotCelsius = 70;

const up: ReadonlySet<SlotState> = new Set(['live', 'spare', 'sitting-out', 'draining']);

/** What `corelet status` prints. `nowMs`: wall clock, for the time at which the chassis is full again. */
export function statusText(status: CoreletStatus, out: Terminal, nowMs: number): string {
  const live = status.slots.filter((slot) => up.has(slot.state)).length;
  const frozen = status.view.frozen ? `, frozen: ${status.view.frozenWhy ?? 'fewer than 3 members'}` : '';
  const head = [
    [
      'Chassis',
      `${live} of ${status.slots.length} Corelets live, view ${status.view.number}${frozen} (slot ${status.answeredBy.slot} answers)`,
    ],
    ['Arcs', arcsText(status, out)],
    ['Rebuild', rebuildText(status, nowMs)],
    ...roomRow(status, out),
    ['Margin', marginText(status, out)],
    ['Scrub', scrubText(status, nowMs)],
    ...quarantineRow(status, out),
    ...hardwareRow(status, out),
  ].map(([name, text]) => `${paint(out, 'bold', (name ?? '').padEnd(8))} ${text}\n`);
  const columns = ['SLOT', 'ID', 'STATE', 'LEADS', 'COPIES', 'USED', 'SAFE TO PULL'];
  const rows = status.slots.map((slot) => slotRow(slot, out));
  return `${head.join('')}\n${table([columns, ...rows], [0, 3, 4])}`;
}

function slotRow(slot: SlotStatus, out: Terminal): readonly string[] {
  const [glyph, style] = stateLooks[slot.state];
  const used = slot.sizeBytes === 0 ? '' : `${formatBytes(slot.usedBytes)} of ${formatBytes(slot.sizeBytes)}`;
  const safe = slot.safeToPull ? (slot.state === 'draining' ? `yes: ${slot.why}` : 'yes') : `no: ${slot.why}`;
  return [
    String(slot.slot),
    slot.id.slice(0, 8),
    paint(out, style, `${glyph} ${slot.state}${flapText(slot)}${slowText(slot)}`),
    String(slot.leads),
    String(slot.copies),
    used,
    safe,
  ];
}

/** Why one that is there isn't taken back yet. */
function flapText({ heldDownSeconds, flapScore }: SlotStatus): string {
  if (heldDownSeconds === undefined) return '';
  return `, flapped ${Math.round(flapScore ?? 0)} times: held down ${formatSeconds(heldDownSeconds)}`;
}

/** Why it sits out. */
function slowText({ state, slow }: SlotStatus): string {
  if (state !== 'sitting-out' || slow === undefined) return '';
  const part = (what: string, ms?: number, usualMs?: number): string =>
    ms === undefined ? '' : `, ${what} in ${ms} ms (usual: ${usualMs} ms)`;
  return part('syncs', slow.flashMs, slow.flashUsualMs) + part('answers', slow.answersMs, slow.answersUsualMs);
}

function arcsText({ arcs }: CoreletStatus, out: Terminal): string {
  if (arcs.full === arcs.total) return paint(out, 'green', `all ${arcs.total} full`);
  const parts = [`${arcs.full} of ${arcs.total} full`];
  if (arcs.reduced > 0) parts.push(paint(out, 'yellow', `${arcs.reduced} reduced`));
  if (arcs.noRedundancy > 0) parts.push(paint(out, 'red', `${arcs.noRedundancy} with no redundancy`));
  if (arcs.unavailable > 0) parts.push(paint(out, 'red', `${arcs.unavailable} unavailable`));
  return parts.join(', ');
}

/** Healing that doesn't go on by itself: what is in its way, and what to do. */
function roomRow({ arcs: { waitingForRoom } }: CoreletStatus, out: Terminal): readonly (readonly [string, string])[] {
  if (waitingForRoom === 0) return [];
  const who = waitingForRoom === 1 ? '1 arc waits' : `${waitingForRoom} arcs wait`;
  const text = `${who} for room: another copy would fill a flash too far. Insert a module, or delete or trim volumes; healing goes on by itself then.`;
  return [['Room', paint(out, 'red', text)]];
}

/** Of the Corelet that answers; the others of its arcs say the same. */
function quarantineRow({ scrub, answeredBy }: CoreletStatus, out: Terminal): readonly (readonly [string, string])[] {
  const count = scrub?.quarantinedBlocks ?? 0;
  if (count === 0) return [];
  const blocks = count === 1 ? '1 block in quarantine' : `${count} blocks in quarantine`;
  const text = `${blocks} in slot ${answeredBy.slot}: two valid contents of one version, neither is proven wrong. Hosts get an error for them until they write them anew; see corelet why ${answeredBy.slot}.`;
  return [['Doubt', paint(out, 'red', text)]];
}

/** The sensors of the chassis, as the Corelet that answers sees them. */
function hardwareRow({ slots }: CoreletStatus, out: Terminal): readonly (readonly [string, string])[] {
  const device = slots.find((slot) => slot.device !== undefined)?.device;
  if (device?.suppliesTotal === undefined || device.fansTotal === undefined) return [];
  const { suppliesTotal, suppliesFailed = 0, fansTotal, fansFailed = 0, temperatureCelsius = 0 } = device;
  const part = (name: string, total: number, failed: number): string =>
    failed === 0 ? `${total} ${name}` : paint(out, 'red', `${total - failed} of ${total} ${name}, ${failed} failed`);
  const warm = `${temperatureCelsius} °C`;
  const heat = temperatureCelsius >= hotCelsius ? paint(out, 'red', `${warm}, too hot`) : warm;
  const supplies = part('supplies', suppliesTotal, suppliesFailed);
  const alone = suppliesFailed > 0 ? ' (the next one takes all slots with it)' : '';
  return [['Hardware', `${supplies}${alone}; ${part('fans', fansTotal, fansFailed)}; ${heat}`]];
}

function scrubText({ scrub, answeredBy }: CoreletStatus, nowMs: number): string {
  if (scrub === undefined) return 'not told';
  const { round, completed, completedAtWallMs } = scrub;
  if (round.chunks === 0 && completed === null) return `slot ${answeredBy.slot} holds nothing to read yet`;
  const now = `slot ${answeredBy.slot} is at chunk ${round.chunksDone} of ${round.chunks}${round.badBlocks > 0 ? `, ${round.badBlocks} bad blocks so far` : ''}`;
  if (completed === null || completedAtWallMs === null) return now;
  const ago = formatSeconds(Math.max(0, nowMs - completedAtWallMs) / 1000);
  return `${scrub.running ? `${now}; ` : ''}last whole round of slot ${answeredBy.slot} ${ago} ago: ${formatBytes(completed.bytesVerified)} verified, ${completed.badBlocks} bad blocks, ${completed.repairedBlocks} repaired`;
}

export function rebuildText({ arcs, rebuild }: CoreletStatus, nowMs: number): string {
  const { bytesLeft, bytesPerSecond, secondsLeft } = rebuild;
  if (bytesLeft === 0) return arcs.full < arcs.total ? 'nothing is being copied now' : 'nothing to rebuild';
  const left = `${formatBytes(bytesLeft)} left at ${formatBytes(bytesPerSecond)}/s`;
  if (secondsLeft === null) return `${left}, no estimate yet`;
  const range = `${formatSeconds(secondsLeft * estimateRange.low)} to ${formatSeconds(secondsLeft * estimateRange.high)}`;
  const at = new Date(nowMs + secondsLeft * 1000);
  const clock = `${String(at.getHours()).padStart(2, '0')}:${String(at.getMinutes()).padStart(2, '0')}`;
  return `${left}, full again in ${range} (about ${clock})`;
}

export function marginText({ arcs, lossesSurvivable }: CoreletStatus, out: Terminal): string {
  if (arcs.unavailable > 0)
    return paint(
      out,
      'red',
      `${arcs.unavailable} arcs can't be read or written now; their data is not lost while copies exist.`,
    );
  if (lossesSurvivable === 0) return paint(out, 'red', 'The next loss makes data unavailable.');
  return `Survives ${lossesSurvivable} more ${lossesSurvivable === 1 ? 'loss' : 'losses'}.`;
}
