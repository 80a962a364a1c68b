import type { ReplicaContext } from './context.ts';
import { replicaOf } from './members.ts';
import type { Replica } from './replica.ts';

/** Forgets applied entries in memory: enough are kept for a live follower that lags a little, and for copies under way. */
export function compact(replica: Replica, { limits, isAlive }: Pick<ReplicaContext, 'limits' | 'isAlive'>): void {
  const { core } = replica;
  const applied = core.appliedIndex;
  if (applied - core.firstIndex < limits.entriesKept * 2) return;
  let keepFrom = applied - limits.entriesKept;
  if (replica.isLeader) {
    for (const [member, progress] of core.progress()) {
      if (isAlive(replicaOf(member).id)) keepFrom = Math.min(keepFrom, progress.matchIndex);
    }
    keepFrom = Math.min(keepFrom, replica.pinnedIndex);
  }
  keepFrom = Math.max(keepFrom, applied - limits.entriesKeptMax);
  if (keepFrom > core.firstIndex) core.compact(keepFrom);
}
