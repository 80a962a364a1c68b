import type { Replica } from '../arc/replica.ts';
import { crc32c } from '../base/crc32c.ts';
import type { ReplicaInspection } from './types.ts';

/** What a checker may know of a replica. */
export function inspectReplica(replica: Replica): ReplicaInspection {
  const { core } = replica;
  return {
    arc: replica.arc,
    generation: replica.generation,
    role: core.role,
    term: core.term,
    commitIndex: core.commitIndex,
    appliedIndex: core.appliedIndex,
    complete: replica.complete,
    voters: core.configuration.voters,
    digest: () => digestOf(replica),
  };
}

/**
 * Over blocks, versions, CRCs and the state machine. Chunks in which no block holds anything count as absent. Undefined
 * while pages of the map have to be read first: ask again.
 */
function digestOf(replica: Replica): string | undefined {
  let blocks = 0;
  let whole = true;
  for (const key of [...replica.map.keys()]) {
    const page = replica.map.load(key);
    if (page instanceof Promise) whole = false;
    if (page === undefined || page instanceof Promise) continue;
    let mapped = false;
    const row = new Float64Array(page.versions.length * 2 + 3);
    for (let i = 0; i < page.versions.length; i++) {
      if (page.positions[i] === 0) continue;
      mapped = true;
      row[2 * i] = page.versions[i] as number;
      row[2 * i + 1] = page.crcs[i] as number;
    }
    if (!mapped) continue;
    row.set([page.key.volume, page.key.layer, page.key.chunk], page.versions.length * 2);
    blocks ^= crc32c(new Uint8Array(row.buffer));
  }
  if (!whole) return undefined;
  return `${(blocks >>> 0).toString(16)}-${replica.state.digest(0).toString(16)}`;
}
