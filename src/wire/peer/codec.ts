import type { Reader, Writer } from '../../base/bytes.ts';
import type { PayloadSink, PayloadSource } from './payload.ts';
import type { PeerMessage } from './types.ts';

export type PeerMessageType = PeerMessage['type'];
export type MessageOf<Type extends PeerMessageType> = Extract<PeerMessage, { type: Type }>;

/**
 * One message's layout. `encode` appends its fields and hands its payload to `payload`; `decode` is the inverse and
 * checks every field. Byte views in a decoded message point into what was received: nobody writes there again.
 */
export interface Codec<Message> {
  encode(out: Writer, message: Message, payload: PayloadSink): void;
  /** @throws RemoteProtocolError on any field outside its range. */
  decode(from: Reader, payload: PayloadSource): Message;
}
