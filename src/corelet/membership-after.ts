import { MembershipCore } from '../membership/core.ts';
import type { MembershipOptions } from '../membership/types.ts';
import { membershipRegister } from './peering.ts';
import type { Restarted } from './restart.ts';

/** The membership of a Corelet that has just started, with what its flash remembers of it. */
export function membershipAfter(
  { registers, founding, foundingView }: Restarted,
  self: MembershipOptions['self'],
  incarnation: number,
  random: MembershipOptions['random'],
): MembershipCore {
  const restored = registers.get(membershipRegister);
  return new MembershipCore({
    self,
    incarnation,
    random,
    sittingOutMax: Math.floor((founding.copies - 1) / 2),
    ...(restored === undefined ? {} : { restored }),
    ...(foundingView === undefined ? {} : { founding: foundingView }),
  });
}
