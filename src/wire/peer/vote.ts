import type { Codec } from './codec.ts';
import { readArc, writeBetweenReplicas } from './fields.ts';
import type { TimeoutNow, Vote, VoteReply } from './types.ts';

// between replicas (20 bytes) · lastIndex u64 · lastTerm u64 · pre boolean · transfer boolean
export const voteCodec: Codec<Vote> = {
  encode(out, message) {
    writeBetweenReplicas(out, message);
    out.u64(message.lastIndex);
    out.u64(message.lastTerm);
    out.boolean(message.pre);
    out.boolean(message.transfer);
  },
  decode(from) {
    return {
      type: 'vote',
      arc: readArc(from),
      fromGeneration: from.u32(),
      toGeneration: from.u32(),
      term: from.u64(),
      lastIndex: from.u64(),
      lastTerm: from.u64(),
      pre: from.boolean(),
      transfer: from.boolean(),
    };
  },
};

// between replicas (20 bytes) · pre boolean · granted boolean
export const voteReplyCodec: Codec<VoteReply> = {
  encode(out, message) {
    writeBetweenReplicas(out, message);
    out.boolean(message.pre);
    out.boolean(message.granted);
  },
  decode(from) {
    return {
      type: 'voteReply',
      arc: readArc(from),
      fromGeneration: from.u32(),
      toGeneration: from.u32(),
      term: from.u64(),
      pre: from.boolean(),
      granted: from.boolean(),
    };
  },
};

// between replicas (20 bytes)
export const timeoutNowCodec: Codec<TimeoutNow> = {
  encode(out, message) {
    writeBetweenReplicas(out, message);
  },
  decode(from) {
    return {
      type: 'timeoutNow',
      arc: readArc(from),
      fromGeneration: from.u32(),
      toGeneration: from.u32(),
      term: from.u64(),
    };
  },
};
