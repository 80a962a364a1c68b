import { assert } from '../base/assert.ts';
import { blockBytes } from '../base/ids.ts';

/** The unit in which meta data is laid out and checked; equals a block, so that block data stays aligned. */
export const pageBytes = blockBytes;
/** Version of everything that the store writes (docs/formats/store.md). Another one is refused. */
export const formatVersion = 1;
/** Where the two copies of the superblock lie, and how far one may reach. */
export const superblockPositions = [0, 128 * 1024] as const;
export const superblockBytesMax = 128 * 1024;
/** Segments begin here; what is left between is reserved for checkpoint anchors. */
export const segmentsPosition = 1024 * 1024;

export const segmentBytesDefault = 64 * 1024 * 1024;
/** Room for the largest record of data. */
export const segmentBytesMin = 2 * 1024 * 1024;
/** A small device gets smaller segments, so that a reserve and cleaning have something to work with. */
const segmentsWanted = 256;
/** A large device gets larger ones, so that the table of segments stays small: 1 GiB each on 128 TiB. */
const segmentsAmple = 131_072;
const segmentBytesMax = 2 * 1024 * 1024 * 1024;
const smallSegmentBytesMin = 8 * 1024 * 1024;
export const segmentCountMin = 4;
/** The table of segments is one piece of a checkpoint. */
export const segmentCountMax = 262_144;

/** Where the segments of one device lie. Segment numbers count from 0. */
export interface Layout {
  readonly segmentBytes: number;
  readonly segmentCount: number;
}

export function layoutOf(deviceBytes: number, segmentBytes: number): Layout {
  const segmentCount = Math.floor((deviceBytes - segmentsPosition) / segmentBytes);
  return { segmentBytes, segmentCount: Math.min(segmentCount, segmentCountMax) };
}

/** 64 MiB, or what gives a device of `deviceBytes` enough segments, and not too many. A power of two. */
export function segmentBytesFor(deviceBytes: number): number {
  let bytes = segmentBytesDefault;
  while (bytes > smallSegmentBytesMin && layoutOf(deviceBytes, bytes).segmentCount < segmentsWanted) bytes /= 2;
  while (bytes < segmentBytesMax && layoutOf(deviceBytes, bytes).segmentCount > segmentsAmple) bytes *= 2;
  return bytes;
}

export function segmentStart(layout: Layout, segment: number): number {
  assert(segment >= 0 && segment < layout.segmentCount, 'no such segment', segment);
  return segmentsPosition + segment * layout.segmentBytes;
}

export function segmentEnd(layout: Layout, segment: number): number {
  return segmentStart(layout, segment) + layout.segmentBytes;
}

/** The segment that holds a device position. */
export function segmentOf(layout: Layout, position: number): number {
  return Math.floor((position - segmentsPosition) / layout.segmentBytes);
}

export function pagesFor(bytes: number): number {
  return Math.ceil(bytes / pageBytes);
}
