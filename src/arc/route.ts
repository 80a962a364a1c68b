import type { CoreletId } from '../base/ids.ts';
import type { Route } from '../wire/peer/types.ts';
import { replicaOf } from './members.ts';
import type { Replica } from './replica.ts';

/** Voters that have what is committed, or are behind by little, and are alive. Only the leader knows. */
export function completeVoters(replica: Replica, lagMax: number): number {
  const { core } = replica;
  let complete = 0;
  const floor = Math.max(1, core.commitIndex - lagMax);
  const progress = core.progress();
  for (const member of core.configuration.voters) {
    if (member === replica.member) complete += 1;
    else if (replica.isLive(member) && (progress.get(member)?.matchIndex ?? 0) >= floor) complete += 1;
  }
  return complete;
}

export type HealingLeft = Pick<Route, 'healBytesLeft' | 'waitsForRoom'>;

/** What a leader tells everybody of its arc. */
export function routeOf(replica: Replica, self: CoreletId, lagMax: number, left: HealingLeft): Route {
  const { arc, core } = replica;
  const { voters, votersOutgoing, learners } = core.configuration;
  return {
    arc,
    term: core.term,
    leader: self,
    configurationIndex: core.configurationIndex,
    voters: voters.map(replicaOf),
    votersOutgoing: votersOutgoing.map(replicaOf),
    learners: learners.map(replicaOf),
    complete: completeVoters(replica, lagMax),
    ...left,
  };
}
