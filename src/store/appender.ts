import { assert } from '../base/assert.ts';
import type { Writer } from '../base/bytes.ts';
import { type ArcId, blockBytes, type LogIndex } from '../base/ids.ts';
import type { Batch } from './batch.ts';
import { pageBytes } from './layout.ts';
import type { Log } from './log.ts';
import * as records from './records.ts';
import { type ChunkCopyRecord, type DevicePosition, type EntryRecord, storeLimits } from './types.ts';

/**
 * Puts records into the log, each into the batch that has room for it. What is given is not copied, but for heads, CRCs
 * and states: data stays as it is until durable. Undefined, or false: the log has failed or is closed, nothing was appended.
 */
export class Appender {
  readonly #log: Log;
  /** Data of hosts and peers, since the start. */
  hostBytes = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  // ---- with data: where it will be, readable from now on --------------------------------------------------------------

  /** Also undefined without data. */
  entry(record: EntryRecord): DevicePosition | undefined {
    assert(record.head.length <= storeLimits.headBytesMax, 'entry head too large');
    const dataBytes = checkedDataBytes(record.crcs, record.data);
    const batch = this.#log.batchFor(records.entryBytes(record), dataBytes);
    if (batch === undefined) return undefined;
    records.encodeEntry(batch.meta, record, batch.dataPages);
    return this.#hostData(batch, record.data, dataBytes);
  }

  /** Also undefined without data. */
  chunkCopy(record: ChunkCopyRecord): DevicePosition | undefined {
    assert(record.blocks.length === record.crcs.length, 'a CRC per copied block');
    assert(record.blocks.length === record.versions.length, 'a version per copied block');
    const dataBytes = checkedDataBytes(record.crcs, record.data);
    const batch = this.#log.batchFor(records.chunkCopyBytes(record), dataBytes);
    if (batch === undefined) return undefined;
    records.encodeChunkCopy(batch.meta, record, batch.dataPages);
    return this.#hostData(batch, record.data, dataBytes);
  }

  mapPage(record: Omit<records.MapPageRecord, 'position'>, page: Uint8Array): DevicePosition | undefined {
    const batch = this.#log.batchFor(records.pageRecordBytes, pageBytes);
    if (batch === undefined) return undefined;
    records.encodeMapPageRecord(batch.meta, record, batch.dataPages);
    return this.#data(batch, [page], pageBytes);
  }

  /** `pages`: the table, padded to whole pages. */
  table(record: Omit<records.TableRecord, 'position'>, pages: Uint8Array): DevicePosition | undefined {
    const batch = this.#log.batchFor(records.pageRecordBytes, pages.length);
    if (batch === undefined) return undefined;
    records.encodeTable(batch.meta, record, batch.dataPages);
    return this.#data(batch, [pages], pages.length);
  }

  #hostData(batch: Batch, data: readonly Uint8Array[], dataBytes: number): DevicePosition | undefined {
    this.hostBytes += dataBytes;
    const position = this.#data(batch, data, dataBytes);
    return dataBytes === 0 ? undefined : position;
  }

  #data(batch: Batch, data: readonly Uint8Array[], dataBytes: number): DevicePosition {
    const position = batch.dataEnd;
    batch.addData(data);
    this.#log.appended(dataBytes);
    return position;
  }

  // ---- without ---------------------------------------------------------------------------------------------------------

  truncate(arc: ArcId, fromIndex: LogIndex): boolean {
    return this.#bare(records.smallRecordBytes, (meta) => records.encodeTruncate(meta, arc, fromIndex));
  }

  applied(arc: ArcId, index: LogIndex): boolean {
    return this.#bare(records.smallRecordBytes, (meta) => records.encodeApplied(meta, arc, index));
  }

  hardState(arc: ArcId, state: Uint8Array): boolean {
    return this.#state(records.recordKinds.hardState, arc, state);
  }

  arcState(arc: ArcId, state: Uint8Array): boolean {
    return this.#state(records.recordKinds.arcState, arc, state);
  }

  #state(kind: 3 | 4, arc: ArcId, state: Uint8Array): boolean {
    assert(state.length <= storeLimits.stateBytesMax, 'arc state too large');
    return this.#bare(records.stateBytes(state), (meta) => records.encodeState(meta, kind, arc, state));
  }

  register(name: string, value: Uint8Array): boolean {
    assert(value.length <= storeLimits.stateBytesMax, 'register too large');
    return this.#bare(records.registerBytes(value), (meta) => records.encodeRegister(meta, name, value));
  }

  cut(cut: records.CutRecord): boolean {
    return this.#bare(records.smallRecordBytes, (meta) => records.encodeCut(meta, cut));
  }

  freed(segment: number): boolean {
    return this.#bare(records.smallRecordBytes, (meta) => records.encodeFreed(meta, segment));
  }

  moved(moved: records.MovedRecord): boolean {
    return this.#bare(records.movedBytes(moved.blocks.length), (meta) => records.encodeMoved(meta, moved));
  }

  #bare(metaBytes: number, encode: (meta: Writer) => void): boolean {
    const batch = this.#log.batchFor(metaBytes, 0);
    if (batch === undefined) return false;
    encode(batch.meta);
    this.#log.appended(0);
    return true;
  }
}

function checkedDataBytes(crcs: Uint32Array, data: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const piece of data) bytes += piece.length;
  assert(bytes === crcs.length * blockBytes, 'a CRC per block of data');
  assert(bytes <= storeLimits.recordDataBytesMax, 'too much data for one record');
  return bytes;
}
