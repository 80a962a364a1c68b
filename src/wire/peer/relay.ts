import { RemoteProtocolError } from '../../base/errors.ts';
import type { CoreletId } from '../../base/ids.ts';
import type { Codec } from './codec.ts';
import { keyReadCodec } from './key.ts';
import { opCodec } from './op.ts';
import { readCodec } from './read.ts';
import type { KeyRequest, OpRequest, ReadRequest } from './types.ts';

/**
 * To a voter that still follows the leader: please ask it for me, I can't reach it. Goes on as an ordinary question of the
 * voter's, so it can't be relayed again; the answer comes back with the asker's request number (design §3, story 17).
 */
export interface Relay {
  readonly type: 'relay';
  readonly leader: CoreletId;
  readonly question: OpRequest | ReadRequest | KeyRequest;
}

const kinds = { op: 0, read: 1, keyRead: 2 } as const;

// leader 16 bytes · kind u8 (0 op, 1 read, 2 keyRead) · that message's fields and payload
export const relayCodec: Codec<Relay> = {
  encode(out, message, payload) {
    const { question } = message;
    out.id(message.leader);
    out.u8(kinds[question.type]);
    if (question.type === 'op') opCodec.encode(out, question, payload);
    else if (question.type === 'read') readCodec.encode(out, question, payload);
    else keyReadCodec.encode(out, question, payload);
  },
  decode(from, payload) {
    const leader = from.id() as CoreletId;
    const kind = from.u8();
    if (kind === kinds.op) return { type: 'relay', leader, question: opCodec.decode(from, payload) };
    if (kind === kinds.read) return { type: 'relay', leader, question: readCodec.decode(from, payload) };
    if (kind === kinds.keyRead) return { type: 'relay', leader, question: keyReadCodec.decode(from, payload) };
    throw new RemoteProtocolError(`relay of kind ${kind}`);
  },
};
