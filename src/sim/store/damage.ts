import { anchorsIn, loadCheckpoint, readAnchorPages } from '../../store/checkpoint-load.ts';
import { markOf } from '../../store/format.ts';
import { layoutOf, segmentEnd, segmentStart } from '../../store/layout.ts';
import { MapSpace } from '../../store/map-space.ts';
import { salvage } from '../../store/scan.ts';
import { readSuperblock } from '../../store/superblock.ts';
import type { Prng } from '../../base/prng.ts';
import type { SparseMedium } from '../sparse-medium.ts';
import { QuickFlash } from './device.ts';

/** The last batches of a log prove those before them; they themselves may be torn. */
const provenByMin = 2;
/** In a batch header, covered by its CRC. */
const rottenByte = 20;
const neighboursMax = 3;

/** Where the batches begin that a restart would read, in the order of the log. */
async function logOf(medium: SparseMedium): Promise<number[]> {
  const flash = new QuickFlash(medium);
  const found = await readSuperblock(flash);
  if (!found.ok) return [];
  const { deviceBytes, segmentBytes } = found.superblock;
  const mark = markOf(found.superblock);
  const layout = layoutOf(deviceBytes, segmentBytes);
  const loaded = await loadCheckpoint(flash, anchorsIn(await readAnchorPages(flash, mark)), new MapSpace());
  const start = loaded?.checkpoint.start.sequence ?? 0;
  const batches: { readonly sequence: number; readonly position: number }[] = [];
  for (let segment = 0; segment < layout.segmentCount; segment++) {
    const salvaged = await salvage(flash, mark, segmentStart(layout, segment), segmentEnd(layout, segment));
    for (const { header } of salvaged.batches) if (header.sequence >= start) batches.push(header);
  }
  return batches.sort((a, b) => a.sequence - b.sequence).map(({ position }) => position);
}

/** Rot in the heads of one or a few batches in the midst of the log. False: it is too short. */
export async function rotLog(medium: SparseMedium, random: Prng): Promise<boolean> {
  const log = await logOf(medium);
  const choices = log.length - provenByMin;
  if (choices <= 0) return false;
  const first = random.below(choices);
  const end = Math.min(choices, first + 1 + random.below(neighboursMax));
  for (const position of log.slice(first, end)) flip(medium, position + rottenByte);
  return true;
}

export function flip(medium: SparseMedium, position: number): void {
  const byte = new Uint8Array(1);
  medium.read(position, byte);
  medium.write(position, Uint8Array.of((byte[0] as number) ^ 0x10));
}
