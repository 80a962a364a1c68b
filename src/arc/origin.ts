import type { Generation, LogIndex } from '../base/ids.ts';
import type { Configuration, HardState } from '../consensus/types.ts';
import type { ArcEntry } from './entry.ts';
import type { ReplicaSnapshot } from './snapshot.ts';
import type { ArcState } from './state.ts';

/** What a restart (or a founding, or an installed copy) gives a replica to begin with. */
export interface ReplicaOrigin {
  readonly generation: Generation;
  readonly installed: boolean;
  readonly completeIndex: LogIndex;
  readonly hardState: HardState;
  readonly configuration: Configuration;
  readonly compactedIndex: LogIndex;
  readonly compactedTerm: number;
  readonly entries: ArcEntry[];
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly state: ArcState;
}

/** A replica that has no state yet. */
export function originOf(snapshot: ReplicaSnapshot): ReplicaOrigin {
  return {
    generation: snapshot.generation,
    installed: false,
    completeIndex: snapshot.completeIndex,
    hardState: { term: 0, vote: undefined },
    configuration: snapshot.configuration,
    compactedIndex: 0,
    compactedTerm: 0,
    entries: [],
    commitIndex: 0,
    appliedIndex: 0,
    state: snapshot.state,
  };
}
