import { formatBytes, formatSeconds } from '../base/units.ts';
import type { CoreletStatus, SlotState, SlotStatus } from '../corelet/types.ts';

/** What a status says, in words: `corelet status` paints them, the page sets them. Runs in the browser too: no machine here. */
export type Tone = 'plain' | 'good' | 'warn' | 'bad';

export interface Phrase {
  readonly text: string;
  readonly tone: Tone;
}

export interface StatusRow {
  readonly name: string;
  readonly phrases: readonly Phrase[];
}

export const stateGlyphs: Readonly<Record<SlotState, string>> = {
  live: '●',
  'sitting-out': '◒',
  draining: '▽',
  spare: '○',
  joining: '◐',
  silent: '?',
  gone: '✕',
};

/** The rate of a rebuild varies: the estimate is told as a range from ×0.8 to ×1.5. */
export const estimateRange = { low: 0.8, high: 1.5 } as const;

/** Flash wants to be cooler than this. */
const hotCelsius = 70;
/** Life used, as the device itself estimates it: from here on it outlives what it was made for. */
const wornPercent = 100;

const up: ReadonlySet<SlotState> = new Set(['live', 'spare', 'sitting-out', 'draining']);

const say = (text: string, tone: Tone = 'plain'): Phrase => ({ text, tone });
const row = (name: string, ...phrases: readonly Phrase[]): StatusRow => ({ name, phrases });

/**
 * Everything but the slots, row by row; a row that has nothing to tell is left out.
 * `nowMs`: wall clock, for the time at which the chassis is full again. `others`: what further Corelets answered, for
 * what each knows of itself only.
 */
export function statusRows(
  status: CoreletStatus,
  nowMs: number,
  others: readonly CoreletStatus[] = [],
): readonly StatusRow[] {
  const told = [status, ...others];
  return [
    chassisRow(status),
    row('Arcs', ...arcsPhrases(status)),
    row('Rebuild', say(rebuildText(status, nowMs))),
    ...roomRow(status),
    row('Margin', marginPhrase(status)),
    row('Scrub', say(scrubText(status, nowMs))),
    ...told.flatMap(quarantineRow),
    ...told.flatMap(flashRow),
    ...hardwareRow(status),
  ];
}

function chassisRow({ slots, view, answeredBy }: CoreletStatus): StatusRow {
  const live = slots.filter((slot) => up.has(slot.state)).length;
  const head = say(`${live} of ${slots.length} Corelets live, view ${view.number}`);
  const frozen = view.frozen ? [say(', '), say(`frozen: ${view.frozenWhy ?? 'fewer than 3 members'}`, 'warn')] : [];
  return row('Chassis', head, ...frozen, say(` (slot ${answeredBy.slot} answers)`));
}

function arcsPhrases({ arcs }: CoreletStatus): readonly Phrase[] {
  if (arcs.full === arcs.total) return [say(`all ${arcs.total} full`, 'good')];
  const part = (count: number, what: string, tone: Tone): readonly Phrase[] =>
    count === 0 ? [] : [say(', '), say(`${count} ${what}`, tone)];
  return [
    say(`${arcs.full} of ${arcs.total} full`),
    ...part(arcs.reduced, 'reduced', 'warn'),
    ...part(arcs.noRedundancy, 'with no redundancy', 'bad'),
    ...part(arcs.unavailable, 'unavailable', 'bad'),
  ];
}

function rebuildText({ arcs, rebuild }: CoreletStatus, nowMs: number): string {
  const { bytesLeft, bytesPerSecond, secondsLeft } = rebuild;
  if (bytesLeft === 0) return arcs.full < arcs.total ? 'nothing is being copied now' : 'nothing to rebuild';
  const left = `${formatBytes(bytesLeft)} left at ${formatBytes(bytesPerSecond)}/s`;
  if (secondsLeft === null) return `${left}, no estimate yet`;
  const range = `${formatSeconds(secondsLeft * estimateRange.low)} to ${formatSeconds(secondsLeft * estimateRange.high)}`;
  const at = new Date(nowMs + secondsLeft * 1000);
  const clock = `${String(at.getHours()).padStart(2, '0')}:${String(at.getMinutes()).padStart(2, '0')}`;
  return `${left}, full again in ${range} (about ${clock})`;
}

/** Healing that doesn't go on by itself: what is in its way, and what to do. */
function roomRow({ arcs: { waitingForRoom } }: CoreletStatus): readonly StatusRow[] {
  if (waitingForRoom === 0) return [];
  const who = waitingForRoom === 1 ? '1 arc waits' : `${waitingForRoom} arcs wait`;
  const text = `${who} for room: another copy would fill a flash too far. Insert a module, or delete or trim volumes; healing goes on by itself then.`;
  return [row('Room', say(text, 'bad'))];
}

/** How much more may go. */
export function marginPhrase({ arcs, lossesSurvivable }: CoreletStatus): Phrase {
  if (arcs.unavailable > 0) {
    const which = arcs.unavailable === 1 ? "1 arc can't" : `${arcs.unavailable} arcs can't`;
    const whose = arcs.unavailable === 1 ? 'its' : 'their';
    return say(`${which} be read or written now; ${whose} data is not lost while copies exist.`, 'bad');
  }
  if (lossesSurvivable === 0) return say('The next loss makes data unavailable.', 'bad');
  return say(`Survives ${lossesSurvivable} more ${lossesSurvivable === 1 ? 'loss' : 'losses'}.`);
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

/** Of the Corelet that answers; the others of its arcs say the same. */
function quarantineRow({ scrub, answeredBy }: CoreletStatus): readonly StatusRow[] {
  const count = scrub?.quarantinedBlocks ?? 0;
  if (count === 0) return [];
  const blocks = count === 1 ? '1 block in quarantine' : `${count} blocks in quarantine`;
  const text = `${blocks} in slot ${answeredBy.slot}: two valid contents of one version, neither is proven wrong. Hosts get an error for them until they write them anew; see corelet why ${answeredBy.slot}.`;
  return [row('Doubt', say(text, 'bad'))];
}

/** Flash that goes bad, while the other copies still make it good. Of the Corelet that answers: each knows its own. */
function flashRow({ slots, answeredBy }: CoreletStatus): readonly StatusRow[] {
  const device = slots.find(({ slot }) => slot === answeredBy.slot)?.device;
  if (device === undefined) return [];
  const count = (n: number, one: string, many: string): readonly string[] => (n === 0 ? [] : [n === 1 ? one : many]);
  const { failed, badReads, badSegments, wearPercent = 0 } = device;
  const signs = [
    ...(failed ? ['a write failed, its Corelet stops'] : []),
    ...count(badReads, '1 block was bad since its start', `${badReads} blocks were bad since its start`),
    ...count(badSegments, '1 segment given up', `${badSegments} segments given up`),
    ...(wearPercent >= wornPercent ? [`${Math.round(wearPercent)} % of its life used`] : []),
  ];
  if (signs.length === 0) return [];
  const { slot } = answeredBy;
  const text = `slot ${slot}: ${signs.join(', ')}. The other copies make it good; if there is more of it, replace the module (corelet slot drain ${slot}).`;
  return [row('Flash', say(text, failed ? 'bad' : 'warn'))];
}

/** The sensors of the chassis, as the Corelet that answers sees them. */
function hardwareRow({ slots }: CoreletStatus): readonly StatusRow[] {
  const device = slots.find((slot) => slot.device !== undefined)?.device;
  if (device?.suppliesTotal === undefined || device.fansTotal === undefined) return [];
  const { suppliesTotal, suppliesFailed = 0, fansTotal, fansFailed = 0, temperatureCelsius = 0 } = device;
  const part = (name: string, total: number, failed: number): Phrase =>
    failed === 0
      ? say(`${total} ${name}`)
      : say(`${total - failed} of ${total} ${name}, ${failed} failed: replace ${failed === 1 ? 'it' : 'them'}`, 'bad');
  const warm = `${temperatureCelsius} °C`;
  const heat =
    temperatureCelsius >= hotCelsius ? say(`${warm}, too hot: see to the fans and the air`, 'bad') : say(warm);
  const supplies = part('supplies', suppliesTotal, suppliesFailed);
  const alone = suppliesFailed > 0 ? ' (the next one takes all slots with it)' : '';
  return [row('Hardware', supplies, say(`${alone}; `), part('fans', fansTotal, fansFailed), say('; '), heat)];
}

/** The state of a slot, and why it isn't taken back yet or sits out. */
export function slotStateText(slot: SlotStatus): string {
  return `${stateGlyphs[slot.state]} ${slot.state}${flapText(slot)}${slowText(slot)}`;
}

function flapText({ heldDownSeconds, flapScore }: SlotStatus): string {
  if (heldDownSeconds === undefined) return '';
  return `, flapped ${Math.round(flapScore ?? 0)} times: held down ${formatSeconds(heldDownSeconds)}`;
}

function slowText({ state, slow }: SlotStatus): string {
  if (state !== 'sitting-out' || slow === undefined) return '';
  const part = (what: string, ms?: number, usualMs?: number): string =>
    ms === undefined ? '' : `, ${what} in ${ms} ms (usual: ${usualMs} ms)`;
  return part('syncs', slow.flashMs, slow.flashUsualMs) + part('answers', slow.answersMs, slow.answersUsualMs);
}

/** Whether the module may be drawn out now, and why not; of a drained one also why. */
export function safeText(slot: SlotStatus): string {
  if (!slot.safeToPull) return `no: ${slot.why}`;
  return slot.state === 'draining' ? `yes: ${slot.why}` : 'yes';
}

/** Empty: the fill isn't known. */
export function usedText(slot: SlotStatus): string {
  return slot.sizeBytes === 0 ? '' : `${formatBytes(slot.usedBytes)} of ${formatBytes(slot.sizeBytes)}`;
}
