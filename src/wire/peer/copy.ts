import { assert } from '../../base/assert.ts';
import type { Reader, Writer } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { blockBytes, blocksPerChunk } from '../../base/ids.ts';
import type { Codec } from './codec.ts';
import { readArc, readCrcs, readVolume, writeBetweenReplicas, writeCrcs, writeU16 } from './fields.ts';
import { peerLimits } from './limits.ts';
import type { CopyChunk, CopyFinish, CopyOffer, CopyReply } from './types.ts';

// between replicas (20 bytes) · copy u32 · index u64
export const copyOfferCodec: Codec<CopyOffer> = {
  encode(out, message) {
    writeBetweenReplicas(out, message);
    out.u32(message.copy);
    out.u64(message.index);
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
    };
  },
};

// count u16 · block u8 × count, ascending · version u64 × count
function writeBlocks(out: Writer, blocks: Uint16Array, versions: Float64Array): void {
  assert(blocks.length === versions.length && blocks.length <= blocksPerChunk, 'one version per block');
  writeU16(out, blocks.length);
  for (let i = 0; i < blocks.length; i++) out.u8(blocks[i] as number);
  for (let i = 0; i < versions.length; i++) out.u64(versions[i] as number);
}

function readBlocks(from: Reader): Uint16Array {
  const count = from.u16();
  if (count > blocksPerChunk || count * 9 > from.left) throw new RemoteProtocolError(`${count} blocks of a chunk`);
  const blocks = new Uint16Array(count);
  let last = -1;
  for (let i = 0; i < count; i++) {
    const block = from.u8();
    if (block <= last) throw new RemoteProtocolError('block numbers do not ascend');
    blocks[i] = block;
    last = block;
  }
  return blocks;
}

function readVersions(from: Reader, count: number): Float64Array {
  const versions = new Float64Array(count);
  for (let i = 0; i < count; i++) versions[i] = from.u64();
  return versions;
}

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

const copyReplyCodes = ['ready', 'stored', 'done', 'refused'] as const;

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
