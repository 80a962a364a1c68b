import { assert } from '../base/assert.ts';
import { blockBytes, type ClusterId, type CoreletId } from '../base/ids.ts';
import type { Flash } from '../ports/flash.ts';
import type { Random } from '../ports/random.ts';
import { Batch } from './batch.ts';
import type { DeviceMark } from './batch-header.ts';
import { type Layout, layoutOf, segmentBytesFor, segmentBytesMin, segmentCountMin, segmentStart } from './layout.ts';
import { encodeCut } from './records.ts';
import { eraseSuperblock, foundingBytesMax, type Superblock, writeSuperblock } from './superblock.ts';

export interface FormatOptions {
  readonly cluster: ClusterId;
  readonly corelet: CoreletId;
  /** Opaque; empty on a blank module. */
  readonly founding: Uint8Array;
  readonly arcs?: number;
  /** A multiple of 4 KiB; by default 64 MiB, less on a small device. */
  readonly segmentBytes?: number;
}

/**
 * Makes the device this Corelet's. Whatever was on it is gone; whoever calls this has made sure. Interrupted, it
 * leaves a device that is not formatted. @throws FlashError, RangeError when the device is too small.
 */
export async function format(flash: Flash, options: FormatOptions, random: Random): Promise<Superblock> {
  const segmentBytes = options.segmentBytes ?? segmentBytesFor(flash.sizeBytes);
  assert(segmentBytes % blockBytes === 0 && segmentBytes >= segmentBytesMin, 'segments of whole blocks, 2 MiB or more');
  assert(options.founding.length <= foundingBytesMax, 'founding record too large');
  const layout = layoutOf(flash.sizeBytes, segmentBytes);
  if (layout.segmentCount < segmentCountMin) {
    throw new RangeError(`a device of ${flash.sizeBytes} bytes is too small: it has no ${segmentCountMin} segments`);
  }
  const superblock: Superblock = {
    cluster: options.cluster,
    corelet: options.corelet,
    deviceTag: random.u48(),
    deviceBytes: flash.sizeBytes,
    segmentBytes,
    arcs: options.arcs ?? 0,
    founding: options.founding,
  };
  await eraseSuperblock(flash);
  await writeFirstBatch(flash, layout, superblock);
  await writeSuperblock(flash, superblock);
  return superblock;
}

export function markOf(superblock: Superblock): DeviceMark {
  return { deviceTag: superblock.deviceTag, clusterTag: Number.parseInt(superblock.cluster.slice(0, 8), 16) };
}

/** So that a formatted device always has a whole batch: none at all is then a sign of loss. */
async function writeFirstBatch(flash: Flash, layout: Layout, superblock: Superblock): Promise<void> {
  const batch = new Batch();
  batch.open(segmentStart(layout, 0), 1, 1);
  encodeCut(batch.meta, { sequence: 0, position: 0 });
  batch.records = 1;
  batch.seal(markOf(superblock), { previousPosition: 0, previousMetaCrc: 0, nextSegment: 1 });
  await flash.writeDurably(batch.start, batch.parts);
}
