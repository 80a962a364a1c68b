import type { Replica } from '../arc/replica.ts';
import { crc32c } from '../base/crc32c.ts';
import type { ChunkMap } from '../store/types.ts';
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

interface KnownChunk {
  readonly newest: number;
  readonly digest: number;
}

/** What chunks came to when they were looked at last: their pages need not be in memory all at once. */
const known = new WeakMap<Replica, { copiesTaken: number; readonly chunks: Map<string, KnownChunk> }>();

/**
 * Over blocks, versions, CRCs and the state machine. Chunks in which no block holds anything count as absent. Undefined
 * while pages of the map have to be read first: ask again.
 */
function digestOf(replica: Replica): string | undefined {
  let memory = known.get(replica);
  if (memory?.copiesTaken !== replica.copiesTaken) {
    memory = { copiesTaken: replica.copiesTaken, chunks: new Map() };
    known.set(replica, memory);
  }
  const seen = new Set<string>();
  let blocks = 0;
  let whole = true;
  for (const key of Array.from(replica.map.keys())) {
    const name = `${key.volume}/${key.layer}/${key.chunk}`;
    const newest = replica.map.newestOf(key);
    let chunk = memory.chunks.get(name);
    if (chunk?.newest !== newest) {
      const page = replica.map.load(key);
      if (page instanceof Promise) {
        whole = false;
        continue;
      }
      chunk = { newest, digest: page === undefined ? 0 : digestOfChunk(page) };
      memory.chunks.set(name, chunk);
    }
    seen.add(name);
    blocks ^= chunk.digest;
  }
  if (!whole) return undefined;
  for (const name of memory.chunks.keys()) if (!seen.has(name)) memory.chunks.delete(name);
  return `${(blocks >>> 0).toString(16)}-${replica.state.digest(0).toString(16)}`;
}

/** 0 when no block holds anything. */
function digestOfChunk(page: ChunkMap): number {
  let mapped = false;
  const row = new Float64Array(page.versions.length * 2 + 3);
  for (let i = 0; i < page.versions.length; i++) {
    if (page.positions[i] === 0) continue;
    mapped = true;
    row[2 * i] = page.versions[i] as number;
    row[2 * i + 1] = page.crcs[i] as number;
  }
  if (!mapped) return 0;
  row.set([page.key.volume, page.key.layer, page.key.chunk], page.versions.length * 2);
  return crc32c(new Uint8Array(row.buffer));
}
