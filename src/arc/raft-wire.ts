import { assert } from '../base/assert.ts';
import type { ArcId, Generation } from '../base/ids.ts';
import type { RaftMessage } from '../consensus/types.ts';
import type {
  Append,
  AppendReply,
  PeerMessage,
  ReadProbe,
  ReadProbeReply,
  TimeoutNow,
  Vote,
  VoteReply,
} from '../wire/peer/types.ts';
import { type EntryBody, entryFromWire } from './entry.ts';

/** The core's messages as they travel between Corelets: the arc and both generations are added or taken off. */
export type RaftWireMessage = Append | AppendReply | Vote | VoteReply | ReadProbe | ReadProbeReply | TimeoutNow;

/** @throws RemoteProtocolError where an entry's head can't be decoded */
export function raftFromWire(message: RaftWireMessage): RaftMessage<EntryBody> {
  if (message.type !== 'append') return message;
  return {
    type: 'append',
    term: message.term,
    prevIndex: message.prevIndex,
    prevTerm: message.prevTerm,
    commit: message.commit,
    entries: message.entries.map(entryFromWire),
  };
}

/** All but appends with entries, whose data may have to be fetched first (resender.ts). */
export function raftToWire(
  arc: ArcId,
  fromGeneration: Generation,
  toGeneration: Generation,
  message: RaftMessage<EntryBody>,
): PeerMessage {
  if (message.type === 'append') {
    assert(message.entries.length === 0, 'an append with entries goes through the resender');
    return { ...message, entries: [], arc, fromGeneration, toGeneration };
  }
  if (message.type === 'appendReply') {
    // One for every write: named field by field, which costs less than spreading.
    const { type, term, matched, index, hintTerm } = message;
    return { type, arc, fromGeneration, toGeneration, term, matched, index, hintTerm };
  }
  return { ...message, arc, fromGeneration, toGeneration };
}
