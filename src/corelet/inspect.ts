import type { EntryBody } from '../arc/entry.ts';
import { defaultArcLimits } from '../arc/limits.ts';
import type { Replica } from '../arc/replica.ts';
import { stateLimits } from '../arc/state.ts';
import { crc32c } from '../base/crc32c.ts';
import type { RaftCore } from '../consensus/raft.ts';
import type { ChunkMap } from '../store/types.ts';
import type { BoundInspection, ReplicaInspection } from './types.ts';

/** A live look at a replica: made once, read as often as a checker likes. */
class ReplicaLook implements ReplicaInspection {
  readonly arc: ReplicaInspection['arc'];
  readonly generation: ReplicaInspection['generation'];
  readonly log: RaftCore<EntryBody>;
  readonly #replica: Replica;

  constructor(replica: Replica) {
    this.#replica = replica;
    this.arc = replica.arc;
    this.generation = replica.generation;
    this.log = replica.core;
  }

  get role(): string {
    return this.log.role;
  }
  get term(): number {
    return this.log.term;
  }
  get durableTerm(): number {
    return this.#replica.durableTerm;
  }
  get commitIndex(): number {
    return this.log.commitIndex;
  }
  get appliedIndex(): number {
    return this.log.appliedIndex;
  }
  get complete(): boolean {
    return this.#replica.complete;
  }
  get voters(): readonly string[] {
    return this.log.configuration.voters;
  }
  get votersOutgoing(): readonly string[] {
    return this.log.configuration.votersOutgoing;
  }
  get configurationIndex(): number {
    return this.log.configurationIndex;
  }

  readonly digest = () => digestOf(this.#replica);
  readonly bounds = () => boundsOf(this.#replica);
}

const looks = new WeakMap<Replica, ReplicaLook>();

/** What a checker may know of a replica. */
export function inspectReplica(replica: Replica): ReplicaInspection {
  let look = looks.get(replica);
  if (look === undefined) {
    look = new ReplicaLook(replica);
    looks.set(replica, look);
  }
  return look;
}

/** What grows with load and trouble, and how far it may. */
function boundsOf({ core, state }: Replica): readonly BoundInspection[] {
  const { uncommittedEntriesMax } = defaultArcLimits.raft;
  let window = 0;
  for (const session of state.sessions.values()) window = Math.max(window, session.answers.size);
  return [
    { name: 'sessions', length: state.sessions.size, max: stateLimits.sessionsMax },
    { name: 'answers kept for one session', length: window, max: stateLimits.windowMax },
    { name: 'volumes known', length: state.epochs.size, max: stateLimits.volumesMax },
    { name: 'volumes dropped', length: state.dropped.size, max: stateLimits.droppedMax },
    { name: 'keys', length: state.keys.size, max: stateLimits.keysMax },
    { name: 'entries not committed', length: core.lastIndex - core.commitIndex, max: defaultArcLimits.entriesKeptMax },
    {
      name: 'entries in memory',
      length: core.lastIndex - core.firstIndex + 1,
      max: defaultArcLimits.entriesKeptMax + uncommittedEntriesMax + 2 * defaultArcLimits.entriesKept,
    },
  ];
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
