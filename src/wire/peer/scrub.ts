import { assert } from '../../base/assert.ts';
import type { Reader, Writer } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import type { LogIndex, VolumeId } from '../../base/ids.ts';
import { readBlocks, readVersions, writeBlocks } from './chunk-blocks.ts';
import type { Codec } from './codec.ts';
import { readArc, readCrcs, readVolume, writeBetweenReplicas, writeCrcs } from './fields.ts';
import type { BetweenReplicas } from './types.ts';

/** What a replica's map says of one chunk: of blocks never written, nothing. */
export interface ChunkHoldings {
  readonly blocks: Uint16Array;
  readonly versions: Float64Array;
  readonly crcs: Uint32Array;
  /** Emptied by a trim, at these versions. */
  readonly emptyBlocks: Uint16Array;
  readonly emptyVersions: Float64Array;
}

/** A leader's question to another voter: is this chunk the same there (design §6, §10.8)? */
export interface Scrub extends BetweenReplicas {
  readonly type: 'scrub';
  readonly request: number; // u32
  readonly volume: VolumeId;
  readonly layer: number;
  readonly chunk: number;
  /** The leader has applied this much, and nothing newer is in the chunk. */
  readonly index: LogIndex;
  /** Over number, version and CRC of all blocks that hold something. */
  readonly digest: number; // u32
  /** With holdings: what the receiver lacks of them, it shall bring. */
  readonly holdings: ChunkHoldings | undefined;
}

export interface ScrubReply extends BetweenReplicas {
  readonly type: 'scrubReply';
  readonly request: number;
  /** `later`: not at that index yet, or beyond it in this chunk · `differs`: with what the map here says. */
  readonly code: 'same' | 'differs' | 'later';
  readonly holdings: ChunkHoldings | undefined;
}

const replyCodes = ['same', 'differs', 'later'] as const;

// blocks · crc u32 × blocks · empty blocks
function writeHoldings(out: Writer, holdings: ChunkHoldings | undefined): void {
  out.boolean(holdings !== undefined);
  if (holdings === undefined) return;
  assert(holdings.crcs.length === holdings.blocks.length, 'one checksum per block');
  writeBlocks(out, holdings.blocks, holdings.versions);
  writeCrcs(out, holdings.crcs);
  writeBlocks(out, holdings.emptyBlocks, holdings.emptyVersions);
}

function readHoldings(from: Reader): ChunkHoldings | undefined {
  if (!from.boolean()) return undefined;
  const blocks = readBlocks(from);
  const versions = readVersions(from, blocks.length);
  const crcs = readCrcs(from, blocks.length);
  const emptyBlocks = readBlocks(from);
  return { blocks, versions, crcs, emptyBlocks, emptyVersions: readVersions(from, emptyBlocks.length) };
}

// between replicas (20 bytes) · request u32 · volume u64 · layer u32 · chunk u64 · index u64 · digest u32 · holdings
export const scrubCodec: Codec<Scrub> = {
  encode(out, message) {
    writeBetweenReplicas(out, message);
    out.u32(message.request);
    out.u64(message.volume);
    out.u32(message.layer);
    out.u64(message.chunk);
    out.u64(message.index);
    out.u32(message.digest);
    writeHoldings(out, message.holdings);
  },
  decode(from) {
    const between = { arc: readArc(from), fromGeneration: from.u32(), toGeneration: from.u32(), term: from.u64() };
    const request = from.u32();
    const place = { volume: readVolume(from), layer: from.u32(), chunk: from.u64() };
    const as = { index: from.u64(), digest: from.u32() };
    return { type: 'scrub', ...between, request, ...place, ...as, holdings: readHoldings(from) };
  },
};

// between replicas (20 bytes) · request u32 · code u8 · holdings
export const scrubReplyCodec: Codec<ScrubReply> = {
  encode(out, message) {
    writeBetweenReplicas(out, message);
    out.u32(message.request);
    out.u8(replyCodes.indexOf(message.code));
    writeHoldings(out, message.holdings);
  },
  decode(from) {
    const between = { arc: readArc(from), fromGeneration: from.u32(), toGeneration: from.u32(), term: from.u64() };
    const request = from.u32();
    const place = from.u8();
    const code = replyCodes[place];
    if (code === undefined) throw new RemoteProtocolError(`scrub reply code ${place}`);
    return { type: 'scrubReply', ...between, request, code, holdings: readHoldings(from) };
  },
};
