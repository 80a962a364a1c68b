import { Reader, Writer } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { CoreletId, Generation, LogIndex, Term } from '../base/ids.ts';
import type { Configuration, HardState } from '../consensus/types.ts';
import { decodeConfiguration, encodeConfiguration, memberId } from './members.ts';
import { ArcState } from './state.ts';

/**
 * Everything of a replica but its blocks, as of `index`: what a copy ends with, and what a restart begins from.
 * `copying`: the replica exists, its copy isn't complete: it serves and leads nothing. `retired`: it is no more.
 */
export interface ReplicaSnapshot {
  readonly status: 'active' | 'copying' | 'retired';
  readonly generation: Generation;
  readonly index: LogIndex;
  readonly term: Term;
  /** Blocks may be as new as this: until the log is applied up to it, they are ahead of the rest. */
  readonly completeIndex: LogIndex;
  readonly configuration: Configuration;
  readonly configurationIndex: LogIndex;
  readonly state: ArcState;
}

const statuses = ['active', 'copying', 'retired'] as const;
const snapshotFormat = 1;

// format u8 · status u8 · generation u32 · index u64 · term u64 · completeIndex u64 · configurationIndex u64 · configuration · state
export function encodeSnapshot(snapshot: ReplicaSnapshot): Uint8Array {
  const writer = new Writer(1024);
  writer.u8(snapshotFormat);
  writer.u8(statuses.indexOf(snapshot.status));
  writer.u32(snapshot.generation);
  writer.u64(snapshot.index);
  writer.u64(snapshot.term);
  writer.u64(snapshot.completeIndex);
  writer.u64(snapshot.configurationIndex);
  encodeConfiguration(writer, snapshot.configuration);
  snapshot.state.encode(writer);
  return writer.copy();
}

/** @throws RemoteProtocolError */
export function decodeSnapshot(bytes: Uint8Array): ReplicaSnapshot {
  const reader = new Reader(bytes);
  const format = reader.u8();
  if (format !== snapshotFormat) throw new RemoteProtocolError(`snapshot of format ${format}`);
  const status = statuses[reader.u8()];
  if (status === undefined) throw new RemoteProtocolError('unknown replica status');
  const generation = reader.u32();
  const index = reader.u64();
  const term = reader.u64();
  const completeIndex = reader.u64();
  const configurationIndex = reader.u64();
  const configuration = decodeConfiguration(reader);
  const state = ArcState.decode(reader);
  reader.done();
  return { status, generation, index, term, completeIndex, configuration, configurationIndex, state };
}

export const noConfiguration: Configuration = { voters: [], votersOutgoing: [], learners: [] };

/** A replica of which nothing is known yet but that it exists. */
export function emptySnapshot(status: ReplicaSnapshot['status'], generation: Generation): ReplicaSnapshot {
  return {
    status,
    generation,
    index: 0,
    term: 0,
    completeIndex: 0,
    configuration: noConfiguration,
    configurationIndex: 0,
    state: new ArcState(),
  };
}

// term u64 · voted u8 · (id 16 · generation u32)
export function encodeHardState(hardState: HardState): Uint8Array {
  const writer = new Writer(32);
  writer.u64(hardState.term);
  const vote = hardState.vote;
  writer.boolean(vote !== undefined);
  if (vote !== undefined) {
    writer.id(vote.slice(0, 32));
    writer.u32(Number(vote.slice(33)));
  }
  return writer.copy();
}

/** @throws RemoteProtocolError */
export function decodeHardState(bytes: Uint8Array): HardState {
  const reader = new Reader(bytes);
  const term = reader.u64();
  if (!reader.boolean()) return { term, vote: undefined };
  const id = reader.id() as CoreletId;
  return { term, vote: memberId(id, reader.u32()) };
}
