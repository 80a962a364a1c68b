import { crc32c } from '../base/crc32c.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import { blockBytes } from '../base/ids.ts';
import type { Flash } from '../ports/flash.ts';
import type { DeviceMark } from './batch-header.ts';
import { readAnchors } from './checkpoint-load.ts';
import { decodeBatch } from './decode-batch.ts';
import { layoutOf, pageBytes, segmentEnd, segmentStart } from './layout.ts';
import type { DecodedRecord } from './records.ts';
import { readWhatCan, type ScannedBatch, scanRun } from './scan.ts';
import { readSuperblock } from './superblock.ts';

/** What a look at a device found. Blocks that nobody points at any more are checked as well. */
export interface DeviceReport {
  readonly cluster: string;
  readonly corelet: string;
  readonly deviceBytes: number;
  readonly segmentBytes: number;
  readonly segments: number;
  readonly logSegments: number;
  readonly movedSegments: number;
  readonly freeSegments: number;
  /** Number of the newest checkpoint; 0: none. */
  readonly checkpoint: number;
  readonly batches: number;
  readonly records: number;
  readonly blocks: number;
  /** Blocks whose content isn't what their record says, or that can't be read. */
  readonly badBlocks: number;
}

export type InspectResult =
  | { readonly ok: true; readonly report: DeviceReport }
  | { readonly ok: false; readonly message: string };

interface Piece {
  readonly position: number;
  readonly bytes: number;
  readonly crc: number;
}

/** Reads all of a device, segment by segment; changes nothing. @throws FlashError unless it is `EIO` */
export async function inspectDevice(flash: Flash): Promise<InspectResult> {
  const found = await readSuperblock(flash);
  if (!found.ok) return { ok: false, message: found.message };
  const { cluster, corelet, deviceTag, deviceBytes, segmentBytes } = found.superblock;
  const mark: DeviceMark = { deviceTag, clusterTag: Number.parseInt(cluster.slice(0, 8), 16) };
  const layout = layoutOf(deviceBytes, segmentBytes);
  const counts = { batches: 0, records: 0, blocks: 0, badBlocks: 0, logSegments: 0, movedSegments: 0 };
  for (let segment = 0; segment < layout.segmentCount; segment++) {
    const from = segmentStart(layout, segment);
    const limit = segmentEnd(layout, segment);
    const log = await scanRun(flash, mark, from, limit);
    const run = log.batches.length > 0 ? log : await scanRun(flash, { ...mark, moved: true }, from, limit);
    if (run.batches.length === 0) continue;
    if (run === log) counts.logSegments++;
    else counts.movedSegments++;
    for (const batch of run.batches) {
      counts.batches++;
      counts.records += batch.header.records;
      const checked = await checkBatch(flash, batch);
      counts.blocks += checked.blocks;
      counts.badBlocks += checked.bad;
    }
  }
  const checkpoint = (await readAnchors(flash, mark))[0]?.number ?? 0;
  const freeSegments = layout.segmentCount - counts.logSegments - counts.movedSegments;
  const device = { cluster, corelet, deviceBytes, segmentBytes, segments: layout.segmentCount };
  return { ok: true, report: { ...device, freeSegments, checkpoint, ...counts } };
}

async function checkBatch(flash: Flash, batch: ScannedBatch): Promise<{ blocks: number; bad: number }> {
  const from = batch.header.position + pageBytes;
  const data = new Uint8Array(batch.header.dataPages * pageBytes);
  const unreadable = await readWhatCan(flash, from, data);
  let blocks = 0;
  let bad = 0;
  try {
    for (const record of decodeBatch(batch)) {
      for (const { position, bytes, crc } of piecesOf(record)) {
        const at = position - from;
        if (at < 0 || at + bytes > data.length) continue; // told of another place
        blocks++;
        if (unreadable.has(position) || crc32c(data.subarray(at, at + bytes)) !== crc) bad++;
      }
    }
  } catch (error) {
    if (!(error instanceof RemoteProtocolError)) throw error;
    bad++;
  }
  return { blocks, bad };
}

function* piecesOf(record: DecodedRecord): IterableIterator<Piece> {
  if (record.type === 'table') yield record.table;
  else if (record.type === 'mapPage') yield { ...record.page, bytes: pageBytes };
  else {
    const stored =
      record.type === 'entry'
        ? record.entry
        : record.type === 'chunkCopy'
          ? record.copy
          : record.type === 'moved'
            ? record.moved
            : undefined;
    if (stored?.position === undefined) return;
    for (const [i, crc] of stored.crcs.entries()) {
      yield { position: stored.position + i * blockBytes, bytes: blockBytes, crc };
    }
  }
}
