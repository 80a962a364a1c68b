import { RemoteProtocolError } from '../base/errors.ts';
import { type ArcId, blockBytes } from '../base/ids.ts';
import type { Flash } from '../ports/flash.ts';
import type { DeviceMark } from './batch-header.ts';
import { decodeBatch } from './decode-batch.ts';
import { type Layout, segmentEnd, segmentOf, segmentStart } from './layout.ts';
import type { DecodedRecord } from './records.ts';
import { salvage } from './scan.ts';
import type { ChunkKey, DevicePosition } from './types.ts';

/** Blocks of one chunk that lie in a segment, as its records tell; whether the map still wants them isn't known. */
export interface Candidate {
  readonly arc: ArcId;
  readonly key: ChunkKey;
  readonly blocks: number[];
  readonly positions: DevicePosition[];
}

/** What the records in one segment tell. */
export interface SegmentContent {
  readonly candidates: readonly Candidate[];
  readonly mapPages: readonly { readonly arc: ArcId; readonly key: ChunkKey; readonly position: DevicePosition }[];
  readonly tables: readonly { readonly arc: ArcId; readonly position: DevicePosition }[];
  /** False when something in it can't be read: there may be more than is told. */
  readonly whole: boolean;
  /** The medium refused a read. */
  readonly unreadable: boolean;
  /** Where the last batch ends; undefined: there is none. */
  readonly end: DevicePosition | undefined;
}

/** Batches whose records are looked at in one turn. */
const batchesPerTurn = 128;

/** Reads the records of a segment, also those behind a damaged batch. `mark`: as moved batches, or as the log's. */
export async function readSegment(
  flash: Flash,
  layout: Layout,
  mark: DeviceMark,
  segment: number,
  breathe: () => Promise<void>,
): Promise<SegmentContent> {
  const { batches, gaps } = await salvage(flash, mark, segmentStart(layout, segment), segmentEnd(layout, segment));
  const unreadable = gaps.some((gap) => gap.isUnreadable);
  const content = { candidates: new Map<string, Candidate>(), mapPages: [], tables: [] } as Collected;
  let understood = true;
  for (const [i, batch] of batches.entries()) {
    if (i % batchesPerTurn === batchesPerTurn - 1) await breathe();
    try {
      for (const record of decodeBatch(batch)) collect(content, layout, segment, record);
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      understood = false;
    }
  }
  const candidates = [...content.candidates.values()];
  return { ...content, candidates, whole: gaps.length === 0 && understood, unreadable, end: batches.at(-1)?.end };
}

interface Collected {
  readonly candidates: Map<string, Candidate>;
  readonly mapPages: { arc: ArcId; key: ChunkKey; position: DevicePosition }[];
  readonly tables: { arc: ArcId; position: DevicePosition }[];
}

function collect(content: Collected, layout: Layout, segment: number, record: DecodedRecord): void {
  switch (record.type) {
    case 'entry': {
      const { arc, range, position } = record.entry;
      if (range === undefined || position === undefined) return;
      const candidate = candidateOf(content.candidates, arc, range);
      for (let i = 0; i < range.blockCount; i++) {
        candidate.blocks.push(range.firstBlock + i);
        candidate.positions.push(position + i * blockBytes);
      }
      return;
    }
    case 'chunkCopy': {
      const { arc, key, blocks, position } = record.copy;
      if (position === undefined) return;
      const candidate = candidateOf(content.candidates, arc, key);
      for (let i = 0; i < blocks.length; i++) {
        candidate.blocks.push(blocks[i] as number);
        candidate.positions.push(position + i * blockBytes);
      }
      return;
    }
    case 'moved': {
      const { arc, volume, layer, chunks, blocks, position } = record.moved;
      if (segmentOf(layout, position) !== segment) return; // the log telling of another one
      for (let i = 0; i < blocks.length; i++) {
        const candidate = candidateOf(content.candidates, arc, { volume, layer, chunk: chunks[i] as number });
        candidate.blocks.push(blocks[i] as number);
        candidate.positions.push(position + i * blockBytes);
      }
      return;
    }
    case 'mapPage':
      content.mapPages.push(record.page);
      return;
    case 'table':
      content.tables.push(record.table);
      return;
    default:
  }
}

function candidateOf(candidates: Map<string, Candidate>, arc: ArcId, key: ChunkKey): Candidate {
  const name = `${arc}/${key.volume}/${key.layer}/${key.chunk}`;
  let candidate = candidates.get(name);
  if (candidate === undefined) {
    candidate = { arc, key: { volume: key.volume, layer: key.layer, chunk: key.chunk }, blocks: [], positions: [] };
    candidates.set(name, candidate);
  }
  return candidate;
}
