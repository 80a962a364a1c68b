import { assert } from '../base/assert.ts';
import type { ArcId, Generation, LogIndex } from '../base/ids.ts';
import { type Configuration, entryKinds, type HardState } from '../consensus/types.ts';
import type { ArcMap } from '../store/map.ts';
import type { ArcCheckpoint, StoredChunkCopy, StoredEntry } from '../store/types.ts';
import { applyToMap, newestIn } from './apply.ts';
import { dropUnknownVolumes } from './copy-receiver.ts';
import { type ArcEntry, bodyIn, entryFromStore, forgetPayload } from './entry.ts';
import type { ReplicaOrigin } from './origin.ts';
import { anew } from './lives.ts';
import { decodeHardState, decodeSnapshot, emptySnapshot, encodeSnapshot, type ReplicaSnapshot } from './snapshot.ts';

/** One replica as the device tells it, rebuilt record by record in the order in which they were appended. */
class RecoveringReplica {
  readonly generation: Generation;
  readonly map: ArcMap;
  installed: boolean;
  completeIndex: LogIndex;
  hardState: HardState = { term: 0, vote: undefined };
  #snapshot: ReplicaSnapshot;
  /** Contiguous, from `compactedIndex` + 1: some applied ones for followers that lag, then those not known committed. */
  #entries: ArcEntry[] = [];
  #compactedIndex: LogIndex;
  #compactedTerm: number;
  #configuration: Configuration;
  #appliedIndex: LogIndex;
  #commitIndex: LogIndex;

  constructor(map: ArcMap, snapshot: ReplicaSnapshot) {
    this.map = map;
    this.generation = snapshot.generation;
    this.installed = snapshot.status === 'active';
    this.completeIndex = snapshot.completeIndex;
    this.#snapshot = snapshot;
    this.#compactedIndex = snapshot.index;
    this.#compactedTerm = snapshot.term;
    this.#configuration = snapshot.configuration;
    this.#appliedIndex = snapshot.index;
    this.#commitIndex = snapshot.index;
  }

  entry(stored: StoredEntry, keep: number): void {
    const expected = this.#compactedIndex + this.#entries.length + 1;
    assert(stored.index === expected, `arc ${stored.arc}: entry ${stored.index} on flash where ${expected} belongs`);
    this.#entries.push(entryFromStore(stored));
    this.applyUpTo(Math.min(stored.commit, stored.index));
    if (this.#appliedIndex - this.#compactedIndex > 2 * keep) this.#compact(this.#appliedIndex - keep);
  }

  /** Known committed: all of it lies on the device. */
  applyUpTo(index: LogIndex): void {
    this.#commitIndex = Math.max(this.#commitIndex, index);
    while (this.#appliedIndex < this.#commitIndex) {
      const entry = this.#entries[this.#appliedIndex - this.#compactedIndex];
      assert(entry !== undefined, `committed entry ${this.#appliedIndex + 1} of arc ${this.map.arc} is not on flash`);
      applyToMap(this.#snapshot.state, this.map, bodyIn(entry), entry.index);
      forgetPayload(bodyIn(entry));
      this.#appliedIndex += 1;
    }
  }

  /**
   * All is told. Pages of the map are written between two records that tell what is committed. Of what they hold, the newest
   * was copied, or applied here: then it is committed, and its entry lies here. Forgotten, it would be a block ahead of the rest.
   */
  settle(): void {
    const newest = this.map.pagesNewest;
    if (!this.installed || newest <= this.completeIndex) return;
    this.applyUpTo(Math.min(newest, this.#compactedIndex + this.#entries.length));
    this.completeIndex = newest;
  }

  #compact(index: LogIndex): void {
    const dropped = this.#entries.splice(0, index - this.#compactedIndex);
    for (const entry of dropped) {
      if (entry.kind === entryKinds.configuration && entry.configuration !== undefined)
        this.#configuration = entry.configuration;
    }
    this.#compactedIndex = index;
    this.#compactedTerm = dropped.at(-1)?.term ?? this.#compactedTerm;
  }

  truncated(fromIndex: LogIndex): void {
    assert(fromIndex > this.#appliedIndex, 'INV-3: an applied entry was truncated');
    this.#entries.length = Math.max(0, Math.min(this.#entries.length, fromIndex - this.#compactedIndex - 1));
  }

  /** What a new life begins with, whose blocks are these. */
  anew(generation: Generation): ReplicaSnapshot {
    const configuration = this.#entries.reduce((now, entry) => entry.configuration ?? now, this.#configuration);
    return anew({ ...this.#snapshot, index: this.#appliedIndex, configuration }, generation, this.map);
  }

  origin(): ReplicaOrigin {
    return {
      generation: this.generation,
      installed: this.installed,
      completeIndex: this.completeIndex,
      hardState: this.hardState,
      configuration: this.#configuration,
      compactedIndex: this.#compactedIndex,
      compactedTerm: this.#compactedTerm,
      entries: this.#entries,
      commitIndex: this.#commitIndex,
      appliedIndex: this.#appliedIndex,
      state: this.#snapshot.state,
    };
  }
}

/** The arcs' part of a restart: takes the store's records in append order and knows at the end which replicas live here. */
export class ArcRecovery {
  readonly #mapOf: (arc: ArcId) => ArcMap;
  readonly #entriesKept: number;
  readonly #replicas = new Map<ArcId, RecoveringReplica>();
  #anyLost = false;

  constructor(mapOf: (arc: ArcId) => ArcMap, entriesKept: number) {
    this.#mapOf = mapOf;
    this.#entriesKept = entriesKept;
  }

  /** The founding record makes this Corelet one of the first voters of the arc; what the device tells later stands. */
  found(arc: ArcId, configuration: Configuration, generation: Generation): void {
    this.#replicas.set(
      arc,
      new RecoveringReplica(this.#mapOf(arc), { ...emptySnapshot('active', generation), configuration }),
    );
  }

  entry(stored: StoredEntry): void {
    this.#known(stored.arc)?.entry(stored, this.#entriesKept);
  }

  truncated(arc: ArcId, fromIndex: LogIndex): void {
    this.#known(arc)?.truncated(fromIndex);
  }

  appliedUpTo(arc: ArcId, index: LogIndex): void {
    this.#known(arc)?.applyUpTo(index);
  }

  hardState(arc: ArcId, state: Uint8Array): void {
    const replica = this.#known(arc);
    if (replica !== undefined) replica.hardState = decodeHardState(state);
  }

  /** Records that were durable can't be had any more: arcs may have begun, or ended, without a word here. */
  lost(): void {
    this.#anyLost = true;
  }

  arcs(): IterableIterator<ArcId> {
    return this.#replicas.keys();
  }

  /** INV-10: that life is over, another begins, with its blocks. Returns what has to be in the log before anything is said. */
  beginAnew(arc: ArcId, generation: Generation): { readonly ended: Generation; readonly state: Uint8Array } {
    const former = this.#replicas.get(arc);
    assert(former !== undefined, `arc ${arc} has a replica here`);
    const snapshot = former.anew(generation);
    this.#replicas.set(arc, new RecoveringReplica(former.map, snapshot));
    return { ended: former.generation, state: encodeSnapshot(snapshot) };
  }

  arcState(arc: ArcId, bytes: Uint8Array): void {
    const snapshot = decodeSnapshot(bytes);
    const before = this.#replicas.get(arc);
    const map = this.#mapOf(arc);
    // One that begins without a state keeps the blocks of an earlier life here as a base, unless that was retired before.
    if (snapshot.status === 'retired' || (snapshot.status === 'active' && before?.generation !== snapshot.generation)) {
      map.dropAll();
    }
    this.#replicas.delete(arc);
    if (snapshot.status === 'retired') return;
    const replica = new RecoveringReplica(map, snapshot);
    if (before?.generation === snapshot.generation) {
      replica.hardState = before.hardState;
      replica.completeIndex = Math.max(replica.completeIndex, before.completeIndex);
    }
    // A life that begins with nothing knows no volume yet: what is kept as a base stays.
    if (snapshot.status === 'active') dropUnknownVolumes(map, snapshot.state);
    this.#replicas.set(arc, replica);
  }

  /** There is a checkpoint: what was founded is in it, or is no more. */
  checkpointBegins(): void {
    this.#replicas.clear();
  }

  /** The arc as it was at one moment; its map is as it was then, or newer, and what came later is told once more. */
  arcCheckpoint(arc: ArcId, checkpoint: ArcCheckpoint): void {
    const replica = new RecoveringReplica(this.#mapOf(arc), decodeSnapshot(checkpoint.state));
    replica.hardState = decodeHardState(checkpoint.hardState);
    this.#replicas.set(arc, replica);
    for (const entry of checkpoint.tail) replica.entry(entry, this.#entriesKept);
  }

  chunkCopy(copy: StoredChunkCopy): void {
    const replica = this.#known(copy.arc);
    if (replica === undefined) return;
    replica.map.applyCopy(copy);
    replica.completeIndex = Math.max(replica.completeIndex, newestIn(copy));
  }

  replicas(): IterableIterator<[ArcId, ReplicaOrigin]> {
    const replicas = this.#replicas;
    return (function* () {
      for (const [arc, replica] of replicas) {
        replica.settle();
        yield [arc, replica.origin()];
      }
    })();
  }

  /** Undefined: its beginning is lost, and so it is told of in vain. */
  #known(arc: ArcId): RecoveringReplica | undefined {
    const replica = this.#replicas.get(arc);
    assert(replica !== undefined || this.#anyLost, `a record of arc ${arc}, which has no replica here`);
    return replica;
  }
}
