import type { CoreletId, LogIndex, Term } from '../base/ids.ts';
import type { Route } from '../wire/peer/types.ts';

/** What a copy knows of its own membership. */
export interface CopyStanding {
  readonly generation: number;
  readonly installed: boolean;
  readonly isLeader: boolean;
  /** A committed configuration, by its own log, goes without it. */
  readonly isRemoved: boolean;
  readonly core: {
    readonly configurationIndex: LogIndex;
    readonly commitIndex: LogIndex;
    termAt(index: LogIndex): Term | undefined;
  };
}

/** The arc goes on without this copy: its own log says so, or a configuration that takes the place of the one it knows. */
export function isForgotten(copy: CopyStanding, route: Route | undefined, self: CoreletId): boolean {
  if (!copy.installed || copy.isLeader) return false;
  if (copy.isRemoved) return true;
  if (route === undefined || !supersedes(route, copy)) return false;
  const lists = [route.voters, route.votersOutgoing, route.learners];
  return !lists.some((members) =>
    members.some((member) => member.id === self && member.generation === copy.generation),
  );
}

/**
 * A later configuration does. So does an earlier one, or another one of the same index, that a leader of a later term tells of: it
 * tells of the newest in its log, once that is committed, so the copy's own is not in its log, was never committed, and never will
 * be (leader completeness). A newcomer that was copied to by a leader without a majority has such a one.
 */
function supersedes(route: Route, { core }: CopyStanding): boolean {
  const { configurationIndex } = core;
  if (route.configurationIndex > configurationIndex) return true;
  const term = core.termAt(configurationIndex);
  return configurationIndex > core.commitIndex && term !== undefined && route.term > term;
}
