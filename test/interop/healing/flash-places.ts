import assert from 'node:assert/strict';
import { RemoteProtocolError } from '../../../src/base/errors.ts';
import { openFlashFile } from '../../../src/platform/flash-file.ts';
import type { DeviceMark } from '../../../src/store/batch-header.ts';
import { decodeBatch } from '../../../src/store/decode-batch.ts';
import { markOf } from '../../../src/store/format.ts';
import {
  layoutOf,
  pageBytes,
  pagesFor,
  segmentEnd,
  segmentOf,
  segmentsPosition,
  segmentStart,
} from '../../../src/store/layout.ts';
import type { DecodedRecord } from '../../../src/store/records.ts';
import { dataOf } from '../../../src/store/record-data.ts';
import { salvage } from '../../../src/store/scan.ts';
import { readSuperblock } from '../../../src/store/superblock.ts';

/**
 * What a page of a flash file is for. `live data`: the newest known of its block; `old data`: what something newer replaced. `log`: a batch's head and
 * records. `checkpoint`: one of its tables. `left over`: of an earlier use, or unknown.
 */
export type PageUse = 'superblock' | 'live data' | 'old data' | 'map' | 'checkpoint' | 'log' | 'left over';

const anchorsPosition = 256 * 1024;

/** `written`: positions of pages that hold something. Of every page that a batch tells of: what it is for, as the records on the device say while its Corelet goes on writing. */
export async function pageUses(path: string, written: readonly number[]): Promise<(position: number) => PageUse> {
  const opened = await openFlashFile(path, { readOnly: true });
  assert(opened.ok);
  const { flash } = opened;
  try {
    const found = await readSuperblock(flash);
    assert(found.ok);
    const layout = layoutOf(found.superblock.deviceBytes, found.superblock.segmentBytes);
    const places = new Places();
    for (const segment of new Set(written.filter((at) => at >= segmentsPosition).map((at) => segmentOf(layout, at)))) {
      for (const moved of [false, true]) {
        const mark: DeviceMark = { ...markOf(found.superblock), moved };
        const { batches } = await salvage(flash, mark, segmentStart(layout, segment), segmentEnd(layout, segment));
        for (const batch of batches) {
          const { position, dataPages, sequence } = batch.header;
          for (let at = position; at < batch.end; at += pageBytes)
            if (at === position || at >= position + (1 + dataPages) * pageBytes) places.uses.set(at, 'log');
          try {
            for (const record of decodeBatch(batch)) places.take(record, moved ? 0 : sequence);
          } catch (error) {
            if (!(error instanceof RemoteProtocolError)) throw error;
          }
        }
      }
    }
    const uses = places.judged();
    return (position) => {
      if (position < anchorsPosition) return 'superblock';
      if (position < segmentsPosition) return 'checkpoint';
      return uses.get(position - (position % pageBytes)) ?? 'left over';
    };
  } finally {
    await flash.close();
  }
}

interface Newest {
  readonly version: number;
  readonly sequence: number;
  readonly position: number;
}

class Places {
  readonly uses = new Map<number, PageUse>();
  readonly #newest = new Map<string, Newest>();

  take(record: DecodedRecord, sequence: number): void {
    let i = 0;
    for (const { what, position, bytes, arc, key, block } of dataOf(record)) {
      const version = versionOf(record, i++);
      if (what !== 'block') {
        for (let page = 0; page < pagesFor(bytes); page++)
          this.uses.set(position + page * pageBytes, what === 'table' ? 'checkpoint' : 'map');
        continue;
      }
      this.uses.set(position, 'old data');
      if (key === undefined || block === undefined) continue;
      const name = [arc, key.volume, key.layer, key.chunk, block].join('/');
      const known = this.#newest.get(name);
      const isNewer =
        known === undefined || version > known.version || (version === known.version && sequence >= known.sequence);
      if (isNewer) this.#newest.set(name, { version, sequence, position });
    }
  }

  judged(): ReadonlyMap<number, PageUse> {
    for (const { position } of this.#newest.values()) this.uses.set(position, 'live data');
    return this.uses;
  }
}

/** Of the `i`th block that a record tells of. */
function versionOf(record: DecodedRecord, i: number): number {
  switch (record.type) {
    case 'entry':
      return record.entry.index;
    case 'chunkCopy':
      return record.copy.versions[i] as number;
    case 'moved':
      return record.moved.versions[i] as number;
    default:
      return 0;
  }
}
