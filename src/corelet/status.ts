import type { CoreletId } from '../base/ids.ts';
import type { ScrubStatus } from '../healing/scrub.ts';
import type { MembershipCore } from '../membership/core.ts';
import { slowFigures } from '../membership/slowness.ts';
import { hasMember, memberById, stateOfMember } from '../ring/view.ts';
import type { DeviceHealth } from '../store/health.ts';
import type { RouteTable } from '../volume/routes.ts';
import type { DeviceFill, Route } from '../wire/peer/types.ts';
import type { AddressBook, Contact } from './address-book.ts';
import type { RebuildRate } from './rebuild-rate.ts';
import type { ArcsStatus, CoreletStatus, Founding, SlotState, SlotStatus } from './types.ts';

export interface StatusSources {
  readonly self: Contact;
  readonly founding: Founding;
  readonly membership: MembershipCore;
  readonly book: AddressBook;
  readonly routes: RouteTable;
  readonly rate: RebuildRate;
  readonly fills: ReadonlyMap<CoreletId, DeviceFill>;
  /** Of the own device. */
  device(): DeviceHealth;
  isAlive(id: CoreletId): boolean;
  livenessSent(): number;
  /** The Corelet's own clock. */
  nowMs(): number;
  scrub(): ScrubStatus;
}

function majorityOf(route: Route): number {
  return Math.floor(route.voters.length / 2) + 1;
}

/** The leader's count lags a loss by a moment: a copy whose Corelet this one doesn't hear is no complete copy. */
function completeOf(sources: StatusSources, route: Route): number {
  return Math.min(route.complete, route.voters.filter((voter) => sources.isAlive(voter.id)).length);
}

/** The cluster as this Corelet knows it: routes that leaders announced, the view, and whom it hears. */
export function statusOf(sources: StatusSources): CoreletStatus {
  const { membership, self, founding, routes } = sources;
  const served = [...routes.all()]
    .filter((route) => sources.isAlive(route.leader))
    .map((route) => ({ ...route, complete: completeOf(sources, route) }));
  const arcs = arcsStatus(founding, served);
  const margin =
    served.length < founding.arcs ? 0 : Math.min(...served.map((route) => route.complete - majorityOf(route)));
  return {
    schemaVersion: 1,
    cluster: founding.cluster,
    answeredBy: { id: self.id, slot: self.slot },
    view: {
      number: membership.viewNumber,
      members: membership.view?.members.length ?? 0,
      frozen: membership.frozen.frozen,
      ...(membership.frozen.frozen ? { frozenWhy: membership.frozen.reason } : {}),
    },
    slots: slotsStatus(sources, served),
    arcs,
    rebuild: sources.rate.progress(),
    lossesSurvivable: Math.max(0, margin),
    copies: founding.copies,
    livenessSent: sources.livenessSent(),
    scrub: sources.scrub(),
  };
}

function arcsStatus(founding: Founding, served: readonly Route[]): ArcsStatus {
  let full = 0;
  let reduced = 0;
  let noRedundancy = 0;
  let waitingForRoom = 0;
  for (const route of served) {
    if (route.complete >= founding.copies) full += 1;
    else reduced += 1;
    if (route.complete < founding.copies && route.complete <= majorityOf(route)) noRedundancy += 1;
    if (route.waitsForRoom) waitingForRoom += 1;
  }
  const unavailable = founding.arcs - full - reduced;
  return { total: founding.arcs, full, reduced, noRedundancy, unavailable, waitingForRoom };
}

type FlapField = 'flapScore' | 'heldDownSeconds';

/** One line per slot: its newest Corelet, and members of the view always. */
function slotsStatus(sources: StatusSources, served: readonly Route[]): SlotStatus[] {
  const { book, membership } = sources;
  const view = membership.view;
  const bySlot = new Map<number, Contact>([[sources.self.slot, sources.self]]);
  for (const contact of book.all()) {
    const shown = bySlot.get(contact.slot);
    const shownIsMember = shown !== undefined && view !== undefined && hasMember(view, shown.id);
    if (!shownIsMember) bySlot.set(contact.slot, contact);
  }
  const all = served.length === sources.founding.arcs;
  return [...bySlot.values()]
    .sort((a, b) => a.slot - b.slot)
    .map((contact) => {
      const fill = sources.fills.get(contact.id) ?? { usedBytes: 0, sizeBytes: 0 };
      const held = served.filter((route) => route.voters.some((voter) => voter.id === contact.id));
      const leads = served.filter((route) => route.leader === contact.id).length;
      const state = stateOf(sources, contact.id);
      return {
        slot: contact.slot,
        id: contact.id,
        state,
        copies: held.length,
        leads,
        ...fill,
        ...safeToPull(sources, contact.id, state, held, all),
        ...flapStatus(sources, contact.id),
        ...slowStatus(sources, contact.id),
        ...(contact.id === sources.self.id ? { device: sources.device() } : {}),
      };
    });
}

function flapStatus(sources: StatusSources, id: CoreletId): Pick<SlotStatus, FlapField> {
  const { membership } = sources;
  const { score, heldDownMs } = membership.flapping(id, sources.nowMs());
  const member = membership.view !== undefined && hasMember(membership.view, id);
  return {
    ...(score < 0.1 ? {} : { flapScore: Math.round(10 * score) / 10 }),
    ...(member || heldDownMs <= 0 ? {} : { heldDownSeconds: Math.ceil(heldDownMs / 1000) }),
  };
}

function slowStatus({ membership }: StatusSources, id: CoreletId): Pick<SlotStatus, 'slow'> {
  const ground = membership.whySittingOut(id);
  return ground === undefined ? {} : { slow: slowFigures(ground) };
}

function stateOf(sources: StatusSources, id: CoreletId): SlotState {
  const { membership } = sources;
  const member = membership.view && memberById(membership.view, id);
  if (member === undefined) return sources.isAlive(id) ? 'joining' : 'gone';
  if (!sources.isAlive(id)) return 'silent';
  const state = stateOfMember(member);
  return state === 'live' && member.role === 'spare' ? 'spare' : state;
}

/** Safe: every arc with a copy there keeps a majority of complete copies without it, and the others can go on deciding. */
function safeToPull(
  sources: StatusSources,
  id: CoreletId,
  state: SlotState,
  held: readonly Route[],
  allServed: boolean,
): { safeToPull: boolean; why: string } {
  if (state === 'gone') return { safeToPull: true, why: 'it is no member any more' };
  if (state === 'draining' && held.length === 0 && allServed)
    return { safeToPull: true, why: 'it is drained: it holds no copies and may be drawn' };
  if (!allServed) return { safeToPull: false, why: 'some arcs have no leader now' };
  const endangered = held.filter((route) => route.complete - 1 < majorityOf(route));
  if (endangered.length > 0) {
    const arcs = endangered.length === 1 ? '1 arc' : `${endangered.length} arcs`;
    return { safeToPull: false, why: `${arcs} would be without a majority of complete copies` };
  }
  const view = sources.membership.view;
  const others = view?.members.filter((member) => member.id !== id && sources.isAlive(member.id)).length ?? 0;
  if (view !== undefined && others < Math.floor(view.members.length / 2) + 1) {
    return { safeToPull: false, why: 'the others would be a minority and could decide nothing' };
  }
  return { safeToPull: true, why: 'every arc keeps a majority of complete copies without it' };
}
