import { RemoteProtocolError } from '../../base/errors.ts';
import type { Codec } from './codec.ts';
import type { Liveness } from './types.ts';

// sequence u32 · echo u32 · echoHeldUs u32 · nextMs u32 · answer boolean · wantsTickets boolean · ticketMs f64 · flashWaitMs u32 ·
// viewNumber u64 · ledDigest u32 · syncedBatches u64 · usedBytes u64 · sizeBytes u64 · syncUs u32
export const livenessCodec: Codec<Liveness> = {
  encode(out, message) {
    out.u32(message.sequence);
    out.u32(message.echo);
    out.u32(message.echoHeldUs);
    out.u32(message.nextMs);
    out.boolean(message.answer);
    out.boolean(message.wantsTickets);
    out.f64(message.ticketMs);
    out.u32(message.flashWaitMs);
    out.u64(message.viewNumber);
    out.u32(message.ledDigest);
    out.u64(message.syncedBatches);
    out.u64(message.usedBytes);
    out.u64(message.sizeBytes);
    out.u32(message.syncUs);
  },
  decode(from) {
    const sequence = from.u32();
    const echo = from.u32();
    const echoHeldUs = from.u32();
    const nextMs = from.u32();
    const answer = from.boolean();
    const wantsTickets = from.boolean();
    const ticketMs = from.f64();
    if (!(ticketMs >= 0 && ticketMs < Number.POSITIVE_INFINITY)) throw new RemoteProtocolError(`ticket at ${ticketMs}`);
    return {
      type: 'liveness',
      sequence,
      echo,
      echoHeldUs,
      nextMs,
      answer,
      wantsTickets,
      ticketMs,
      flashWaitMs: from.u32(),
      viewNumber: from.u64(),
      ledDigest: from.u32(),
      syncedBatches: from.u64(),
      usedBytes: from.u64(),
      sizeBytes: from.u64(),
      syncUs: from.u32(),
    };
  },
};
