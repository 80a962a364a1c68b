import type { CoreletId } from '../base/ids.ts';
import { hasMember, stateOfMember, type View } from '../ring/view.ts';

/** Who lived for so long without sitting out again has no relapse behind it. */
const forgivenMs = 600_000;
/** The time for which it must have been well doubles at most so often. */
const doublingsMax = 5;

interface Spell {
  /** It sits out for the so many-th time in a row. */
  times: number;
  isSitting: boolean;
  endedMs: number;
}

/**
 * How often members have sat out in a row. A device that is slow under load and looks well at rest would sit out and come back
 * all day, and each time leaderships move twice: after each relapse it has to be well for twice as long (as with flapping, design §5).
 */
export class Relapses {
  readonly #spells = new Map<CoreletId, Spell>();

  /** What the view says now. Only members are remembered. */
  look(view: View, nowMs: number): void {
    for (const id of this.#spells.keys()) if (!hasMember(view, id)) this.#spells.delete(id);
    for (const member of view.members) {
      const { id } = member;
      const isSitting = stateOfMember(member) === 'sitting-out';
      const spell = this.#spells.get(id);
      if (spell === undefined) {
        if (isSitting) this.#spells.set(id, { times: 1, isSitting, endedMs: nowMs });
      } else if (isSitting && !spell.isSitting) {
        spell.times = nowMs - spell.endedMs >= forgivenMs ? 1 : spell.times + 1;
        spell.isSitting = true;
      } else if (!isSitting && spell.isSitting) {
        spell.isSitting = false;
        spell.endedMs = nowMs;
      }
    }
  }

  /** By this the time is multiplied for which it must have been well. */
  patience(id: CoreletId): number {
    const times = this.#spells.get(id)?.times ?? 1;
    return 2 ** Math.min(times - 1, doublingsMax);
  }
}
