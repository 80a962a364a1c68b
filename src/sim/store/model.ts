import { assert } from '../../base/assert.ts';
import type { ArcId, VolumeId } from '../../base/ids.ts';
import { blockBytes, blocksPerChunk } from '../../base/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Flash } from '../../ports/flash.ts';
import { MapSpace } from '../../store/map-space.ts';
import { Store } from '../../store/store.ts';
import type { ArcCheckpoint, BlockRange, ChunkKey, StoredEntry, StoreOwner } from '../../store/types.ts';
import { blockCrcs } from '../../volume/pieces.ts';
import { dataOf } from './content.ts';
import {
  applyNext,
  encodeState,
  headOf,
  lastIndex,
  newReplica,
  numbersOf,
  type Replica,
  type StoredState,
  volumeIn,
} from './replica.ts';
import { foundingVolumes, Restart } from './restart.ts';
import {
  type Appended,
  blockName,
  chunkName,
  type EntryKind,
  entryKinds,
  type Life,
  newLife,
  type Witness,
} from './witness.ts';

export interface ModelOptions {
  /** Memory for map pages: little makes them come and go. */
  readonly mapBytes: number;
}

/** What becomes of an entry once it is durable: committed, committed with a later one, or never, as far as this leader knows. */
export type Prospect = 'commits' | 'lags' | 'doomed';

/**
 * The smallest thing that owns arcs as replicas do: entries are appended, applied once they are durable, truncated when
 * another leader says so; arcs are copied, retired and founded anew. What it does it tells the witness.
 */
export class StoreModel implements StoreOwner {
  readonly store: Store;
  readonly space: MapSpace;
  readonly witness: Witness;
  readonly replicas: Map<ArcId, Replica>;
  /** Applied entries that are needed as they lie there. */
  readonly pinned = new Set<StoredEntry>();
  /** Segments given back, by position: the newest checkpoint then. */
  readonly freedAt = new Map<number, number>();
  failure: Error | undefined;

  private constructor(store: Store, space: MapSpace, replicas: Map<ArcId, Replica>, witness: Witness) {
    this.store = store;
    this.space = space;
    this.replicas = replicas;
    this.witness = witness;
    store.onFailed((error) => {
      this.failure = error;
    });
  }

  /** Restarts, and holds what it finds against the witness. `serial`: of the last record that is there. */
  static async reopen(flash: Flash, clock: Clock, witness: Witness, options: ModelOptions): Promise<Reopened> {
    const space = new MapSpace(options.mapBytes);
    const restart = new Restart(witness, space);
    const opened = await Store.open(flash, { clock }, restart, space);
    assert(opened.ok, opened.ok ? '' : `INV-1: ${opened.code}: ${opened.message}`);
    const { store } = opened;
    assert(store.recovery.lost.length === 0 || witness.hasRotted, 'INV-7: a crash is no rot');
    assert(store.loss === undefined || witness.hasRotted, 'INV-7: nothing is lost');
    assert(!store.recovery.tailUnreadable, 'INV-7: everything could be read');
    return { store, space, replicas: restart.replicas, serial: restart.settle(store.loss) };
  }

  /** Goes on with what `reopen` found: from now on checkpoints are taken and space is given back. */
  static resume(reopened: Reopened, witness: Witness): StoreModel {
    const { store, space, replicas, serial } = reopened;
    const model = new StoreModel(store, space, replicas, witness.at(serial));
    store.attach(model);
    return model;
  }

  // ---- the owner ------------------------------------------------------------------------------------------------------

  arcs(): Iterable<ArcId> {
    return this.replicas.keys();
  }

  checkpointMark(arc: ArcId): string | undefined {
    const replica = this.replicas.get(arc);
    return replica && `${replica.generation} ${replica.status} ${replica.applied} ${replica.records}`;
  }

  checkpoint(arc: ArcId): ArcCheckpoint {
    const replica = this.replica(arc);
    const { status, generation, applied, newestCopied, records, volumes, term, termSerial, tail } = replica;
    const state = encodeState({ status, generation, applied, newestCopied, serial: 0, records, base: 0, volumes });
    return { state, hardState: numbersOf(term, termSerial), tail: [...tail] };
  }

  appliedIndex(arc: ArcId): number {
    return this.replica(arc).applied;
  }

  holds(from: number, to: number): boolean {
    for (const { tail } of this.replicas.values()) for (const entry of tail) if (liesIn(entry, from, to)) return true;
    for (const entry of this.pinned) if (liesIn(entry, from, to)) return true;
    return false;
  }

  freed(from: number, to: number): void {
    assert(!this.holds(from, to), 'INV-1: what an arc holds is given back');
    this.freedAt.set(from, this.store.health().checkpoint);
  }

  replica(arc: number): Replica {
    const found = this.replicas.get(arc as ArcId);
    assert(found !== undefined, `arc ${arc} has no replica here`);
    return found;
  }

  // ---- entries --------------------------------------------------------------------------------------------------------

  write(arc: number, range: BlockRange, prospect: Prospect): void {
    const { generation, term } = this.replica(arc);
    const index = lastIndex(this.replica(arc)) + 1;
    const blocks = Array.from({ length: range.blockCount }, (_, i) => range.firstBlock + i);
    const data = dataOf(blocks, range.chunk, () => ({ arc, generation, term, index }));
    this.#entry(arc, entryKinds.write, range, data, prospect);
  }

  trim(arc: number, range: BlockRange, prospect: Prospect): void {
    this.#entry(arc, entryKinds.trim, range, new Uint8Array(0), prospect);
  }

  noop(arc: number, prospect: Prospect): void {
    this.#entry(arc, entryKinds.noop, undefined, new Uint8Array(0), prospect);
  }

  /** Forgets a volume: another id takes its place. */
  drop(arc: number, volume: VolumeId, prospect: Prospect): void {
    this.#entry(arc, entryKinds.drop, undefined, new Uint8Array(0), prospect, volume);
  }

  #entry(
    arc: number,
    kind: EntryKind,
    range: BlockRange | undefined,
    data: Uint8Array,
    prospect: Prospect,
    volume = 0,
  ): void {
    const replica = this.replica(arc);
    const { term } = replica;
    const index = lastIndex(replica) + 1;
    const serial = this.witness.next();
    const stored = {
      arc: replica.arc,
      term,
      index,
      kind,
      commit: replica.applied,
      head: headOf(serial, volume),
      range,
    };
    const crcs = blockCrcs([data], data.length / blockBytes);
    const position = this.store.appendEntry({ ...stored, crcs, data: [data] });
    replica.tail.push({ ...stored, crcs, position });
    if (prospect === 'doomed') replica.doomedFrom = Math.min(replica.doomedFrom, index);
    assert(prospect === 'doomed' || replica.doomedFrom > index, 'what is doomed is truncated first');
    this.#appended(replica, { type: 'entry', serial, term, index, kind, range });
    if (prospect !== 'commits') return;
    this.store.afterSync(() => {
      if (this.replicas.get(replica.arc) === replica) this.#commit(replica, index);
    });
  }

  #appended(replica: Replica, record: Appended): void {
    this.witness.appended(replica.arc, record);
    replica.records++;
    this.store.afterSync(() => this.witness.tell(record.serial));
  }

  #commit(replica: Replica, index: number): void {
    while (replica.applied < index) {
      const { term, kind, range, head, index: applied } = applyNext(replica, this.space.of(replica.arc));
      const what = kind === entryKinds.drop ? volumeRange(volumeIn(head)) : range;
      this.witness.committed(replica.arc, applied, term, kind, what);
    }
  }

  /** A new leader: whatever the old one's entries were, they are truncated. */
  truncateDoomed(arc: number): void {
    const replica = this.replica(arc);
    const fromIndex = replica.doomedFrom;
    this.vote(arc);
    this.store.appendTruncate(replica.arc, fromIndex);
    replica.tail.length = Math.min(replica.tail.length, fromIndex - replica.applied - 1);
    replica.doomedFrom = Number.POSITIVE_INFINITY;
    this.#appended(replica, { type: 'truncate', serial: this.witness.next(), fromIndex });
  }

  /** The new leader has the old one's entries, and commits them. */
  adoptDoomed(arc: number): void {
    const replica = this.replica(arc);
    const last = lastIndex(replica);
    replica.doomedFrom = Number.POSITIVE_INFINITY;
    this.store.afterSync(() => {
      if (this.replicas.get(replica.arc) === replica) this.#commit(replica, last);
    });
  }

  vote(arc: number): void {
    const replica = this.replica(arc);
    const serial = this.witness.next();
    replica.term++;
    replica.termSerial = serial;
    this.store.appendHardState(replica.arc, numbersOf(replica.term, serial));
    this.#appended(replica, { type: 'hardState', serial, term: replica.term });
  }

  register(name: string): void {
    const serial = this.witness.next();
    this.store.setRegister(name, numbersOf(serial));
    this.witness.registered(name, serial);
    this.store.afterSync(() => this.witness.tell(serial));
  }

  // ---- lives ----------------------------------------------------------------------------------------------------------

  /** The arc has no replica here any more. */
  retire(arc: number): void {
    const replica = this.replica(arc);
    this.space.of(replica.arc).dropAll();
    this.replicas.delete(replica.arc);
    this.#state(replica, 'retired', 0, undefined);
  }

  /** A replica that has nothing yet: copies bring it. */
  found(arc: number, generation: number, volumes: readonly VolumeId[]): void {
    assert(!this.replicas.has(arc as ArcId), 'one life at a time');
    const replica = newReplica(arc as ArcId, generation, 'copying', [...volumes]);
    replica.records = this.witness.arc(arc).records.length;
    this.replicas.set(replica.arc, replica);
    this.#state(replica, 'copying', 0, newLife(generation, 'copying', 0));
  }

  /** Takes up blocks that a peer sent: at these versions, none of them known here. */
  copy(arc: number, key: ChunkKey, blocks: readonly number[], emptyBlocks: readonly number[], version: number): void {
    const replica = this.replica(arc);
    assert(replica.tail.length === 0 && version > replica.applied, 'copies are ahead of the log, and alone');
    const { generation } = replica;
    const data = dataOf(blocks, key.chunk, () => ({ arc, generation, term: 0, index: version }));
    const record = {
      arc: replica.arc,
      key,
      blocks: Uint16Array.from(blocks),
      versions: new Float64Array(blocks.length).fill(version),
      crcs: blockCrcs([data], data.length / blockBytes),
      emptyBlocks: Uint16Array.from(emptyBlocks),
      emptyVersions: new Float64Array(emptyBlocks.length).fill(version),
    };
    const position = this.store.appendChunkCopy({ ...record, data: [data] });
    this.space.of(replica.arc).applyCopy({ ...record, position });
    replica.newestCopied = Math.max(replica.newestCopied, version);
    const serial = this.witness.next();
    this.#appended(replica, { type: 'copy', serial, key, blocks: record.blocks, emptyBlocks: record.emptyBlocks });
    this.witness.copied(arc, key, (chunk) => {
      for (const block of blocks) chunk.put(block, version, 0, 1);
      for (const block of emptyBlocks) chunk.put(block, version, 0, 0);
    });
  }

  /** The copy is complete: the log begins behind `index`. */
  install(arc: number, index: number): void {
    const before = this.replica(arc);
    assert(before.tail.length === 0 && index >= Math.max(before.newestCopied, before.applied), 'nothing is ahead');
    const replica = { ...newReplica(before.arc, before.generation, 'active', before.volumes), applied: index };
    replica.records = before.records;
    replica.term = before.term;
    replica.termSerial = before.termSerial;
    this.replicas.set(replica.arc, replica);
    const life = this.witness.life(arc);
    this.#state(replica, 'active', before.applied, { ...life, status: 'active', committed: index });
  }

  #state(replica: Replica, status: StoredState['status'], base: number, life: Life | undefined): void {
    const { arc, generation, applied, newestCopied, volumes } = replica;
    const serial = this.witness.next();
    this.store.appendArcState(
      arc,
      encodeState({ status, generation, applied, newestCopied, serial, records: 0, base, volumes }),
    );
    this.#appended(replica, { type: 'arcState', serial, status, generation });
    this.witness.lived(arc, life);
  }

  /**
   * What a Corelet does that has lost records: every arc that it concerns comes back as a learner of another generation,
   * and registers are set again. Then the loss is dealt with.
   */
  dealWithLoss(): boolean {
    const { loss } = this.store;
    if (loss === undefined) return false;
    for (let arc = 0; arc < this.witness.arcs.length; arc++) {
      if (!loss.concerns(arc as ArcId)) continue;
      const generation = this.witness.nextGeneration(arc);
      const volumes = this.replicas.get(arc as ArcId)?.volumes ?? foundingVolumes();
      if (this.replicas.has(arc as ArcId)) this.retire(arc);
      this.found(arc, generation, volumes);
    }
    for (const name of this.witness.registers.keys()) if (loss.mayBeOlder(name)) this.register(name);
    void this.store.acknowledgeLoss();
    return true;
  }

  /** Arcs that ended, and of which the beginning of another life isn't there: it begins now. */
  foundMissing(): void {
    for (let arc = 0; arc < this.witness.arcs.length; arc++) {
      if (!this.replicas.has(arc as ArcId)) this.found(arc, this.witness.nextGeneration(arc), foundingVolumes());
    }
  }

  /** Brings blocks anew that went bad, as a peer has them. */
  mend(arc: number, key: ChunkKey, blocks: readonly number[]): void {
    const replica = this.replica(arc);
    const { generation } = replica;
    const expected = this.witness.life(arc).chunks.get(chunkName(key));
    assert(expected !== undefined, `arc ${arc} has chunk ${chunkName(key)}`);
    const data = dataOf(blocks, key.chunk, (i) => {
      const block = blocks[i] as number;
      return { arc, generation, term: expected.terms[block] as number, index: expected.versions[block] as number };
    });
    const record = {
      arc: replica.arc,
      key,
      blocks: Uint16Array.from(blocks),
      versions: Float64Array.from(blocks, (block) => expected.versions[block] as number),
      crcs: blockCrcs([data], data.length / blockBytes),
      emptyBlocks: new Uint16Array(0),
      emptyVersions: new Float64Array(0),
    };
    // What these blocks belong to is applied here: a restart must not take them for ahead of its log.
    this.store.appendApplied(replica.arc, replica.applied);
    const position = this.store.appendChunkCopy({ ...record, data: [data] });
    this.space.of(replica.arc).applyCopy({ ...record, position });
    const serial = this.witness.next();
    this.#appended(replica, { type: 'copy', serial, key, blocks: record.blocks, emptyBlocks: record.emptyBlocks });
    for (const block of blocks) {
      const bad = this.witness.bad.get(blockName(arc, generation, key, block));
      if (bad !== undefined) bad.mended = serial;
    }
  }

  /** Blocks are ahead of the log: until a state is installed, the arc takes no entries. */
  isIncomplete(arc: number): boolean {
    const { status, newestCopied, applied } = this.replica(arc);
    return status === 'copying' || newestCopied > applied;
  }

  /** Resolves when all that was appended is durable. Never after a failure or a crash. */
  synced(): Promise<void> {
    return new Promise((resolve) => {
      this.store.afterSync(resolve);
    });
  }
}

export interface Reopened {
  readonly store: Store;
  readonly space: MapSpace;
  readonly replicas: Map<ArcId, Replica>;
  readonly serial: number;
}

function liesIn(entry: StoredEntry, from: number, to: number): boolean {
  const { position, crcs } = entry;
  return position !== undefined && position < to && position + crcs.length * blockBytes > from;
}

function volumeRange(volume: VolumeId): BlockRange {
  return { volume, layer: 0, chunk: 0, firstBlock: 0, blockCount: blocksPerChunk };
}
