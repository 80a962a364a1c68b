import { assert } from '../base/assert.ts';
import type { ArcId, VolumeId } from '../base/ids.ts';
import { foldInteger, foldText } from './hash.ts';

/** More arcs than this would not pay: each is a consensus group with state on every one of its voters. */
export const arcsMax = 65_536;

const chunkSalt = 0x636b6e68;
const keySalt = 0x6b657973;
const two32 = 0x1_0000_0000;

/** Whether a pool may have that many arcs: a power of two up to `arcsMax`. */
export function isArcCount(arcs: number): boolean {
  return Number.isInteger(arcs) && arcs >= 1 && arcs <= arcsMax && (arcs & (arcs - 1)) === 0;
}

/**
 * The arc that holds a chunk of a volume (by the id of its root, so that snapshots stay beside their volume).
 * The top bits of the position on the 64-bit ring select the arc; as `arcs` ≤ 2^16, the position's high word is enough.
 * Part of the format: a change here loses every volume (`test/unit/ring` pins values).
 */
export function arcOf(volume: VolumeId, chunk: number, arcs: number): ArcId {
  return arcAt(foldInteger(foldInteger(chunkSalt, volume), chunk), arcs);
}

/** The arc whose state machine holds a metadata key. Part of the format. */
export function arcOfKey(key: string, arcs: number): ArcId {
  return arcAt(foldText(keySalt, key), arcs);
}

// A product below 2^48 is exact in a double: no shift, which would be wrong for one arc (a shift by 32 does nothing).
function arcAt(positionHigh: number, arcs: number): ArcId {
  assert(isArcCount(arcs), 'arcs must be a power of two', arcs);
  return Math.floor((positionHigh * arcs) / two32) as ArcId;
}
