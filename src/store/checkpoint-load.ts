import { crc32c } from '../base/crc32c.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { ArcId } from '../base/ids.ts';
import type { Flash } from '../ports/flash.ts';
import type { DeviceMark } from './batch-header.ts';
import {
  type Anchor,
  anchorPositions,
  type Checkpoint,
  decodeAnchor,
  decodeArcCheckpoint,
  decodeCheckpoint,
  decodeRoot,
  type RootGroup,
} from './checkpoint.ts';
import { pageBytes, pagesFor } from './layout.ts';
import { readPiece } from './medium.ts';
import type { MapSpace } from './map-space.ts';
import type { TableRef } from './records.ts';
import type { ArcCheckpoint } from './types.ts';

const readsAtOnceMax = 32;

export interface LoadedCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly anchor: Anchor;
  readonly arcs: ReadonlyMap<ArcId, ArcCheckpoint>;
  /** The parts of each arc's chunk table. */
  readonly groups: ReadonlyMap<ArcId, readonly RootGroup[]>;
}

/** A checkpoint, or one of its parts, isn't what was written. */
export class DamagedTable extends Error {
  override name = 'DamagedTable';
}

/** From either copy. @throws DamagedTable where neither is what the reference asks for. */
export async function readTable(flash: Flash, ref: TableRef): Promise<Uint8Array> {
  const first = await readCopy(flash, ref.position, ref);
  const table = first ?? (ref.mirror === ref.position ? undefined : await readCopy(flash, ref.mirror, ref));
  if (table === undefined) throw new DamagedTable(`the table at ${ref.position} and ${ref.mirror} is damaged`);
  return table;
}

/** Copies that aren't what the reference asks for. @throws FlashError unless it is `EIO` */
export async function damagedCopies(flash: Flash, ref: TableRef): Promise<number> {
  let damaged = 0;
  for (const position of new Set([ref.position, ref.mirror]))
    if ((await readCopy(flash, position, ref)) === undefined) damaged += 1;
  return damaged;
}

async function readCopy(flash: Flash, position: number, ref: TableRef): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(pagesFor(ref.bytes) * pageBytes);
  if (position + bytes.length > flash.sizeBytes) return undefined;
  if (bytes.length > 0 && !(await readPiece(flash, position, bytes))) return undefined;
  const table = bytes.subarray(0, ref.bytes);
  return crc32c(table) === ref.crc ? table : undefined;
}

/** What lies where an anchor may be. */
export interface AnchorPage {
  readonly position: number;
  /** Undefined where the medium can't be read. */
  readonly page: Uint8Array | undefined;
  /** Undefined where there is no anchor of this device. */
  readonly anchor: Anchor | undefined;
}

export async function readAnchorPages(flash: Flash, mark: DeviceMark): Promise<AnchorPage[]> {
  const pages: AnchorPage[] = [];
  for (const position of anchorPositions.flat()) {
    const page = new Uint8Array(pageBytes);
    if (await readPiece(flash, position, page)) pages.push({ position, page, anchor: decodeAnchor(mark, page) });
    else pages.push({ position, page: undefined, anchor: undefined });
  }
  return pages;
}

/** The anchors, each once, the newest first. */
export function anchorsIn(pages: readonly AnchorPage[]): Anchor[] {
  const byNumber = new Map<number, Anchor>();
  for (const { anchor } of pages) {
    if (anchor !== undefined && !byNumber.has(anchor.number)) byNumber.set(anchor.number, anchor);
  }
  return Array.from(byNumber.values()).sort((a, b) => b.number - a.number);
}

/**
 * The newest checkpoint that is whole, with its chunk tables loaded into `space`. An older one serves as well: more of the
 * log is then read, and what was given back since shows as lost batches. Undefined: there never was one, or none is whole
 * (then the log itself tells whether its beginning is still there). `anchors`: the newest first.
 */
export async function loadCheckpoint(
  flash: Flash,
  anchors: readonly Anchor[],
  space: MapSpace,
): Promise<LoadedCheckpoint | undefined> {
  for (const anchor of anchors) {
    try {
      const checkpoint = decodeCheckpoint(await readTable(flash, anchor.table));
      space.segments?.decode(await readTable(flash, checkpoint.segments));
      const arcs = new Map<ArcId, ArcCheckpoint>();
      const groups = new Map<ArcId, readonly RootGroup[]>();
      for (const { arc, state, root } of checkpoint.arcs) {
        arcs.set(arc, decodeArcCheckpoint(arc, await readTable(flash, state)));
        if (root === undefined) continue;
        const parts = decodeRoot(await readTable(flash, root));
        groups.set(arc, parts);
        await loadRoot(flash, space, arc, parts);
      }
      return { checkpoint, anchor, arcs, groups };
    } catch (error) {
      if (!(error instanceof DamagedTable) && !(error instanceof RemoteProtocolError)) throw error;
      space.clear();
    }
  }
  return undefined;
}

async function loadRoot(flash: Flash, space: MapSpace, arc: ArcId, groups: readonly RootGroup[]): Promise<void> {
  const map = space.of(arc);
  for (let from = 0; from < groups.length; from += readsAtOnceMax) {
    const some = groups.slice(from, from + readsAtOnceMax);
    const images = await Promise.all(some.map((group) => readTable(flash, group.table)));
    for (const [i, { volume, layer, group, table }] of some.entries()) {
      const loaded = map.loadGroup(volume, layer, group, images[i] as Uint8Array);
      loaded.stored = table;
    }
  }
}
