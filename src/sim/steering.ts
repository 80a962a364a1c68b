import type { CoreletId } from '../base/ids.ts';
import type { View } from '../ring/view.ts';

/** Bends what placement sees of every view: arcs move at any moment, many at once, while nobody failed. */
export class Steering {
  readonly #weights = new Map<CoreletId, number>();
  #bent = new WeakMap<View, View>();

  /** Relative to what the member says of itself; 1: as it is. */
  setWeight(id: CoreletId, factor: number): void {
    if (factor === 1) this.#weights.delete(id);
    else this.#weights.set(id, factor);
    this.#bent = new WeakMap();
  }

  /** The same object for the same view, until a weight changes. */
  readonly steer = (view: View): View => {
    if (this.#weights.size === 0) return view;
    let bent = this.#bent.get(view);
    if (bent === undefined) {
      const members = view.members.map((member) => ({
        ...member,
        weight: member.weight * (this.#weights.get(member.id) ?? 1),
      }));
      bent = { ...view, members };
      this.#bent.set(view, bent);
    }
    return bent;
  };
}
