import type { CoreletId } from '../base/ids.ts';
import type { MembershipCore } from '../membership/core.ts';
import { type PlacementTable, placementOf } from '../ring/placement.ts';
import type { Member, View } from '../ring/view.ts';
import type { Founding } from './types.ts';

export interface WhereaboutsOptions {
  readonly membership: MembershipCore;
  readonly founding: Founding;
  /** As `CoreletOptions` has it: the view as placement shall see it. */
  readonly steer: ((view: View) => View) | undefined;
  isAlive(id: CoreletId): boolean;
}

/** Who is where, by the current view and by whom this Corelet hears. */
export class Whereabouts {
  readonly #options: WhereaboutsOptions;

  constructor(options: WhereaboutsOptions) {
    this.#options = options;
  }

  /** Undefined while there is no view. */
  placement(): PlacementTable | undefined {
    const { membership, founding, steer } = this.#options;
    const { view } = membership;
    return view === undefined ? undefined : placementOf(steer?.(view) ?? view, founding.arcs, founding.copies);
  }

  /** Whether more than half of the members are heard, itself included. */
  hearsMajority(): boolean {
    const members = this.#members();
    return 2 * members.filter((member) => this.#options.isAlive(member.id)).length > members.length;
  }

  liveActiveMembers(): number {
    return this.#members().filter((member) => member.role === 'active' && this.#options.isAlive(member.id)).length;
  }

  #members(): readonly Member[] {
    return this.#options.membership.view?.members ?? [];
  }
}
