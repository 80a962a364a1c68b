import { Writer } from '../base/bytes.ts';
import type { CoreletId } from '../base/ids.ts';
import { type Member, memberById, membersMax, sameMember, type View, viewOf } from '../ring/view.ts';
import { deltaSize, encodeDelta } from '../wire/membership/parts.ts';
import type { Decision, ViewDelta } from '../wire/membership/types.ts';

/** What `decision` changes in `view`; who had accused whom is left out, as that differs from voter to voter. */
export function deltaOf(view: View, decision: Decision): ViewDelta {
  const next = viewOf(decision.view.number, decision.view.members);
  const reasons = new Map(decision.removals.map(({ id, reason }) => [id, reason]));
  const removed = view.members
    .filter((member) => memberById(next, member.id) === undefined)
    .map(({ id }) => ({ id, reason: reasons.get(id) ?? 'silent' }) as const);
  const put = next.members.filter((member) => {
    const before = memberById(view, member.id);
    return before === undefined || !sameMember(before, member);
  });
  return { removed, put, sparesWanted: decision.sparesWanted };
}

/** The decision that a delta of `view` stands for; undefined when there is no such view. */
export function applyDelta(view: View, delta: ViewDelta): Decision | undefined {
  const members = new Map<CoreletId, Member>(view.members.map((member) => [member.id, member]));
  for (const { id } of delta.removed) if (!members.delete(id)) return undefined;
  for (const member of delta.put) members.set(member.id, member);
  if (members.size === 0 || members.size > membersMax) return undefined;
  const removals = delta.removed.map((removal) => ({ ...removal, observers: [] }));
  return { view: viewOf(view.number + 1, [...members.values()]), removals, sparesWanted: delta.sparesWanted };
}

/** Equal exactly for equal deltas. */
export function deltaKey(delta: ViewDelta): string {
  const to = new Writer(deltaSize(delta));
  encodeDelta(to, delta);
  return Array.from(to.written(), (byte) => String.fromCharCode(byte)).join('');
}
