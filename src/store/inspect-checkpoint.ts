import { RemoteProtocolError } from '../base/errors.ts';
import { type Flash, FlashError } from '../ports/flash.ts';
import type { DeviceMark } from './batch-header.ts';
import {
  type Anchor,
  anchorPositions,
  type Checkpoint,
  decodeAnchor,
  decodeArcCheckpoint,
  decodeCheckpoint,
  decodeRoot,
} from './checkpoint.ts';
import { DamagedTable, readTable } from './checkpoint-load.ts';
import { type Layout, pageBytes, superblockPositions } from './layout.ts';
import { Segments } from './segments.ts';
import { encodeSuperblock, type Superblock } from './superblock.ts';

/** One of the copies of a superblock or anchor. `blank`: nothing was ever written there. */
export interface CopyReport {
  readonly position: number;
  readonly state: 'whole' | 'blank' | 'damaged' | 'unreadable';
}

export interface AnchorReport extends CopyReport {
  /** Of the checkpoint that it names. */
  readonly number?: number;
}

/** `undefined` where the medium can't be read. */
async function readPlace(flash: Flash, position: number, bytes: number): Promise<Uint8Array | undefined> {
  const into = new Uint8Array(bytes);
  try {
    await flash.read(position, into);
    return into;
  } catch (error) {
    if (error instanceof FlashError && error.code === 'EIO') return undefined;
    throw error;
  }
}

/** Compares both copies with the one that was found. */
export async function superblockCopies(flash: Flash, superblock: Superblock): Promise<CopyReport[]> {
  const wanted = encodeSuperblock(superblock);
  const copies: CopyReport[] = [];
  for (const position of superblockPositions) {
    const found = await readPlace(flash, position, wanted.length);
    const state =
      found === undefined ? 'unreadable' : found.every((byte, i) => byte === wanted[i]) ? 'whole' : 'damaged';
    copies.push({ position, state });
  }
  return copies;
}

export async function anchorCopies(
  flash: Flash,
  mark: DeviceMark,
): Promise<{ reports: AnchorReport[]; anchors: Anchor[] }> {
  const reports: AnchorReport[] = [];
  const anchors: Anchor[] = [];
  for (const position of anchorPositions.flat()) {
    const page = await readPlace(flash, position, pageBytes);
    const anchor = page === undefined ? undefined : decodeAnchor(mark, page);
    if (anchor !== undefined) {
      reports.push({ position, state: 'whole', number: anchor.number });
      if (!anchors.some(({ number }) => number === anchor.number)) anchors.push(anchor);
    } else if (page === undefined) reports.push({ position, state: 'unreadable' });
    else reports.push({ position, state: page.every((byte) => byte === 0) ? 'blank' : 'damaged' });
  }
  return { reports, anchors: anchors.sort((a, b) => b.number - a.number) };
}

/** A checkpoint of which every part is there, from one copy or the other, and its segment table. */
export interface ReadCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly segments: Segments;
  /** Its tables, each counted once. */
  readonly tables: number;
}

/** The newest whole checkpoint, and the numbers of newer ones that aren't. */
export async function newestCheckpoint(
  flash: Flash,
  layout: Layout,
  anchors: readonly Anchor[],
): Promise<{ found: ReadCheckpoint | undefined; damaged: number[] }> {
  const damaged: number[] = [];
  for (const anchor of anchors) {
    try {
      return { found: await readCheckpoint(flash, layout, anchor), damaged };
    } catch (error) {
      const isDamage = error instanceof RemoteProtocolError || error instanceof DamagedTable;
      if (!isDamage) throw error;
      damaged.push(anchor.number);
    }
  }
  return { found: undefined, damaged };
}

async function readCheckpoint(flash: Flash, layout: Layout, anchor: Anchor): Promise<ReadCheckpoint> {
  const checkpoint = decodeCheckpoint(await readTable(flash, anchor.table));
  const segments = new Segments(layout);
  segments.decode(await readTable(flash, checkpoint.segments));
  let tables = 2;
  for (const { arc, state, root } of checkpoint.arcs) {
    decodeArcCheckpoint(arc, await readTable(flash, state));
    tables++;
    if (root === undefined) continue;
    const groups = decodeRoot(await readTable(flash, root));
    tables += 1 + groups.length;
    for (const { table } of groups) await readTable(flash, table);
  }
  return { checkpoint, segments, tables };
}
