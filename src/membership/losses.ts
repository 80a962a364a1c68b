import type { CoreletId } from '../base/ids.ts';
import { hasMember, majority, type View } from '../ring/view.ts';
import { flapsMax } from './types.ts';

/** Losses so close to each other have one cause, more likely than not: a switch, a supply, a rack. */
export const lossWindowMs = 60_000;

/**
 * The brake on removals: those who stay must be a majority not only of the view, but of all who were members when the first
 * loss came that isn't made good yet and is no older than a minute. Else a network that goes piece by piece makes of every remnant a view of its own, smaller each time, which
 * heals all data onto the few that are left. Who was lost longer ago, or is back, counts no more. Each member judges by its own memory; one that
 * has just started knows of no losses and brakes less.
 */
export class Losses {
  readonly #atMs = new Map<CoreletId, number>();

  lost(id: CoreletId, nowMs: number): void {
    this.#atMs.delete(id);
    if (this.#atMs.size >= flapsMax) this.#atMs.delete(this.#atMs.keys().next().value as CoreletId);
    this.#atMs.set(id, nowMs);
  }

  /** Members were lost, and nobody has said yet that it is made good. */
  get open(): boolean {
    return this.#atMs.size > 0;
  }

  /** Every arc has all its copies again: what was lost is made good, and the next loss is a new one. */
  madeGood(): void {
    this.#atMs.clear();
  }

  /** Removed for silence within the window, and not back. */
  recent(view: View, nowMs: number): number {
    let count = 0;
    for (const [id, atMs] of this.#atMs) {
      if (nowMs - atMs >= lossWindowMs) this.#atMs.delete(id);
      else if (!hasMember(view, id)) count += 1;
    }
    return count;
  }

  /** How many members must stay, at least. */
  floor(view: View, nowMs: number): number {
    return majority(view.members.length + this.recent(view, nowMs));
  }
}
