import type { CoreletId } from '../../base/ids.ts';
import type { Codec } from './codec.ts';
import { readArc } from './fields.ts';
import type { Complaint } from './types.ts';

// arc u32 · leader 16 bytes
export const complaintCodec: Codec<Complaint> = {
  encode(out, message) {
    out.u32(message.arc);
    out.id(message.leader);
  },
  decode(from) {
    return { type: 'complaint', arc: readArc(from), leader: from.id() as CoreletId };
  },
};
