import { blockBytes, type CoreletId, type VolumeId } from '../base/ids.ts';
import type { ArcMap } from '../store/map.ts';
import type { BetweenReplicas, CopyChunk, CopyFinish, CopyOffer, CopyReply } from '../wire/peer/types.ts';
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
  #sequence = 0;

  constructor(replica: Replica, context: ReplicaContext, from: CoreletId, offer: CopyOffer) {
    this.#replica = replica;
    this.#context = context;
    this.#from = from;
    this.#offer = offer;
    // A replica without a state may hold parts of an earlier copy, of no known index: everything is sent.
    const base = replica.installed ? replica.core.appliedIndex : 0;
    context.store.afterSync(() => this.#reply('ready', base));
  }

  matches(from: CoreletId, copy: number): boolean {
    return from === this.#from && copy === this.#offer.copy;
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
      const own = { ...snapshot, status: 'active', generation: replica.generation } as const;
      // The record goes into the log before anything that the core says from here on, so it is durable before that is told.
      // The sender left out what was applied here: a restart has to apply it too, before the state takes the log's place.
      this.#context.store.appendApplied(replica.arc, replica.core.appliedIndex);
      this.#context.store.appendArcState(replica.arc, encodeSnapshot(own));
      dropUnknownVolumes(replica.map, snapshot.state);
      replica.install(own);
    }
    this.#context.store.afterSync(() => this.#reply(replica.installed ? 'done' : 'refused', message.index));
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
