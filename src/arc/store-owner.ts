import { assert } from '../base/assert.ts';
import type { ArcId } from '../base/ids.ts';
import type { ArcCheckpoint, DevicePosition, StoredEntry, StoreOwner } from '../store/types.ts';
import { liesIn, storedShape } from './entry.ts';
import type { Replica } from './replica.ts';
import { encodeHardState, encodeSnapshot, type ReplicaSnapshot } from './snapshot.ts';

/** What the store asks of the replicas for its checkpoints, and before it gives space back. */
export function storeOwnerOf(replicas: ReadonlyMap<ArcId, Replica>): StoreOwner {
  return {
    arcs: () => replicas.keys(),
    checkpointMark: (arc) => {
      const replica = replicas.get(arc);
      return replica === undefined ? undefined : markOf(replica);
    },
    checkpoint: (arc) => {
      const replica = replicas.get(arc);
      assert(replica !== undefined, `arc ${arc} has a replica here`);
      return checkpointOf(replica);
    },
    appliedIndex: (arc) => replicas.get(arc)?.core.appliedIndex ?? 0,
    holds: (from, to) => {
      for (const replica of replicas.values()) if (holds(replica, from, to)) return true;
      return false;
    },
    freed: (from, to) => {
      for (const replica of replicas.values()) forget(replica, from, to);
    },
  };
}

/** Changes with everything that the replica's checkpoint tells. */
function markOf(replica: Replica): string {
  replica.flush();
  const { core, hardState, generation, installed, completeIndex } = replica;
  const log = `${core.appliedIndex} ${core.lastIndex} ${core.lastTerm} ${core.commitIndex}`;
  return `${generation} ${installed} ${completeIndex} ${log} ${hardState.term} ${hardState.vote ?? ''}`;
}

/** Everything of a replica but its blocks, as of what it has applied: all of that is committed. */
export function snapshotOf(replica: Replica): ReplicaSnapshot {
  const { core } = replica;
  const index = core.appliedIndex;
  return {
    status: replica.installed ? 'active' : 'copying',
    generation: replica.generation,
    index,
    completeIndex: replica.completeIndex,
    term: core.termAt(index) ?? 0,
    configuration: core.appliedConfiguration,
    configurationIndex: Math.min(core.configurationIndex, index),
    state: replica.state,
  };
}

/** What a restart of the replica begins from, as of now. */
function checkpointOf(replica: Replica): ArcCheckpoint {
  const { arc, core } = replica;
  const index = core.appliedIndex;
  const state = encodeSnapshot(snapshotOf(replica));
  const tail: StoredEntry[] = [];
  for (let at = index + 1; at <= core.lastIndex; at++) {
    const entry = core.entry(at);
    assert(entry !== undefined, `entry ${at} of arc ${arc} isn't applied, and is not in the log`);
    tail.push(storedShape(arc, entry, core.commitIndex));
  }
  return { state, hardState: encodeHardState(replica.hardState), tail };
}

/** Whether an entry in [from, to) on the device isn't applied yet, or is about to be sent to a copy. */
function holds({ core, pinnedIndex }: Replica, from: DevicePosition, to: DevicePosition): boolean {
  const first = Math.min(core.appliedIndex + 1, Math.max(core.firstIndex, pinnedIndex));
  for (let at = first; at <= core.lastIndex; at++) if (liesIn(core.entry(at), from, to)) return true;
  return false;
}

/** Applied entries that were kept to be sent again, and lay in [from, to), are gone: a follower gets a copy instead. */
function forget({ core }: Replica, from: DevicePosition, to: DevicePosition): void {
  for (let at = core.appliedIndex; at >= core.firstIndex; at--) {
    if (!liesIn(core.entry(at), from, to)) continue;
    core.compact(at);
    return;
  }
}
