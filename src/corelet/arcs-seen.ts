import { replicaOf } from '../arc/members.ts';
import type { Replica } from '../arc/replica.ts';
import type { CoreletId } from '../base/ids.ts';
import { memberIds } from '../consensus/quorum.ts';
import type { RouteTable } from '../volume/routes.ts';

/** What is known of all arcs of the cluster, by what their leaders spread and what is held here. */

/** Every arc has all its copies, as its leader says, on Corelets that are heard. */
export function isWhole(
  routes: RouteTable,
  { arcs, copies }: { readonly arcs: number; readonly copies: number },
  isAlive: (id: CoreletId) => boolean,
): boolean {
  let whole = 0;
  for (const { leader, complete, voters } of routes.all()) {
    if (complete >= copies && isAlive(leader) && voters.every(({ id }) => isAlive(id))) whole += 1;
  }
  return whole === arcs;
}

/** What healing still has to move, in all arcs whose leaders are heard. */
export function healBytesLeft(routes: RouteTable, isAlive: (id: CoreletId) => boolean): number {
  let bytesLeft = 0;
  for (const route of routes.all()) if (isAlive(route.leader)) bytesLeft += route.healBytesLeft;
  return bytesLeft;
}

/** Whoever shares an arc with a replica that is held here; who shares several, more than once. */
export function* arcPeers(replicas: Iterable<Replica>): Iterable<CoreletId> {
  for (const replica of replicas) {
    for (const member of memberIds(replica.core.configuration)) yield replicaOf(member).id;
  }
}
