import { type ArcId, blockBytes } from '../base/ids.ts';
import { pageBytes } from './layout.ts';
import type { DecodedRecord } from './records.ts';
import type { ChunkKey, DevicePosition } from './types.ts';

/** Something in data pages that a record names, with the CRC that it has to have. */
export interface RecordData {
  readonly what: 'block' | 'map page' | 'table';
  readonly position: DevicePosition;
  readonly bytes: number;
  readonly crc: number;
  readonly arc: ArcId;
  readonly key?: ChunkKey;
  /** In its chunk. */
  readonly block?: number;
}

/** In the record's own batch, but for blocks of which the log says that they were moved: those lie elsewhere. */
export function* dataOf(record: DecodedRecord): IterableIterator<RecordData> {
  if (record.type === 'table') {
    const { arc, position, bytes, crc } = record.table;
    yield { what: 'table', position, bytes, crc, arc };
  } else if (record.type === 'mapPage') {
    const { arc, key, position, crc } = record.page;
    yield { what: 'map page', position, bytes: pageBytes, crc, arc, key };
  } else if (record.type === 'entry') {
    const { arc, position, crcs, range } = record.entry;
    if (position === undefined) return;
    const key = range && { volume: range.volume, layer: range.layer, chunk: range.chunk };
    for (let i = 0; i < crcs.length; i++) {
      const block = blockAt(arc, position, crcs, i);
      if (range === undefined || key === undefined) yield block;
      else yield { ...block, key, block: range.firstBlock + i };
    }
  } else if (record.type === 'chunkCopy') {
    const { arc, key, blocks, position, crcs } = record.copy;
    if (position === undefined) return;
    for (let i = 0; i < crcs.length; i++) yield { ...blockAt(arc, position, crcs, i), key, block: blocks[i] as number };
  } else if (record.type === 'moved') {
    const { arc, volume, layer, chunks, blocks, position, crcs } = record.moved;
    for (let i = 0; i < crcs.length; i++) {
      const key = { volume, layer, chunk: chunks[i] as number };
      yield { ...blockAt(arc, position, crcs, i), key, block: blocks[i] as number };
    }
  }
}

function blockAt(arc: ArcId, first: DevicePosition, crcs: Uint32Array, i: number): RecordData {
  return { what: 'block', position: first + i * blockBytes, bytes: blockBytes, crc: crcs[i] as number, arc };
}
