import { assert } from '../../base/assert.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { blockBytes, blocksPerChunk } from '../../base/ids.ts';
import type { Codec } from './codec.ts';
import {
  readArc,
  readCrcs,
  readOptionalCorelet,
  readRange,
  readReplyCode,
  writeCrcs,
  writeOptionalCorelet,
  writeRange,
  writeReplyCode,
} from './fields.ts';
import type { ReadReply, ReadRequest } from './types.ts';

// request u32 · arc u32 · epoch u64 · range · mapOnly boolean
export const readCodec: Codec<ReadRequest> = {
  encode(out, message) {
    out.u32(message.request);
    out.u32(message.arc);
    out.u64(message.epoch);
    writeRange(out, message.range);
    out.boolean(message.mapOnly);
  },
  decode(from) {
    return {
      type: 'read',
      request: from.u32(),
      arc: readArc(from),
      epoch: from.u64(),
      range: readRange(from),
      mapOnly: from.boolean(),
    };
  },
};

const presentBytesMax = blocksPerChunk / 8;

function bitCount(bytes: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < bytes.length; i++) {
    for (let bits = bytes[i] as number; bits !== 0; bits &= bits - 1) count++;
  }
  return count;
}

// request u32 · code u8 · leader (1 or 17 bytes) · presentBytes u8 · present · withData boolean ·
// crcs u32 × present blocks if withData · payload 4,096 × present blocks if withData
export const readReplyCodec: Codec<ReadReply> = {
  encode(out, message, payload) {
    const { present, crcs } = message;
    assert(present.length <= presentBytesMax, 'at most a chunk is read');
    assert(crcs.length === 0 || crcs.length === bitCount(present), 'one checksum per present block');
    out.u32(message.request);
    writeReplyCode(out, message.code);
    writeOptionalCorelet(out, message.leader);
    out.u8(present.length);
    out.raw(present);
    out.boolean(crcs.length > 0);
    writeCrcs(out, crcs);
    payload.add(message.data, crcs.length * blockBytes);
  },
  decode(from, payload) {
    const request = from.u32();
    const code = readReplyCode(from);
    const leader = readOptionalCorelet(from);
    const presentBytes = from.u8();
    if (presentBytes > presentBytesMax) throw new RemoteProtocolError(`map of ${presentBytes} bytes`);
    const present = from.raw(presentBytes);
    const blocks = from.boolean() ? bitCount(present) : 0;
    const crcs = readCrcs(from, blocks);
    return { type: 'readReply', request, code, leader, present, crcs, data: payload.pieces(blocks * blockBytes) };
  },
};
