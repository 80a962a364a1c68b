import { markOf } from '../../src/store/format.ts';
import { type DeviceMark, readHeader } from '../../src/store/batch-header.ts';
import { decodeBatch } from '../../src/store/decode-batch.ts';
import type { Superblock } from '../../src/store/superblock.ts';

const pageBytes = 4096;

/** Bytes that went to a device, by what they were. */
export interface CausedBytes {
  host: number;
  /** Live blocks that the cleaner copied. */
  moved: number;
  /** Heads of the cleaner's batches: header and records. */
  movedHeads: number;
  mapPages: number;
  /** Pieces of checkpoints: chunk tables, roots, arc states, segment tables. */
  tables: number;
  /** Heads of the log's batches, what says where blocks were moved included. */
  heads: number;
  /** Superblock and anchors. */
  other: number;
}

/** Looks into what is written, as a restart would, and tells why it was. */
export class WriteCauses {
  readonly bytes: CausedBytes = { host: 0, moved: 0, movedHeads: 0, mapPages: 0, tables: 0, heads: 0, other: 0 };
  readonly #mark: DeviceMark;
  readonly #movedMark: DeviceMark;

  constructor(superblock: Superblock) {
    this.#mark = markOf(superblock);
    this.#movedMark = { ...this.#mark, moved: true };
  }

  readonly observe = (offset: number, parts: readonly Uint8Array[]): void => {
    const { bytes } = this;
    const head = parts[0] as Uint8Array;
    const moved = readHeader(head, this.#movedMark, offset);
    if (moved !== undefined) {
      bytes.moved += moved.dataPages * pageBytes;
      bytes.movedHeads += Math.ceil(moved.metaBytes / pageBytes) * pageBytes;
      return;
    }
    const header = readHeader(head, this.#mark, offset);
    if (header === undefined) {
      for (const part of parts) bytes.other += part.length;
      return;
    }
    const headBytes = Math.ceil(header.metaBytes / pageBytes) * pageBytes;
    bytes.heads += headBytes;
    bytes.host += header.dataPages * pageBytes; // what isn't the host's is taken off again below
    let meta = head;
    if (headBytes > pageBytes) {
      meta = new Uint8Array(headBytes);
      meta.set(head);
      meta.set(parts.at(-1) as Uint8Array, pageBytes);
    }
    for (const record of decodeBatch({ header, meta, end: 0 })) {
      if (record.type === 'mapPage') this.#notTheHosts('mapPages', 1);
      else if (record.type === 'table') this.#notTheHosts('tables', Math.ceil(record.table.bytes / pageBytes));
    }
  };

  #notTheHosts(cause: 'mapPages' | 'tables', pages: number): void {
    this.bytes[cause] += pages * pageBytes;
    this.bytes.host -= pages * pageBytes;
  }
}
