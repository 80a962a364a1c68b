import type { Codec } from './codec.ts';
import type { Liveness } from './types.ts';

// sequence u32 · viewNumber u64 · ledDigest u32 · syncedBatches u64 · usedBytes u64 · sizeBytes u64
export const livenessCodec: Codec<Liveness> = {
  encode(out, message) {
    out.u32(message.sequence);
    out.u64(message.viewNumber);
    out.u32(message.ledDigest);
    out.u64(message.syncedBatches);
    out.u64(message.usedBytes);
    out.u64(message.sizeBytes);
  },
  decode(from) {
    return {
      type: 'liveness',
      sequence: from.u32(),
      viewNumber: from.u64(),
      ledDigest: from.u32(),
      syncedBatches: from.u64(),
      usedBytes: from.u64(),
      sizeBytes: from.u64(),
    };
  },
};
