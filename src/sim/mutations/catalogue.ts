import { electionMutations } from './elections.ts';
import { replicationMutations } from './replication.ts';
import type { Mutation } from './types.ts';

/** All deliberate faults, room by room. */
export const catalogue = {
  elections: electionMutations,
  replication: replicationMutations,
} as const satisfies Readonly<Record<string, readonly Mutation[]>>;

export const allMutations: readonly Mutation[] = Object.values(catalogue).flat();
