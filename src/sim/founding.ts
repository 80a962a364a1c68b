import { hexText } from '../base/bytes.ts';
import type { ClusterId, CoreletId } from '../base/ids.ts';
import type { Prng } from '../base/prng.ts';
import type { Founding } from '../corelet/types.ts';
import type { Member } from '../ring/view.ts';

export function makeHexId(draw: Prng): string {
  return hexText(draw.bytes(16));
}

export function makeMember(slot: number, id: CoreletId, draw: Prng): Member {
  return {
    id,
    address: `unix:/sim/slot-${slot}`,
    slot,
    zone: `slot-${slot}`,
    weight: 1,
    place: draw.u32(),
    role: 'active',
  };
}

/** The record that every first device of a simulated cluster carries. Members in order of slots. */
export function makeFounding(
  shape: { readonly slots: number; readonly arcs: number; readonly copies: number },
  draw: Prng,
): Founding {
  const cluster = makeHexId(draw) as ClusterId;
  const members = Array.from({ length: shape.slots }, (_, slot) =>
    makeMember(slot, makeHexId(draw) as CoreletId, draw),
  );
  return { cluster, arcs: shape.arcs, copies: shape.copies, members };
}
