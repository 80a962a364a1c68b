import { copyMutations } from './copies.ts';
import { electionMutations } from './elections.ts';
import { gatewayMutations } from './gateways.ts';
import { leaseMutations } from './leases.ts';
import { operationMutations } from './operations.ts';
import { replicationMutations } from './replication.ts';
import { storeMutations } from './stores.ts';
import { toldMutations } from './told.ts';
import type { Mutation } from './types.ts';

/** All deliberate faults, room by room. */
export const catalogue = {
  elections: electionMutations,
  leases: leaseMutations,
  replication: replicationMutations,
  gateways: gatewayMutations,
  operations: operationMutations,
  copies: copyMutations,
  stores: storeMutations,
  told: toldMutations,
} as const satisfies Readonly<Record<string, readonly Mutation[]>>;

export const allMutations: readonly Mutation[] = Object.values(catalogue).flat();
