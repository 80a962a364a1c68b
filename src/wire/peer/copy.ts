import { assert } from '../../base/assert.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { blockBytes, type LogIndex, type Term, type VolumeId } from '../../base/ids.ts';
import { readBlocks, readVersions, writeBlocks } from './chunk-blocks.ts';
import type { Codec } from './codec.ts';
import { readArc, readCrcs, readVolume, writeBetweenReplicas, writeCrcs } from './fields.ts';
import { peerLimits } from './limits.ts';
import type { BetweenReplicas } from './types.ts';

/** The leader offers its state at `index`. The receiver answers with what it has already. Creates the replica where there is none. */
export interface CopyOffer extends BetweenReplicas {
  readonly type: 'copyOffer';
  readonly copy: number; // u32
  readonly index: LogIndex;
  /** What a complete copy holds: the receiver refuses what it has no room for. */
  readonly bytes: number;
  /** The receiver's vote counts: a life that isn't known there has ended, and none begins. */
  readonly voter: boolean;
}
/** Does the receiver hold the chunk as the sender does? Asked of one that has blocks of an earlier life or copy. */
export interface CopyCheck extends BetweenReplicas {
  readonly type: 'copyCheck';
  readonly copy: number;
  readonly check: number; // u32
  readonly volume: VolumeId;
  readonly layer: number;
  readonly chunk: number;
  /** Over number, version and CRC of every block. */
  readonly digest: number; // u32
}
export interface CopyChunk extends BetweenReplicas {
  readonly type: 'copyChunk';
  readonly copy: number;
  readonly sequence: number;
  readonly volume: VolumeId;
  readonly layer: number;
  readonly chunk: number;
  readonly blocks: Uint16Array;
  readonly versions: Float64Array;
  readonly crcs: Uint32Array;
  readonly emptyBlocks: Uint16Array;
  readonly emptyVersions: Float64Array;
  readonly data: readonly Uint8Array[];
}
/** `state`: configuration, sessions, epochs, keys and the list of chunks, as of `index`. */
export interface CopyFinish extends BetweenReplicas {
  readonly type: 'copyFinish';
  readonly copy: number;
  readonly index: LogIndex;
  readonly indexTerm: Term;
  readonly state: Uint8Array;
}
export interface CopyReply extends BetweenReplicas {
  readonly type: 'copyReply';
  readonly copy: number;
  /**
   * `ready`: `number` is the applied index it starts from. `base`: it holds blocks of an earlier life or copy, of no known
   * index: compare all. `same`, `differs`: the answer to check `number`. `stored`: chunks durable up to sequence `number`.
   * `done`: the state is installed and durable. `refused`: start anew. `ended`: that life is over, never to come back.
   * `full`: with it, and with what is promised to others, the flash would be fuller than copies may make it.
   */
  readonly code: 'ready' | 'base' | 'same' | 'differs' | 'stored' | 'done' | 'refused' | 'ended' | 'full';
  readonly number: number;
}

// between replicas (20 bytes) · copy u32 · index u64 · bytes u64 · voter boolean
export const copyOfferCodec: Codec<CopyOffer> = {
  encode(out, message) {
    writeBetweenReplicas(out, message);
    out.u32(message.copy);
    out.u64(message.index);
    out.u64(message.bytes);
    out.boolean(message.voter);
  },
  decode(from) {
    return {
      type: 'copyOffer',
      arc: readArc(from),
      fromGeneration: from.u32(),
      toGeneration: from.u32(),
      term: from.u64(),
      copy: from.u32(),
      index: from.u64(),
      bytes: from.u64(),
      voter: from.boolean(),
    };
  },
};

// between replicas (20 bytes) · copy u32 · check u32 · volume u64 · layer u32 · chunk u64 · digest u32
export const copyCheckCodec: Codec<CopyCheck> = {
  encode(out, message) {
    writeBetweenReplicas(out, message);
    out.u32(message.copy);
    out.u32(message.check);
    out.u64(message.volume);
    out.u32(message.layer);
    out.u64(message.chunk);
    out.u32(message.digest);
  },
  decode(from) {
    const between = { arc: readArc(from), fromGeneration: from.u32(), toGeneration: from.u32(), term: from.u64() };
    const copy = from.u32();
    const check = from.u32();
    const place = { volume: readVolume(from), layer: from.u32(), chunk: from.u64() };
    return { type: 'copyCheck', ...between, copy, check, ...place, digest: from.u32() };
  },
};

// between replicas (20 bytes) · copy u32 · sequence u64 · volume u64 · layer u32 · chunk u64 ·
// blocks · crc u32 × blocks · empty blocks · payload 4,096 × blocks
export const copyChunkCodec: Codec<CopyChunk> = {
  encode(out, message, payload) {
    assert(message.crcs.length === message.blocks.length, 'one checksum per block');
    writeBetweenReplicas(out, message);
    out.u32(message.copy);
    out.u64(message.sequence);
    out.u64(message.volume);
    out.u32(message.layer);
    out.u64(message.chunk);
    writeBlocks(out, message.blocks, message.versions);
    writeCrcs(out, message.crcs);
    writeBlocks(out, message.emptyBlocks, message.emptyVersions);
    payload.add(message.data, message.blocks.length * blockBytes);
  },
  decode(from, payload) {
    const arc = readArc(from);
    const fromGeneration = from.u32();
    const toGeneration = from.u32();
    const term = from.u64();
    const copy = from.u32();
    const sequence = from.u64();
    const volume = readVolume(from);
    const layer = from.u32();
    const chunk = from.u64();
    const blocks = readBlocks(from);
    const versions = readVersions(from, blocks.length);
    const crcs = readCrcs(from, blocks.length);
    const emptyBlocks = readBlocks(from);
    const emptyVersions = readVersions(from, emptyBlocks.length);
    const data = payload.pieces(blocks.length * blockBytes);
    const between = { arc, fromGeneration, toGeneration, term };
    const place = { copy, sequence, volume, layer, chunk };
    return { type: 'copyChunk', ...between, ...place, blocks, versions, crcs, emptyBlocks, emptyVersions, data };
  },
};

// between replicas (20 bytes) · copy u32 · index u64 · indexTerm u64 · payload: the state, the rest of the message's
export const copyFinishCodec: Codec<CopyFinish> = {
  encode(out, message, payload) {
    assert(message.state.length <= peerLimits.copyStateBytesMax, 'state too long for one copy');
    writeBetweenReplicas(out, message);
    out.u32(message.copy);
    out.u64(message.index);
    out.u64(message.indexTerm);
    payload.addOne(message.state);
  },
  decode(from, payload) {
    const between = { arc: readArc(from), fromGeneration: from.u32(), toGeneration: from.u32(), term: from.u64() };
    const copy = from.u32();
    const index = from.u64();
    const indexTerm = from.u64();
    if (payload.left > peerLimits.copyStateBytesMax) throw new RemoteProtocolError(`state of ${payload.left} bytes`);
    return { type: 'copyFinish', ...between, copy, index, indexTerm, state: payload.one(payload.left) };
  },
};

export const copyReplyCodes = [
  'ready',
  'stored',
  'done',
  'refused',
  'base',
  'same',
  'differs',
  'ended',
  'full',
] as const;

// between replicas (20 bytes) · copy u32 · code u8 · number u64
export const copyReplyCodec: Codec<CopyReply> = {
  encode(out, message) {
    writeBetweenReplicas(out, message);
    out.u32(message.copy);
    out.u8(copyReplyCodes.indexOf(message.code));
    out.u64(message.number);
  },
  decode(from) {
    const between = { arc: readArc(from), fromGeneration: from.u32(), toGeneration: from.u32(), term: from.u64() };
    const copy = from.u32();
    const place = from.u8();
    const code = copyReplyCodes[place];
    if (code === undefined) throw new RemoteProtocolError(`copy reply code ${place}`);
    return { type: 'copyReply', ...between, copy, code, number: from.u64() };
  },
};
