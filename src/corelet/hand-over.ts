import type { ArcHost } from '../arc/host.ts';
import { replicaOf } from '../arc/members.ts';
import type { Replica } from '../arc/replica.ts';

/** This Corelet goes: every arc that it leads gets another leader now, the voter that lacks least. */
export function handOver(host: ArcHost): void {
  for (const replica of host.replicas()) {
    if (!replica.isLeader || replica.core.transferring !== undefined) continue;
    const heir = heirOf(host, replica);
    if (heir === undefined || !replica.core.transfer(heir, replica.now)) replica.core.abdicate(replica.now);
    replica.flush();
  }
}

function heirOf(host: ArcHost, { core }: Replica): string | undefined {
  const progress = core.progress();
  let heir: string | undefined;
  let most = -1;
  for (const voter of core.configuration.voters) {
    const known = progress.get(voter);
    if (known === undefined || !host.isAlive(replicaOf(voter).id) || known.matchIndex <= most) continue;
    if (known.state !== 'replicate') continue;
    heir = voter;
    most = known.matchIndex;
  }
  return heir;
}

/** Gives every leadership up at once, to nobody: an election follows. */
export function abdicate(host: ArcHost): void {
  for (const replica of host.replicas()) {
    if (!replica.isLeader) continue;
    replica.core.abdicate(replica.now);
    replica.flush();
  }
}
