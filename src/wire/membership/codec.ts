import { Reader, Writer } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { accept, accepted, decided, prepare, promise, refusal, vote } from './agreement.ts';
import { alert, ask, join, leave, wish } from './news.ts';
import { type MembershipMessage, membershipFormat } from './types.ts';

interface Codec<Message> {
  readonly size: (message: Message) => number;
  readonly encode: (to: Writer, message: Message) => void;
  readonly decode: (from: Reader) => Message;
}
type Codecs = { readonly [Type in MembershipMessage['type']]: Codec<Extract<MembershipMessage, { type: Type }>> };

const codecs: Codecs = { alert, join, leave, ask, prepare, promise, refusal, accept, accepted, decided, wish, vote };

/** A kind's number is its position: append only. */
const kinds = [
  'alert',
  'join',
  'leave',
  'ask',
  'prepare',
  'promise',
  'refusal',
  'accept',
  'accepted',
  'decided',
  'wish',
  'vote',
] as const satisfies readonly MembershipMessage['type'][];

function codecOf(type: MembershipMessage['type']): Codec<MembershipMessage> {
  return codecs[type] as unknown as Codec<MembershipMessage>; // the table pairs every type with its own codec
}

/** Bytes that `encodeMembership` will make. */
export function membershipSize(message: MembershipMessage): number {
  return 2 + codecOf(message.type).size(message);
}

export function encodeMembership(message: MembershipMessage): Uint8Array {
  const to = new Writer(membershipSize(message));
  to.u8(membershipFormat);
  to.u8(kinds.indexOf(message.type));
  codecOf(message.type).encode(to, message);
  return to.written();
}

/** @throws RemoteProtocolError where the body isn't a membership message of a format that we know. */
export function decodeMembership(body: Uint8Array): MembershipMessage {
  const from = new Reader(body);
  const format = from.u8();
  if (format !== membershipFormat) throw new RemoteProtocolError(`membership format ${format}`);
  const code = from.u8();
  const kind = kinds[code];
  if (kind === undefined) throw new RemoteProtocolError(`membership message of kind ${code}`);
  const message = codecOf(kind).decode(from);
  from.done();
  return message;
}
