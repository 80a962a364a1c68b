import type { Clock } from '../ports/clock.ts';
import type { NbdOutput } from '../targets/nbd/output.ts';
import { NbdSession } from '../targets/nbd/session.ts';
import type { CoreletHandle } from './types.ts';

/** What a listener for NBD connections calls for each: a session over the volumes that this Corelet is a gateway of. */
export function nbdDoor(corelet: CoreletHandle, clock: Clock): (output: NbdOutput) => NbdSession {
  const { catalog } = corelet;
  return (output) => new NbdSession({ catalog, clock, output });
}
