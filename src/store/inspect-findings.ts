import type { ArcId } from '../base/ids.ts';
import type { DecodedRecord } from './records.ts';
import type { ChunkKey, DevicePosition } from './types.ts';

/** Something on a device that isn't what was written there. */
export interface BadPlace {
  readonly position: DevicePosition;
  /** Undefined before the first segment. */
  readonly segment: number | undefined;
  readonly what: 'superblock' | 'anchor' | 'batch' | 'block' | 'map page' | 'table';
  readonly reason: 'corrupt' | 'unreadable' | 'missing';
  /** As the record says that names it. */
  readonly arc?: ArcId;
  readonly key?: ChunkKey;
  /** In its chunk. */
  readonly block?: number;
}

/** A last write that isn't whole and that nothing later names: cut short by a power cut or a kill; rot there looks the same. */
export interface CutShort {
  readonly segment: number;
  readonly position: DevicePosition;
  readonly sequence: number;
}

export type RecordCounts = Readonly<Record<DecodedRecord['type'], number>>;

/** Bad places that are remembered one by one; all are counted. */
export const badPlacesMax = 1000;

/** What was read of a device so far. */
export class Findings {
  batches = 0;
  blocks = 0;
  readonly records: Record<DecodedRecord['type'], number> = {
    entry: 0,
    truncate: 0,
    hardState: 0,
    arcState: 0,
    chunkCopy: 0,
    register: 0,
    table: 0,
    mapPage: 0,
    moved: 0,
    cut: 0,
    applied: 0,
    freed: 0,
  };
  badCount = 0;
  readonly bad: BadPlace[] = [];
  readonly cutShort: CutShort[] = [];

  addBad(place: BadPlace): void {
    this.badCount++;
    if (this.bad.length < badPlacesMax) this.bad.push(place);
  }

  add(other: Findings): void {
    this.batches += other.batches;
    this.blocks += other.blocks;
    for (const [type, count] of Object.entries(other.records)) this.records[type as DecodedRecord['type']] += count;
    this.badCount += other.badCount;
    for (const place of other.bad) if (this.bad.length < badPlacesMax) this.bad.push(place);
    this.cutShort.push(...other.cutShort);
  }
}
