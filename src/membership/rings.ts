import type { CoreletId } from '../base/ids.ts';
import { fold32, foldText, mix32 } from '../ring/hash.ts';
import type { View } from '../ring/view.ts';

/** K: so many watch each member. */
export const ringsCount = 10;

const nobody: readonly CoreletId[] = [];
const salt = 0x72696e67;

/**
 * Who watches whom under one view (Suresh et al., "Rapid", ATC 2018, §4.1): the members lie on K rings, each in another
 * pseudo-random order, and a member is watched by its predecessor on each. We pass over who watches it already, so that
 * everybody has K distinct observers, or all others where there are no more than that. A pure function of the ids: all
 * Corelets know the same observers.
 */
export class Rings {
  readonly #observers = new Map<CoreletId, readonly CoreletId[]>();
  readonly #subjects = new Map<CoreletId, CoreletId[]>();
  /** Everybody watches everybody. */
  readonly complete: boolean;

  constructor(view: View) {
    const ids = view.members.map((member) => member.id);
    this.complete = ids.length - 1 <= ringsCount;
    const watchers = this.complete ? everybody(ids) : predecessors(ids);
    for (const id of ids) this.#subjects.set(id, []);
    for (const [subject, observers] of watchers) {
      this.#observers.set(subject, observers);
      for (const observer of observers) this.#subjects.get(observer)?.push(subject);
    }
  }

  /** Those whose alerts about `subject` count; none for a stranger. */
  observersOf(subject: CoreletId): readonly CoreletId[] {
    return this.#observers.get(subject) ?? nobody;
  }

  subjectsOf(observer: CoreletId): readonly CoreletId[] {
    return this.#subjects.get(observer) ?? nobody;
  }

  observes(observer: CoreletId, subject: CoreletId): boolean {
    return this.observersOf(subject).includes(observer);
  }
}

function everybody(ids: readonly CoreletId[]): Map<CoreletId, CoreletId[]> {
  return new Map(ids.map((id) => [id, ids.filter((other) => other !== id)]));
}

function predecessors(ids: readonly CoreletId[]): Map<CoreletId, CoreletId[]> {
  const watchers = new Map<CoreletId, CoreletId[]>(ids.map((id) => [id, []]));
  const hashes = new Map(ids.map((id) => [id, foldText(salt, id)]));
  for (let ring = 0; ring < ringsCount; ring++) {
    const order = ids
      .map((id) => ({ id, at: mix32(fold32(hashes.get(id) ?? 0, ring)) }))
      .sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
    for (const [position, { id }] of order.entries()) {
      const observers = watchers.get(id) as CoreletId[];
      for (let back = 1; back < order.length; back++) {
        const before = order[(position - back + order.length) % order.length]?.id as CoreletId;
        if (observers.includes(before)) continue;
        observers.push(before);
        break;
      }
    }
  }
  return watchers;
}

const known = new WeakMap<View, Rings>();

/** The rings of a view, made at their first use and dropped with the view. */
export function ringsOf(view: View): Rings {
  let rings = known.get(view);
  if (rings === undefined) {
    rings = new Rings(view);
    known.set(view, rings);
  }
  return rings;
}
