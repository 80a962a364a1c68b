import type { CoreletId } from '../base/ids.ts';
import type { Member } from '../ring/view.ts';

/** How a module presents itself. Its place on the ring follows from its id, so that every start and the founding record agree. */
export function memberOf(module: {
  readonly id: CoreletId;
  readonly slot: number;
  readonly address: string;
  readonly role: Member['role'];
  readonly weight?: number;
  readonly zone?: string;
}): Member {
  const { id, slot, address, role, weight = 1, zone = `slot-${slot}` } = module;
  return { id, address, slot, zone, weight, place: Number.parseInt(id.slice(0, 8), 16), role };
}
