import type { Configuration, MemberId } from './types.ts';

/** Members of one configuration, voters of both sets and learners. More are refused before memory is taken for them. */
export const membersMax = 64;

export function isJoint(configuration: Configuration): boolean {
  return configuration.votersOutgoing.length > 0;
}

export function isVoter(configuration: Configuration, member: MemberId): boolean {
  return configuration.voters.includes(member) || configuration.votersOutgoing.includes(member);
}

/** Everyone named, once each: voters, outgoing voters, learners. */
export function memberIds(configuration: Configuration): MemberId[] {
  return [...new Set([...configuration.voters, ...configuration.votersOutgoing, ...configuration.learners])];
}

/** Voters of both sets, once each. */
export function voterIds(configuration: Configuration): readonly MemberId[] {
  if (!isJoint(configuration)) return configuration.voters;
  return [...new Set([...configuration.voters, ...configuration.votersOutgoing])];
}

const scratch: number[] = [];

/** The highest value that a majority of `members` has reached; Infinity for an empty set, which asks for nothing. */
export function majorityReached(members: readonly MemberId[], valueOf: (member: MemberId) => number): number {
  const count = members.length;
  if (count === 0) return Number.POSITIVE_INFINITY;
  // Insertion sort, descending: a handful of members, on the path of every write.
  for (let i = 0; i < count; i++) {
    const value = valueOf(members[i] as MemberId);
    let at = i;
    while (at > 0 && (scratch[at - 1] as number) < value) {
      scratch[at] = scratch[at - 1] as number;
      at -= 1;
    }
    scratch[at] = value;
  }
  return scratch[Math.floor(count / 2)] as number;
}

/** The highest value that a majority has reached in every active voter set (INV-1). */
export function quorumReached(configuration: Configuration, valueOf: (member: MemberId) => number): number {
  const incoming = majorityReached(configuration.voters, valueOf);
  return isJoint(configuration) ? Math.min(incoming, majorityReached(configuration.votersOutgoing, valueOf)) : incoming;
}

export type VoteOutcome = 'won' | 'lost' | 'open';

function majorityOutcome(members: readonly MemberId[], votes: ReadonlyMap<MemberId, boolean>): VoteOutcome {
  if (members.length === 0) return 'won';
  let granted = 0;
  let refused = 0;
  for (const member of members) {
    const vote = votes.get(member);
    if (vote === true) granted += 1;
    else if (vote === false) refused += 1;
  }
  const needed = Math.floor(members.length / 2) + 1;
  if (granted >= needed) return 'won';
  return refused > members.length - needed ? 'lost' : 'open';
}

/** Counts votes in every active voter set; votes of others don't count. */
export function voteOutcome(configuration: Configuration, votes: ReadonlyMap<MemberId, boolean>): VoteOutcome {
  const incoming = majorityOutcome(configuration.voters, votes);
  const outgoing = majorityOutcome(configuration.votersOutgoing, votes);
  if (incoming === 'lost' || outgoing === 'lost') return 'lost';
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'open';
}

/** Whether the members for which `has` holds are a majority of every active voter set. */
export function hasQuorum(configuration: Configuration, has: (member: MemberId) => boolean): boolean {
  return quorumReached(configuration, (member) => (has(member) ? 1 : 0)) >= 1;
}
