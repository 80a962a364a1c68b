import { assert } from '../../base/assert.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { blockBytes, type LogIndex, type VolumeId } from '../../base/ids.ts';
import { readBlocks, readVersions, writeBlocks } from './chunk-blocks.ts';
import type { Codec } from './codec.ts';
import { readArc, readCrcs, readVolume, writeBetweenReplicas, writeCrcs } from './fields.ts';
import type { BetweenReplicas } from './types.ts';

/** Blocks of one chunk that the sender can't read from its own flash: asked of another replica (design §3, INV-7). */
export interface Fetch extends BetweenReplicas {
  readonly type: 'fetch';
  readonly request: number; // u32
  readonly volume: VolumeId;
  readonly layer: number;
  readonly chunk: number;
  /** The receiver must have applied the arc up to here, or its answer says nothing of what was written. */
  readonly floor: LogIndex;
  readonly blocks: Uint16Array;
  /** The version wanted of each; 0 where the sender doesn't know it any more. */
  readonly versions: Float64Array;
}

/** What of it the receiver holds and has verified. A block that is in neither list it can't give at that version. */
export interface FetchReply extends BetweenReplicas {
  readonly type: 'fetchReply';
  readonly request: number;
  /** `behind`: not applied up to `floor` yet · `none`: not here, or of another life, or too much asked at once. */
  readonly code: 'ok' | 'behind' | 'none';
  readonly blocks: Uint16Array;
  readonly versions: Float64Array;
  readonly crcs: Uint32Array;
  /** Blocks that hold nothing, as of these versions (0: never written). */
  readonly emptyBlocks: Uint16Array;
  readonly emptyVersions: Float64Array;
  readonly data: readonly Uint8Array[];
}

const replyCodes = ['ok', 'behind', 'none'] as const;

// between replicas (20 bytes) · request u32 · volume u64 · layer u32 · chunk u64 · floor u64 · blocks
export const fetchCodec: Codec<Fetch> = {
  encode(out, message) {
    writeBetweenReplicas(out, message);
    out.u32(message.request);
    out.u64(message.volume);
    out.u32(message.layer);
    out.u64(message.chunk);
    out.u64(message.floor);
    writeBlocks(out, message.blocks, message.versions);
  },
  decode(from) {
    const between = { arc: readArc(from), fromGeneration: from.u32(), toGeneration: from.u32(), term: from.u64() };
    const request = from.u32();
    const place = { volume: readVolume(from), layer: from.u32(), chunk: from.u64() };
    const floor = from.u64();
    const blocks = readBlocks(from);
    return { type: 'fetch', ...between, request, ...place, floor, blocks, versions: readVersions(from, blocks.length) };
  },
};

// between replicas (20 bytes) · request u32 · code u8 · blocks · crc u32 × blocks · empty blocks · payload 4,096 × blocks
export const fetchReplyCodec: Codec<FetchReply> = {
  encode(out, message, payload) {
    assert(message.crcs.length === message.blocks.length, 'one checksum per block');
    writeBetweenReplicas(out, message);
    out.u32(message.request);
    out.u8(replyCodes.indexOf(message.code));
    writeBlocks(out, message.blocks, message.versions);
    writeCrcs(out, message.crcs);
    writeBlocks(out, message.emptyBlocks, message.emptyVersions);
    payload.add(message.data, message.blocks.length * blockBytes);
  },
  decode(from, payload) {
    const between = { arc: readArc(from), fromGeneration: from.u32(), toGeneration: from.u32(), term: from.u64() };
    const request = from.u32();
    const place = from.u8();
    const code = replyCodes[place];
    if (code === undefined) throw new RemoteProtocolError(`fetch reply code ${place}`);
    const blocks = readBlocks(from);
    const versions = readVersions(from, blocks.length);
    const crcs = readCrcs(from, blocks.length);
    const emptyBlocks = readBlocks(from);
    const emptyVersions = readVersions(from, emptyBlocks.length);
    const data = payload.pieces(blocks.length * blockBytes);
    const held = { blocks, versions, crcs, emptyBlocks, emptyVersions, data };
    return { type: 'fetchReply', ...between, request, code, ...held };
  },
};
