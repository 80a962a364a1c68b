import { majority } from '../ring/view.ts';
import { type MembershipEvent, membersFloor, type Standing } from './types.ts';

/** Between two questions of a Corelet that is cut off. */
const askRepeatMs = 500;

/** `frozen`: this Corelet sees that its view can't lose members now, and why. */
export interface Frozen {
  readonly frozen: boolean;
  readonly reason: string;
}

/** `members` in the view, of which this Corelet `hears` so many, itself included; the brake is on after so many were `lost`. */
export function frozenBy(standing: Standing, members: number, hears: number, lost: number): Frozen {
  if (standing === 'outside' || standing === 'left') {
    return { frozen: true, reason: 'this Corelet is not a member of the view' };
  }
  if (hears < majority(members)) {
    return { frozen: true, reason: `this Corelet hears ${hears} of ${members} members: a minority decides nothing` };
  }
  if (members < membersFloor) return { frozen: true, reason: `the view has ${members} members: nobody is removed` };
  if (members === membersFloor && hears < members) {
    return { frozen: true, reason: `the view has ${members} members: the silent one stays until another joins` };
  }
  if (lost > 0) {
    const silent = members - hears;
    const reason = `${lost} of ${members + lost} members were lost within a minute, and ${silent} more ${silent === 1 ? 'is' : 'are'} silent: too many at once for the failure of modules. Nobody more is removed until the copies are made good, or the minute is over; look at power and network`;
    return { frozen: true, reason };
  }
  return { frozen: false, reason: '' };
}

/** What is said about being frozen, and when those who may know more are asked. */
export class FrozenWatch {
  #said = false;
  #nextAskMs = 0;

  /** The event to record when it changed. */
  changed({ frozen, reason }: Frozen, viewNumber: number): MembershipEvent | undefined {
    if (frozen === this.#said) return undefined;
    this.#said = frozen;
    const text = frozen ? `The view is frozen: ${reason}.` : 'The view can change again.';
    return { kind: frozen ? 'view.frozen' : 'view.thawed', text, data: { viewNumber } };
  }

  /** Cut off, or dropped without having heard of it: whoever hears us may know more. True: ask some now. */
  askDue(nowMs: number): boolean {
    if (nowMs < this.#nextAskMs) return false;
    this.#nextAskMs = nowMs + askRepeatMs;
    return true;
  }
}
