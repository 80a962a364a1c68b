import { assert } from '../../base/assert.ts';
import type { ArcId, VolumeId } from '../../base/ids.ts';
import type { Loss } from '../../store/loss.ts';
import type { MapSpace } from '../../store/map-space.ts';
import type { ArcCheckpoint, LostBatches, RecoveryVisitor, StoredChunkCopy, StoredEntry } from '../../store/types.ts';
import {
  applyNext,
  decodeState,
  lastIndex,
  newReplica,
  numbersIn,
  type Replica,
  serialIn,
  type StoredState,
} from './replica.ts';
import { type Appended, countUpTo, type Witness } from './witness.ts';

export const foundingGeneration = 1;
const firstVolume = 1_000_000;
const volumesPerArc = 2;
/** Between the first ids of two volumes: successors of dropped ones lie between. */
const volumeStep = 10_000;

/** The volumes that every arc begins with. */
export function foundingVolumes(): VolumeId[] {
  return Array.from({ length: volumesPerArc }, (_, i) => (firstVolume + i * volumeStep) as VolumeId);
}

/**
 * Rebuilds the replicas from what a restart tells, and holds every record against what was appended: nothing is told that
 * wasn't, nothing twice, nothing out of order, nothing left out in between.
 */
export class Restart implements RecoveryVisitor {
  readonly replicas = new Map<ArcId, Replica>();
  readonly #registers = new Map<string, number>();
  readonly #space: MapSpace;
  readonly #witness: Witness;
  /** Something was told lost: an arc state may come behind a gap. */
  #hasGap = false;
  /** Serial of the newest record that the checkpoint knew of an arc, or that was told since. */
  #newest = 0;

  constructor(witness: Witness, space: MapSpace) {
    this.#witness = witness;
    this.#space = space;
    for (let arc = 0; arc < witness.arcs.length; arc++) {
      const replica = newReplica(arc as ArcId, foundingGeneration, 'active', foundingVolumes());
      this.replicas.set(arc as ArcId, replica);
    }
  }

  #replica(arc: ArcId): Replica {
    const found = this.replicas.get(arc);
    assert(found !== undefined, `a record of arc ${arc}, which has no replica here`);
    return found;
  }

  /** The next record of the arc, which has to be of this type. */
  #next<Type extends Appended['type']>(replica: Replica, type: Type): Extract<Appended, { type: Type }> {
    const record = this.#witness.arc(replica.arc).records[replica.records];
    assert(record !== undefined, `INV-1: arc ${replica.arc}: a ${type} was told that nobody appended`);
    const where = `arc ${replica.arc}, record ${record.serial}`;
    assert(record.type === type, `INV-1: ${where}: a ${type} was told in place of a ${record.type}`);
    replica.records++;
    this.#newest = Math.max(this.#newest, record.serial);
    return record as Extract<Appended, { type: Type }>;
  }

  entry(entry: StoredEntry): void {
    const replica = this.#replica(entry.arc);
    const record = this.#next(replica, 'entry');
    checkEntry(entry, record);
    this.#append(replica, entry);
  }

  #append(replica: Replica, entry: StoredEntry): void {
    const expected = lastIndex(replica) + 1;
    assert(entry.index === expected, `INV-3: arc ${replica.arc}: entry ${entry.index} where ${expected} belongs`);
    replica.tail.push(entry);
    this.#applyUpTo(replica, Math.min(entry.commit, entry.index));
  }

  #applyUpTo(replica: Replica, index: number): void {
    while (replica.applied < index) applyNext(replica, this.#space.of(replica.arc));
  }

  truncated(arc: ArcId, fromIndex: number): void {
    const replica = this.#replica(arc);
    const record = this.#next(replica, 'truncate');
    assert(record.fromIndex === fromIndex, `INV-3: arc ${arc}: truncated from ${fromIndex}, not ${record.fromIndex}`);
    assert(fromIndex > replica.applied, `INV-3: arc ${arc}: an applied entry was truncated`);
    replica.tail.length = Math.min(replica.tail.length, fromIndex - replica.applied - 1);
  }

  hardState(arc: ArcId, bytes: Uint8Array): void {
    const replica = this.#replica(arc);
    const record = this.#next(replica, 'hardState');
    const [term, serial] = numbersIn(bytes);
    assert(record.term === term && record.serial === serial, `INV-3: arc ${arc}: another vote than ${record.serial}`);
    replica.term = record.term;
    replica.termSerial = record.serial;
  }

  arcState(arc: ArcId, bytes: Uint8Array): void {
    const state = decodeState(bytes);
    const before = this.replicas.get(arc);
    const map = this.#space.of(arc);
    const records = countUpTo(this.#witness.arc(arc).records, state.serial);
    // What is known of no replica is known of nothing that the arc was told before.
    const known = before === undefined || this.#hasGap ? records - 1 : before.records;
    const replica = replicaOf(arc, state, known);
    const record = this.#next(replica, 'arcState');
    assert(record.serial === state.serial, `INV-1: arc ${arc}: another state than ${record.serial}`);
    if (before?.generation !== state.generation || state.status !== 'active') map.dropAll();
    this.replicas.delete(arc);
    if (state.status === 'retired') return;
    if (before?.generation === state.generation) {
      this.#applyUpTo(before, this.#hasGap ? Math.min(state.base, lastIndex(before)) : state.base);
      replica.term = before.term;
      replica.termSerial = before.termSerial;
    }
    this.replicas.set(arc, replica);
  }

  chunkCopy(copy: StoredChunkCopy): void {
    const replica = this.#replica(copy.arc);
    const record = this.#next(replica, 'copy');
    const same =
      record.key.volume === copy.key.volume &&
      record.key.chunk === copy.key.chunk &&
      equal(record.blocks, copy.blocks) &&
      equal(record.emptyBlocks, copy.emptyBlocks);
    assert(same, `INV-1: arc ${copy.arc}: another copy than ${record.serial}`);
    this.#space.of(copy.arc).applyCopy(copy);
    for (const version of copy.versions) replica.newestCopied = Math.max(replica.newestCopied, version);
    for (const version of copy.emptyVersions) replica.newestCopied = Math.max(replica.newestCopied, version);
  }

  checkpointBegins(): void {
    this.replicas.clear();
  }

  arcCheckpoint(arc: ArcId, checkpoint: ArcCheckpoint): void {
    const { records } = this.#witness.arc(arc);
    const state = decodeState(checkpoint.state);
    const replica = replicaOf(arc, state, state.records);
    assert(state.records <= records.length, `INV-1: the checkpoint of arc ${arc} knows records that nobody appended`);
    this.#newest = Math.max(this.#newest, records[state.records - 1]?.serial ?? 0);
    const [term, termSerial] = numbersIn(checkpoint.hardState);
    replica.term = term as number;
    replica.termSerial = termSerial as number;
    this.replicas.set(arc, replica);
    for (const entry of checkpoint.tail) {
      const record = records[countUpTo(records, serialIn(entry.head)) - 1];
      assert(record?.type === 'entry', `INV-1: arc ${arc}: the checkpoint has an entry that nobody appended`);
      checkEntry(entry, record);
      this.#append(replica, entry);
    }
  }

  appliedUpTo(arc: ArcId, index: number): void {
    const replica = this.#replica(arc);
    assert(index <= lastIndex(replica), `arc ${arc}: ${index} was applied, and isn't there`);
    this.#applyUpTo(replica, index);
  }

  register(name: string, value: Uint8Array): void {
    const [serial] = numbersIn(value);
    this.#registers.set(name, serial as number);
    this.#newest = Math.max(this.#newest, serial as number);
  }

  lost(batches: LostBatches): void {
    const { fromSequence, toSequence, position } = batches;
    const what = `batches ${fromSequence} … ${toSequence} at ${position}`;
    assert(this.#witness.hasRotted, `INV-7: a crash is no rot, yet ${what} are told lost`);
    this.#hasGap = true;
  }

  /**
   * Serial of the last record that is there: all before it are, none behind it is. At least what was told durable.
   * Applies what was told committed. `loss`: what is said to be missing; nothing else may be.
   */
  settle(loss: Loss | undefined): number {
    const witness = this.#witness;
    const found = Math.max(this.#newest, this.#silentUpTo());
    const newest = loss === undefined ? found : Math.max(found, witness.told);
    assert(newest >= witness.told, `INV-1: record ${witness.told} was told durable, the last one there is ${newest}`);
    for (let arc = 0; arc < witness.arcs.length; arc++) {
      if (loss?.concerns(arc as ArcId) !== true) this.#settleArc(arc as ArcId, newest);
    }
    for (const [name, values] of witness.registers) {
      if (loss?.mayBeOlder(name) === true) continue;
      const expected = values[values.findLastIndex((serial) => serial <= newest)];
      const value = this.#registers.get(name);
      assert(value === expected, `INV-1: register ${name} is ${value}, not ${expected}`);
    }
    for (const name of this.#registers.keys()) assert(witness.registers.has(name), `nobody set register ${name}`);
    return newest;
  }

  /** The retirement of an arc that the checkpoint doesn't know any more leaves no trace. */
  #silentUpTo(): number {
    let silent = 0;
    for (const [arc, { records }] of this.#witness.arcs.entries()) {
      if (this.replicas.has(arc as ArcId)) continue;
      const retired = records.findLast((record) => record.serial <= Math.max(this.#newest, this.#witness.told));
      silent = Math.max(silent, retired?.serial ?? 0);
    }
    return silent;
  }

  #settleArc(arc: ArcId, newest: number): void {
    const witness = this.#witness;
    const { records } = witness.arc(arc);
    const there = countUpTo(records, newest);
    const replica = this.replicas.get(arc);
    const life = witness.lifeAt(arc, newest);
    if (replica === undefined) {
      const last = records[there - 1];
      const retired = last?.type === 'arcState' && last.status === 'retired';
      assert(retired && life === undefined, `INV-1: arc ${arc} is gone`);
      return;
    }
    const missing = records[replica.records]?.serial;
    assert(replica.records === there, `INV-1: arc ${arc}: record ${missing} is missing, ${newest} is there`);
    assert(life !== undefined, `INV-1: arc ${arc} was retired, and is there`);
    const same = life.generation === replica.generation && life.status === replica.status;
    assert(same, `INV-10: arc ${arc} is ${replica.status} of generation ${replica.generation}, not ${life.generation}`);
    const term = expectedTerm(records, there, life.generation);
    assert(replica.term === term, `INV-3: arc ${arc} is in term ${replica.term}, not ${term}`);
    const last = lastIndex(replica);
    assert(last >= life.committed, `INV-1: arc ${arc} was told ${life.committed} committed, and ends with ${last}`);
    assert(replica.applied <= life.committed, `INV-1: arc ${arc}: ${replica.applied} applied, ${life.committed} told`);
    this.#applyUpTo(replica, life.committed);
    if (replica.tail.length > 0) replica.doomedFrom = replica.applied + 1;
  }
}

function replicaOf(arc: ArcId, state: StoredState, records: number): Replica {
  const { generation, status } = state;
  const replica = newReplica(arc, generation, status === 'retired' ? 'copying' : status, [
    ...state.volumes,
  ] as VolumeId[]);
  replica.applied = state.applied;
  replica.newestCopied = state.newestCopied;
  replica.records = records;
  return replica;
}

function checkEntry(entry: StoredEntry, record: Extract<Appended, { type: 'entry' }>): void {
  const { range } = entry;
  const same =
    entry.term === record.term &&
    entry.index === record.index &&
    entry.kind === record.kind &&
    serialIn(entry.head) === record.serial &&
    range?.volume === record.range?.volume &&
    range?.chunk === record.range?.chunk &&
    range?.firstBlock === record.range?.firstBlock &&
    range?.blockCount === record.range?.blockCount;
  assert(
    same,
    `INV-1: arc ${entry.arc}: entry ${entry.term}:${entry.index} isn't what was appended as ${record.serial}`,
  );
}

/** The term that the newest vote of a life says. */
function expectedTerm(records: readonly Appended[], count: number, generation: number): number {
  for (let i = count - 1; i >= 0; i--) {
    const record = records[i] as Appended;
    if (record.type === 'hardState') return record.term;
    if (record.type === 'arcState' && (record.generation !== generation || record.status === 'copying')) break;
  }
  return 1;
}

function equal(a: Uint16Array, b: Uint16Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
