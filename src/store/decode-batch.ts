import { Reader } from '../base/bytes.ts';
import { crc32c } from '../base/crc32c.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { Flash } from '../ports/flash.ts';
import { batchHeaderBytes } from './batch-header.ts';
import { pageBytes } from './layout.ts';
import { readWhatCan } from './medium.ts';
import { dataOf } from './record-data.ts';
import { type DecodedRecord, decodeRecord } from './records.ts';
import type { ScannedBatch } from './scan.ts';

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
      for (const { position, bytes, crc } of dataOf(record)) {
        const at = position - dataPosition;
        if (record.type === 'moved' && (at < 0 || at + bytes > data.length)) continue; // the log telling of another place
        let isReadable = true;
        for (let page = position; page < position + bytes; page += pageBytes) isReadable &&= !unreadable.has(page);
        if (isReadable && crc32c(data.subarray(at, at + bytes)) !== crc) return false;
      }
    }
    return true;
  } catch (error) {
    if (error instanceof RemoteProtocolError) return false;
    throw error;
  }
}
