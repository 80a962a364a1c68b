import type { Flash } from '../ports/flash.ts';
import type { AnchorPage, LoadedCheckpoint } from './checkpoint-load.ts';
import { superblockPositions } from './layout.ts';
import { readPiece } from './medium.ts';
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

/** Compares both copies with the one that was found. */
export async function superblockCopies(flash: Flash, superblock: Superblock): Promise<CopyReport[]> {
  const wanted = encodeSuperblock(superblock);
  const copies: CopyReport[] = [];
  for (const position of superblockPositions) {
    const found = new Uint8Array(wanted.length);
    if (!(await readPiece(flash, position, found))) copies.push({ position, state: 'unreadable' });
    else copies.push({ position, state: found.every((byte, i) => byte === wanted[i]) ? 'whole' : 'damaged' });
  }
  return copies;
}

/** Of each copy of an anchor: what is there. */
export function anchorReports(pages: readonly AnchorPage[]): AnchorReport[] {
  return pages.map(({ position, page, anchor }) => {
    if (anchor !== undefined) return { position, state: 'whole', number: anchor.number };
    if (page === undefined) return { position, state: 'unreadable' };
    return { position, state: page.every((byte) => byte === 0) ? 'blank' : 'damaged' };
  });
}

/** How many tables a checkpoint consists of, each counted once. */
export function tablesOf({ arcs, groups }: LoadedCheckpoint): number {
  let tables = 2 + arcs.size;
  for (const parts of groups.values()) tables += 1 + parts.length;
  return tables;
}
