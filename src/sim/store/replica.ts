import type { ArcId, VolumeId } from '../../base/ids.ts';
import type { ArcMap } from '../../store/map.ts';
import type { StoredEntry } from '../../store/types.ts';
import { entryKinds } from './witness.ts';

/** One arc's replica as its owner has it in memory. */
export interface Replica {
  readonly arc: ArcId;
  readonly generation: number;
  readonly status: 'active' | 'copying';
  applied: number;
  term: number;
  /** Serial of the record that said so; 0: none did. */
  termSerial: number;
  /** Of what a copy brought. */
  newestCopied: number;
  /** In the log, not applied: ascending, from applied + 1. */
  readonly tail: StoredEntry[];
  /** Entries from here on come from a leader that nobody follows any more; Infinity: none do. */
  doomedFrom: number;
  /** How many of the arc's records it has seen. */
  records: number;
  /** The volumes that it has data of. */
  volumes: VolumeId[];
}

export function newReplica(arc: ArcId, generation: number, status: Replica['status'], volumes: VolumeId[]): Replica {
  return {
    arc,
    generation,
    status,
    applied: 0,
    term: 1,
    termSerial: 0,
    newestCopied: 0,
    tail: [],
    doomedFrom: Number.POSITIVE_INFINITY,
    records: 0,
    volumes,
  };
}

export function lastIndex(replica: Replica): number {
  return replica.applied + replica.tail.length;
}

/** The volume that takes the place of a dropped one: ids are never used again. */
function successorOf(volume: VolumeId): VolumeId {
  return (volume + 1) as VolumeId;
}

/** Applies the oldest entry of the tail; the same when it runs and when it is replayed. */
export function applyNext(replica: Replica, map: ArcMap): StoredEntry {
  const entry = replica.tail.shift() as StoredEntry;
  replica.applied++;
  const { range } = entry;
  if (entry.kind === entryKinds.write && range !== undefined) {
    map.set(range, entry.position as number, entry.index, entry.crcs);
  } else if (entry.kind === entryKinds.trim && range !== undefined) {
    map.clear(range, entry.index);
  } else if (entry.kind === entryKinds.drop) {
    const volume = volumeIn(entry.head);
    map.dropVolume(volume);
    replica.volumes = replica.volumes.map((one) => (one === volume ? successorOf(one) : one));
  }
  return entry;
}

// ---- what is stored ---------------------------------------------------------------------------------------------------

export const numbersOf = (...values: number[]): Uint8Array => new Uint8Array(Float64Array.from(values).buffer);

export function numbersIn(bytes: Uint8Array): number[] {
  return [...new Float64Array(bytes.slice().buffer)];
}

/** Of an entry: its serial, and the volume that it drops. */
export function headOf(serial: number, volume: number): Uint8Array {
  return numbersOf(serial, volume);
}
export function serialIn(head: Uint8Array): number {
  return new DataView(head.buffer, head.byteOffset).getFloat64(0, true);
}
export function volumeIn(head: Uint8Array): VolumeId {
  return new DataView(head.buffer, head.byteOffset).getFloat64(8, true) as VolumeId;
}

const statuses = ['retired', 'active', 'copying'] as const;

/** An arc state, and what a checkpoint has of an arc. */
export interface StoredState {
  readonly status: (typeof statuses)[number];
  readonly generation: number;
  readonly applied: number;
  readonly newestCopied: number;
  /** Of the arc state record; 0 in a checkpoint. */
  readonly serial: number;
  /** How many of the arc's records had been seen; 0 in an arc state. */
  readonly records: number;
  /** Of an arc state: up to where the log before it was applied. What it brings is newer than that. */
  readonly base: number;
  readonly volumes: readonly number[];
}

export function encodeState(state: StoredState): Uint8Array {
  const { status, generation, applied, newestCopied, serial, records, base, volumes } = state;
  return numbersOf(statuses.indexOf(status), generation, applied, newestCopied, serial, records, base, ...volumes);
}

export function decodeState(bytes: Uint8Array): StoredState {
  const [status, generation, applied, newestCopied, serial, records, base, ...volumes] = numbersIn(bytes);
  return {
    status: statuses[status as number] as StoredState['status'],
    generation: generation as number,
    applied: applied as number,
    newestCopied: newestCopied as number,
    serial: serial as number,
    records: records as number,
    base: base as number,
    volumes,
  };
}
