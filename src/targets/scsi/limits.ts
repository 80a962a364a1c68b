import { blockBytes, chunkBytes } from '../../base/ids.ts';
import { compareBytesMax } from '../../volume/block-device.ts';

/** The block that hosts address. A physical block is eight of them: the store's own, which is never torn. */
export const logicalBytes = 512;
/** Logical blocks per physical block, as a power of two. */
export const physicalExponent = Math.log2(blockBytes / logicalBytes);
export const physicalBlocks = blockBytes / logicalBytes;

const mebi = 1024 * 1024;

export const scsiLimits = {
  /** MAXIMUM TRANSFER LENGTH: more is refused before any data is asked for. */
  transferBlocksMax: (8 * mebi) / logicalBytes,
  /** MAXIMUM COMPARE AND WRITE LENGTH. */
  compareBlocksMax: compareBytesMax / logicalBytes,
  /** MAXIMUM ATOMIC TRANSFER LENGTH: one operation, as long as it doesn't leave its chunk. */
  atomicBlocksMax: chunkBytes / logicalBytes,
  /** WRITE SAME; VERIFY without data. */
  fillBlocksMax: (16 * mebi) / logicalBytes,
  /** All of an UNMAP together. */
  unmapBlocksMax: (512 * mebi) / logicalBytes,
  unmapDescriptorsMax: 256,
  unmapsAtOnceMax: 16,
  /** What a fill, a copy or a verification does at a time. */
  portionBytes: 32 * mebi,
  copyPortionBytes: mebi,
  /** Of parameter lists that hosts send. */
  listBytesMax: 8192,
  /** Extents in one answer of GET LBA STATUS. */
  statusExtentsMax: 256,
  attentionsMax: 8,
  copyResultsMax: 16,
  nexusesMax: 256,
} as const;
