import { blockBytes, blocksPerChunk, type CoreletId, type LogIndex, type VolumeId } from '../base/ids.ts';
import type { ArcMap } from '../store/map.ts';
import type { CopyCheck, CopyChunk, CopyFinish, CopyOffer, CopyReply } from '../wire/peer/copy.ts';
import type { BetweenReplicas } from '../wire/peer/types.ts';
import { chunkDigest } from './chunk-digest.ts';
import { ChunkSet } from './chunk-set.ts';
import type { ReplicaContext } from './context.ts';
import type { Replica } from './replica.ts';
import { decodeSnapshot, encodeSnapshot } from './snapshot.ts';
import type { ArcState } from './state.ts';

/** Data of volumes that the arc's state doesn't know was dropped while this replica was away. */
export function dropUnknownVolumes(map: ArcMap, state: ArcState): void {
  const unknown: VolumeId[] = [];
  for (const volume of map.volumes()) if (!state.epochs.has(volume)) unknown.push(volume);
  for (const volume of unknown) map.dropVolume(volume);
}

/** The receiving end of a copy: stores what comes, in order, and installs the state at the end. */
export class CopyReceiver {
  readonly #replica: Replica;
  readonly #context: ReplicaContext;
  readonly #from: CoreletId;
  readonly #offer: CopyOffer;
  /** Chunks that the leader has, where all are compared. */
  #seen: ChunkSet | undefined;
  #sequence = 0;

  constructor(replica: Replica, context: ReplicaContext, from: CoreletId, offer: CopyOffer) {
    this.#replica = replica;
    this.#context = context;
    this.#from = from;
    this.#offer = offer;
    // A replica without a state may hold blocks of an earlier life or copy, of no known index: all chunks are compared.
    const compares = !replica.installed && replica.map.chunkCount > 0;
    if (compares) this.#seen = new ChunkSet();
    const base = replica.installed ? replica.core.appliedIndex : 0;
    context.store.afterSync(() => this.#reply(compares ? 'base' : 'ready', base));
  }

  matches(from: CoreletId, copy: number): boolean {
    return from === this.#from && copy === this.#offer.copy;
  }

  /** The same in every block, and every block can be read. */
  async check(message: CopyCheck): Promise<void> {
    this.#seen?.add(message);
    const loaded = this.#replica.map.load(message);
    const page = loaded instanceof Promise ? await loaded : loaded;
    let same = page !== undefined && chunkDigest(page) === message.digest;
    if (page !== undefined && same) {
      const mapped = [...page.positions.keys()].filter((block) => page.positions[block] !== 0);
      const positions = mapped.map((block) => page.positions[block] as number);
      const crcs = mapped.map((block) => page.crcs[block] as number);
      const into = new Uint8Array(mapped.length * blockBytes);
      same = (await this.#context.store.readBlocks(positions, crcs, into)).ok;
    }
    this.#reply(same ? 'same' : 'differs', message.check);
  }

  chunk(message: CopyChunk): void {
    if (
      message.sequence !== this.#sequence + 1 ||
      this.#context.store.roomFor(message.blocks.length * blockBytes, 'copy') !== 'ok'
    ) {
      this.#reply('refused', 0); // one was lost, or there is no room: the leader begins anew later
      return;
    }
    this.#sequence = message.sequence;
    this.#seen?.add(message);
    const record = {
      arc: message.arc,
      key: { volume: message.volume, layer: message.layer, chunk: message.chunk },
      blocks: message.blocks,
      versions: message.versions,
      crcs: message.crcs,
      emptyBlocks: message.emptyBlocks,
      emptyVersions: message.emptyVersions,
    };
    const position = this.#context.store.appendChunkCopy({ ...record, data: message.data });
    this.#replica.takeBlocks({ ...record, position });
    this.#context.store.afterSync(() => this.#reply('stored', message.sequence));
  }

  finish(message: CopyFinish): void {
    const replica = this.#replica;
    const core = replica.core;
    if (core.copyUseful(message.index, message.indexTerm)) {
      const snapshot = decodeSnapshot(message.state);
      const completeIndex = Math.max(snapshot.completeIndex, replica.completeIndex);
      const own = { ...snapshot, status: 'active', generation: replica.generation, completeIndex } as const;
      this.#dropUnseen(message.index);
      // The record goes into the log before anything that the core says from here on, so it is durable before that is told.
      // The sender left out what was applied here: a restart has to apply it too, before the state takes the log's place.
      this.#context.store.appendApplied(replica.arc, replica.core.appliedIndex);
      this.#context.store.appendArcState(replica.arc, encodeSnapshot(own));
      dropUnknownVolumes(replica.map, snapshot.state);
      replica.install(own);
    }
    this.#context.store.afterSync(() => this.#reply(replica.installed ? 'done' : 'refused', message.index));
  }

  /** Design §10.6: what the leader doesn't have is nothing any more, whatever an earlier life here knew of it. */
  #dropUnseen(version: LogIndex): void {
    const seen = this.#seen;
    if (seen === undefined) return;
    const { arc, map } = this.#replica;
    const none = { blocks: new Uint16Array(0), versions: new Float64Array(0), crcs: new Uint32Array(0) };
    const emptyBlocks = Uint16Array.from({ length: blocksPerChunk }, (_, block) => block);
    const emptyVersions = new Float64Array(blocksPerChunk).fill(version);
    for (const key of Array.from(map.keys())) {
      if (seen.has(key)) continue;
      const record = { arc, key, ...none, emptyBlocks, emptyVersions };
      this.#context.store.appendChunkCopy({ ...record, data: [] });
      this.#replica.takeBlocks({ ...record, position: undefined });
    }
  }

  #reply(code: CopyReply['code'], number: number): void {
    this.#context.send(this.#from, copyReply(this.#offer, code, number));
  }
}

/** Of a message in a copy, or (copy 0) of one that can't be taken at all. */
export function copyReply(
  to: BetweenReplicas & { readonly copy: number },
  code: CopyReply['code'],
  number: number,
): CopyReply {
  return {
    type: 'copyReply',
    arc: to.arc,
    fromGeneration: to.toGeneration,
    toGeneration: to.fromGeneration,
    term: to.term,
    copy: to.copy,
    code,
    number,
  };
}
