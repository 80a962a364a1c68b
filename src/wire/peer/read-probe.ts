import type { Codec } from './codec.ts';
import { readArc, writeBetweenReplicas } from './fields.ts';
import type { ReadProbe, ReadProbeReply } from './types.ts';

// between replicas (20 bytes) · context u32
export const readProbeCodec: Codec<ReadProbe> = {
  encode(out, message) {
    writeBetweenReplicas(out, message);
    out.u32(message.context);
  },
  decode(from) {
    return {
      type: 'readProbe',
      arc: readArc(from),
      fromGeneration: from.u32(),
      toGeneration: from.u32(),
      term: from.u64(),
      context: from.u32(),
    };
  },
};

// between replicas (20 bytes) · context u32
export const readProbeReplyCodec: Codec<ReadProbeReply> = {
  encode(out, message) {
    writeBetweenReplicas(out, message);
    out.u32(message.context);
  },
  decode(from) {
    return {
      type: 'readProbeReply',
      arc: readArc(from),
      fromGeneration: from.u32(),
      toGeneration: from.u32(),
      term: from.u64(),
      context: from.u32(),
    };
  },
};
