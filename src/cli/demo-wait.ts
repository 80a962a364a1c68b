import { type ChassisFile, readChassis, writeChassis } from '../chassis/chassis-file.ts';
import { isRunning, lastLogLines } from '../chassis/process.ts';
import type { CoreletStatus, VolumeInfo } from '../corelet/types.ts';
import { ChassisClient, send } from './client.ts';
import type { DemoOptions } from './demo-options.ts';
import { CommandFailure } from './failure.ts';

const pollMs = 50;
/** Between two sentences about what is still missing. */
const tellMs = 10_000;
const answerMs = 2_000;
const volumeLimitMs = 60_000;

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, pollMs));

/**
 * Until every Corelet that runs answers and knows a leader for every arc. What is missing is said now and then: with too many
 * modules away it lasts until some are inserted.
 */
export async function untilServing(dir: string, chassis: ChassisFile, interrupted: AbortSignal): Promise<void> {
  let waiting = chassis.slots.filter((record) => record.pid !== null);
  const dead: number[] = [];
  let toldAt = Date.now();
  while (waiting.length > 0 && !interrupted.aborted) {
    const still: typeof waiting = [];
    let leaderless = 0;
    for (const record of waiting) {
      if (record.pid === null || !isRunning(dir, record.slot, record.pid)) {
        dead.push(record.slot);
        tellEnd(dir, record.slot);
        continue;
      }
      const status = await statusOf(record.admin);
      if (status === undefined || status.arcs.unavailable > 0) still.push(record);
      leaderless = Math.max(leaderless, status?.arcs.unavailable ?? 0);
    }
    if (dead.length === chassis.slots.length)
      throw new CommandFailure('FAILED', 'every Corelet ended at once', `see ${dir}/slots/0/log`);
    waiting = still;
    if (waiting.length > 0 && Date.now() - toldAt > tellMs) {
      toldAt = Date.now();
      const arcs = leaderless > 0 ? `; ${leaderless} arcs have no leader` : '';
      process.stderr.write(`corelet: waiting for slots ${waiting.map(({ slot }) => slot).join(', ')}${arcs}\n`);
    }
    if (waiting.length > 0) await pause();
  }
}

function tellEnd(dir: string, slot: number): void {
  const why = lastLogLines(dir, slot, 1)[0] ?? 'its log is empty';
  process.stderr.write(`corelet: the Corelet in slot ${slot} ended: ${why}\n`);
}

async function statusOf(admin: string): Promise<CoreletStatus | undefined> {
  const outcome = await send(admin, 'GET', '/api/status', undefined, answerMs);
  return typeof outcome === 'object' && outcome.status === 200 ? (outcome.body as CoreletStatus) : undefined;
}

/**
 * The volume of the first start, or one that `--volume` names at a later one.
 * @returns its name. @throws CommandFailure when it can't be made, FOLDER_MISMATCH when it exists with another size.
 */
export async function makeVolume(dir: string, options: DemoOptions, interrupted: AbortSignal): Promise<string> {
  const read = readChassis(dir);
  if (!read.ok) throw new CommandFailure('NO_CHASSIS', read.message);
  const { chassis } = read;
  const wanted = options.given.has('volume') ? options.volume : chassis.volume;
  if (chassis.volume.made && !options.given.has('volume')) return wanted.name;
  const admins = chassis.slots.filter((slot) => slot.pid !== null).map((slot) => slot.admin);
  const client = new ChassisClient(admins, volumeLimitMs);
  const deadline = Date.now() + volumeLimitMs;
  while (!interrupted.aborted) {
    try {
      await client.ask<VolumeInfo>('POST', '/api/volumes', {
        name: wanted.name,
        sizeBytes: wanted.sizeBytes,
        copies: chassis.copies,
      });
      break;
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      if (error.code === 'VOLUME_EXISTS') {
        await sameSize(client, wanted);
        break;
      }
      if ((error.code !== 'UNAVAILABLE' && error.code !== 'TOO_FEW_CORELETS') || Date.now() > deadline) throw error;
      await pause();
    }
  }
  if (wanted.name === chassis.volume.name && !interrupted.aborted) markMade(dir);
  return wanted.name;
}

async function sameSize(client: ChassisClient, wanted: DemoOptions['volume']): Promise<void> {
  const volume = await client.ask<VolumeInfo>('GET', `/api/volumes/${encodeURIComponent(wanted.name)}`);
  if (volume.sizeBytes === wanted.sizeBytes) return;
  throw new CommandFailure(
    'FOLDER_MISMATCH',
    `volume ${wanted.name} exists with ${volume.sizeBytes} bytes, not ${wanted.sizeBytes}`,
  );
}

function markMade(dir: string): void {
  const read = readChassis(dir);
  if (read.ok) writeChassis(dir, { ...read.chassis, volume: { ...read.chassis.volume, made: true } });
}
