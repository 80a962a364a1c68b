import type { CoreletId } from '../base/ids.ts';
import { type Member, type MemberState, memberById, stateOfMember, type View } from '../ring/view.ts';
import type { Removal } from '../wire/membership/types.ts';
import type { Move } from './campaign.ts';
import { type Slow, slowFigures } from './slowness.ts';
import type { ViewDifference } from './succession.ts';
import type { MembershipEvent, ViewCause } from './types.ts';
import type { Ground } from './wishes.ts';

function slotsOf(view: View | undefined, ids: readonly CoreletId[]): number[] {
  return ids
    .map((id) => (view === undefined ? undefined : memberById(view, id)?.slot))
    .filter((slot) => slot !== undefined)
    .sort((a, b) => a - b);
}

/** Something about one Corelet: `what` follows its name. */
export function narrateOne(kind: string, view: View | undefined, id: CoreletId, what: string): MembershipEvent {
  const slot = view === undefined ? undefined : memberById(view, id)?.slot;
  const data = { viewNumber: view?.number ?? 0 };
  return slot === undefined
    ? { kind, corelet: id, text: `Corelet ${id.slice(0, 8)} ${what}.`, data }
    : { kind, corelet: id, slot, text: `Slot ${slot} ${what}.`, data };
}

/** In what it is slow, with figures. */
export function slowText({ flash, answers }: Slow): string {
  const parts = [
    ...(flash === undefined ? [] : [`its flash takes ${flash.ms} ms, where ${flash.usualMs} ms are usual`]),
    ...(answers === undefined ? [] : [`its answers take ${answers.ms} ms, where ${answers.usualMs} ms are usual`]),
  ];
  return parts.length === 0 ? 'somebody asked for it' : parts.join('; ');
}

/** A member sits out from this view on. */
export function narrateSlow(view: View, id: CoreletId, ground: Ground): MembershipEvent {
  const observerSlots = slotsOf(view, ground.observers);
  const event = narrateOne(
    'membership.slow',
    view,
    id,
    `sits out: ${slowText(ground)}, as ${observerSlots.length} found`,
  );
  return { ...event, data: { ...event.data, ...slowFigures(ground), observerSlots } };
}

export function narrateProposal(view: View, { kind, decision }: Move): MembershipEvent {
  const { number, members } = decision.view;
  const removed = decision.removals.map((removal) => removal.id);
  return {
    kind: kind === 'vote' ? 'membership.voted' : 'membership.proposed',
    text: `View ${number} with ${members.length} members is ${kind === 'vote' ? 'voted for' : 'proposed'}.`,
    data: { viewNumber: number, removedSlots: slotsOf(view, removed) },
  };
}

/** One event per member that the change concerns, and one for the whole. */
export function narrateChange(
  previous: View | undefined,
  view: View,
  change: ViewDifference,
  removals: readonly Removal[],
  cause: ViewCause,
): MembershipEvent[] {
  const events: MembershipEvent[] = [];
  for (const member of change.removed) {
    const removal = removals.find((one) => one.id === member.id);
    const seenBy = slotsOf(previous, removal?.observers ?? []);
    const why = removal?.reason === 'left' ? 'it left on purpose' : `unheard by ${seenBy.length} members`;
    events.push({
      kind: 'view.removed',
      slot: member.slot,
      corelet: member.id,
      text: `View ${view.number} is without slot ${member.slot}: ${why}.`,
      data: { viewNumber: view.number, reason: removal?.reason ?? 'silent', observerSlots: seenBy },
    });
  }
  for (const member of change.joined) events.push(memberEvent('view.joined', view, member, 'joined as'));
  for (const member of change.changed) events.push(memberEvent('view.updated', view, member, 'is now'));
  events.push({
    kind: 'view.changed',
    text: `View ${view.number} has ${view.members.length} members.`,
    data: {
      viewNumber: view.number,
      members: view.members.length,
      cause,
      removedSlots: change.removed.map((member) => member.slot),
      joinedSlots: change.joined.map((member) => member.slot),
    },
  });
  return events;
}

const stateWords: Readonly<Record<MemberState, string>> = {
  live: 'live',
  'sitting-out': 'sitting out as too slow',
  draining: 'draining',
};

function memberEvent(kind: string, view: View, member: Member, verb: string): MembershipEvent {
  const { slot, role, place, address } = member;
  const state = stateOfMember(member);
  return {
    kind,
    slot,
    corelet: member.id,
    text: `Slot ${slot} ${verb} ${state === 'live' ? role : `${role}, ${stateWords[state]},`} in view ${view.number}.`,
    data: { viewNumber: view.number, role, state, place, address },
  };
}

/** The first that applies: a loss weighs more than a join in the same step. */
export function causeOf(removals: readonly Removal[], change: ViewDifference): ViewCause {
  if (removals.some((removal) => removal.reason === 'silent')) return 'loss';
  if (change.removed.length > 0) return removals.length > 0 ? 'leave' : 'loss';
  return change.joined.length > 0 ? 'join' : 'update';
}
