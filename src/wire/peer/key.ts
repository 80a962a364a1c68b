import { assert } from '../../base/assert.ts';
import type { Codec } from './codec.ts';
import {
  readArc,
  readOptionalCorelet,
  readReplyCode,
  writeKey,
  writeOptionalCorelet,
  writeReplyCode,
} from './fields.ts';
import { peerLimits } from './limits.ts';
import type { KeyEntry, KeyReply, KeyRequest } from './types.ts';

// request u32 · arc u32 · key text · prefix boolean
export const keyReadCodec: Codec<KeyRequest> = {
  encode(out, message) {
    out.u32(message.request);
    out.u32(message.arc);
    writeKey(out, message.key);
    out.boolean(message.prefix);
  },
  decode(from) {
    return {
      type: 'keyRead',
      request: from.u32(),
      arc: readArc(from),
      key: from.text(peerLimits.keyBytesMax),
      prefix: from.boolean(),
    };
  },
};

/** Lengths of key and value, version. */
const entryBytesMin = 14;

// request u32 · code u8 · leader (1 or 17 bytes) · entries u32 · (key text · version u64 · valueBytes u32 · value) × entries
export const keyReplyCodec: Codec<KeyReply> = {
  encode(out, message) {
    assert(message.entries.length <= peerLimits.keyEntriesMax, 'too many keys in one reply');
    out.u32(message.request);
    writeReplyCode(out, message.code);
    writeOptionalCorelet(out, message.leader);
    out.u32(message.entries.length);
    for (const entry of message.entries) {
      assert(entry.value.length <= peerLimits.valueBytesMax, 'value too long');
      writeKey(out, entry.key);
      out.u64(entry.version);
      out.blob(entry.value);
    }
  },
  decode(from) {
    const request = from.u32();
    const code = readReplyCode(from);
    const leader = readOptionalCorelet(from);
    const count = from.count(peerLimits.keyEntriesMax, entryBytesMin);
    const entries: KeyEntry[] = [];
    for (let i = 0; i < count; i++) {
      entries.push({
        key: from.text(peerLimits.keyBytesMax),
        version: from.u64(),
        value: from.blob(peerLimits.valueBytesMax),
      });
    }
    return { type: 'keyReply', request, code, leader, entries };
  },
};
