import { assert } from '../base/assert.ts';
import type { CoreletId } from '../base/ids.ts';
import { hasMember, type View } from '../ring/view.ts';

/** Who was removed for silence and is back stays so long before arcs that have all their copies move to it. */
export const provingMs = 10_000;
/** Time forgives: a removal counts for less than this after some minutes. */
const flapScoreMin = 0.5;

export interface ProvingOptions {
  readonly clock: { nowMs(): number };
  /** How often a Corelet was removed for silence, less what time forgave. */
  flapScore(id: CoreletId): number;
}

/**
 * Members that came back a moment ago. They count, may lead, and are copied to where copies are missing; what is full elsewhere stays there until they have
 * stayed for a while: or else the data of one that comes and goes is moved away, back and away again before it is held down.
 */
export class Proving {
  readonly #options: ProvingOptions;
  #view: View | undefined;
  /** Of members that weren't in the view before: since when. */
  readonly #backSinceMs = new Map<CoreletId, number>();

  constructor(options: ProvingOptions) {
    this.#options = options;
  }

  /** Call with every view, and as often as you like. */
  look(view: View): void {
    const before = this.#view;
    if (view === before) return;
    this.#view = view;
    for (const id of this.#backSinceMs.keys()) if (!hasMember(view, id)) this.#backSinceMs.delete(id);
    // Of the first view nobody knows who is new in it.
    if (before === undefined) return;
    const now = this.#options.clock.nowMs();
    for (const { id } of view.members) if (!hasMember(before, id)) this.#backSinceMs.set(id, now);
    assert(this.#backSinceMs.size <= view.members.length, 'INV-8: no more than there are members');
  }

  /** Whether it has yet to show that it stays. */
  isOn(id: CoreletId): boolean {
    const sinceMs = this.#backSinceMs.get(id);
    if (sinceMs === undefined) return false;
    if (this.#options.clock.nowMs() - sinceMs < provingMs) return this.#options.flapScore(id) >= flapScoreMin;
    this.#backSinceMs.delete(id);
    return false;
  }
}
