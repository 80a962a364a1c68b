import { Reader } from '../base/bytes.ts';
import { crc32c } from '../base/crc32c.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import { blockBytes } from '../base/ids.ts';
import type { Flash } from '../ports/flash.ts';
import { batchHeaderBytes } from './batch-header.ts';
import { pageBytes } from './layout.ts';
import { type DecodedRecord, decodeRecord } from './records.ts';
import { readWhatCan, type ScannedBatch } from './scan.ts';

/** The records of a batch, in order. @throws RemoteProtocolError where the bytes aren't records of this format. */
export function* decodeBatch(batch: ScannedBatch): IterableIterator<DecodedRecord> {
  const reader = new Reader(batch.meta, batchHeaderBytes, batch.header.metaBytes);
  const dataPosition = batch.header.position + pageBytes;
  for (let i = 0; i < batch.header.records; i++) yield decodeRecord(reader, dataPosition);
  reader.done();
}

/** Whether every block of a batch has the content that its records name. A block that can't be read isn't torn. */
export async function dataIsWhole(flash: Flash, batch: ScannedBatch): Promise<boolean> {
  const dataPosition = batch.header.position + pageBytes;
  const data = new Uint8Array(batch.header.dataPages * pageBytes);
  const unreadable = await readWhatCan(flash, dataPosition, data);
  try {
    for (const record of decodeBatch(batch)) {
      const page = record.type === 'table' ? record.table : record.type === 'mapPage' ? record.page : undefined;
      if (page !== undefined) {
        const from = page.position - dataPosition;
        const bytes = data.subarray(from, from + ('bytes' in page ? page.bytes : pageBytes));
        if (unreadable.size === 0 && crc32c(bytes) !== page.crc) return false;
        continue;
      }
      const stored = record.type === 'entry' ? record.entry : record.type === 'chunkCopy' ? record.copy : undefined;
      if (stored?.position === undefined) continue;
      for (let i = 0; i < stored.crcs.length; i++) {
        const at = stored.position - dataPosition + i * blockBytes;
        if (unreadable.has(dataPosition + at)) continue;
        if (crc32c(data.subarray(at, at + blockBytes)) !== stored.crcs[i]) return false;
      }
    }
    return true;
  } catch (error) {
    if (error instanceof RemoteProtocolError) return false;
    throw error;
  }
}
