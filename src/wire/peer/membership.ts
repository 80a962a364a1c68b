import { assert } from '../../base/assert.ts';
import type { Codec } from './codec.ts';
import { peerLimits } from './limits.ts';
import type { Membership } from './types.ts';

// bodyBytes u32 · body, opaque here: wire/membership decodes it
export const membershipCodec: Codec<Membership> = {
  encode(out, message) {
    assert(message.body.length <= peerLimits.membershipBytesMax, 'membership body too long');
    out.blob(message.body);
  },
  decode(from) {
    return { type: 'membership', body: from.blob(peerLimits.membershipBytesMax) };
  },
};
