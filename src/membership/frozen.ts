import { majority } from '../ring/view.ts';
import { membersFloor, type Standing } from './types.ts';

/** `frozen`: this Corelet sees that its view can't lose members now, and why. */
export interface Frozen {
  readonly frozen: boolean;
  readonly reason: string;
}

/** `members` in the view, of which this Corelet `hears` so many, itself included. */
export function frozenBy(standing: Standing, members: number, hears: number): Frozen {
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
  return { frozen: false, reason: '' };
}
