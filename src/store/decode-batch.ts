import { Reader } from '../base/bytes.ts';
import { batchHeaderBytes } from './batch-header.ts';
import { pageBytes } from './layout.ts';
import { type DecodedRecord, decodeRecord } from './records.ts';
import type { ScannedBatch } from './scan.ts';

/** The records of a batch, in order. @throws RemoteProtocolError where the bytes aren't records of this format. */
export function* decodeBatch(batch: ScannedBatch): IterableIterator<DecodedRecord> {
  const reader = new Reader(batch.meta, batchHeaderBytes, batch.header.metaBytes);
  const dataPosition = batch.header.position + pageBytes;
  for (let i = 0; i < batch.header.records; i++) yield decodeRecord(reader, dataPosition);
  reader.done();
}
