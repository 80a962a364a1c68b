import { appendCodec, appendReplyCodec } from './append.ts';
import type { Codec, MessageOf, PeerMessageType } from './codec.ts';
import { complaintCodec } from './complaint.ts';
import { copyCheckCodec, copyChunkCodec, copyFinishCodec, copyOfferCodec, copyReplyCodec } from './copy.ts';
import { fetchCodec, fetchReplyCodec } from './fetch.ts';
import { keyReadCodec, keyReplyCodec } from './key.ts';
import { livenessCodec } from './liveness.ts';
import { membershipCodec } from './membership.ts';
import { opCodec, opReplyCodec } from './op.ts';
import { answerCodec, questionCodec } from './question.ts';
import { readProbeCodec, readProbeReplyCodec } from './read-probe.ts';
import { readCodec, readReplyCodec } from './read.ts';
import { relayCodec } from './relay.ts';
import { retireCodec, routesCodec } from './routes.ts';
import type { PeerMessage } from './types.ts';
import { quarantineCodec } from './quarantine.ts';
import { scrubCodec, scrubReplyCodec } from './scrub.ts';
import { timeoutNowCodec, voteCodec, voteReplyCodec } from './vote.ts';

/** Lane numbers as in ports/fabric.ts, which this folder may not import; a test holds them equal. */
export const peerLanes = { liveness: 0, host: 1, heal: 2 } as const;
export type PeerLane = (typeof peerLanes)[keyof typeof peerLanes];

export interface CodeRow<Message = PeerMessage> {
  /** Its number on the wire; never given to another message. */
  readonly code: number;
  readonly lane: PeerLane;
  readonly codec: Codec<Message>;
}

const { liveness, host, heal } = peerLanes;

export const codes: { readonly [Type in PeerMessageType]: CodeRow<MessageOf<Type>> } = {
  liveness: { code: 1, lane: liveness, codec: livenessCodec },
  membership: { code: 2, lane: liveness, codec: membershipCodec },
  append: { code: 16, lane: host, codec: appendCodec },
  appendReply: { code: 17, lane: host, codec: appendReplyCodec },
  vote: { code: 18, lane: host, codec: voteCodec },
  voteReply: { code: 19, lane: host, codec: voteReplyCodec },
  readProbe: { code: 20, lane: host, codec: readProbeCodec },
  readProbeReply: { code: 21, lane: host, codec: readProbeReplyCodec },
  timeoutNow: { code: 22, lane: host, codec: timeoutNowCodec },
  op: { code: 32, lane: host, codec: opCodec },
  opReply: { code: 33, lane: host, codec: opReplyCodec },
  read: { code: 34, lane: host, codec: readCodec },
  readReply: { code: 35, lane: host, codec: readReplyCodec },
  keyRead: { code: 36, lane: host, codec: keyReadCodec },
  keyReply: { code: 37, lane: host, codec: keyReplyCodec },
  complaint: { code: 38, lane: host, codec: complaintCodec },
  relay: { code: 39, lane: host, codec: relayCodec },
  fetch: { code: 41, lane: host, codec: fetchCodec },
  fetchReply: { code: 42, lane: host, codec: fetchReplyCodec },
  routes: { code: 48, lane: host, codec: routesCodec },
  retire: { code: 49, lane: host, codec: retireCodec },
  question: { code: 50, lane: host, codec: questionCodec },
  answer: { code: 51, lane: host, codec: answerCodec },
  copyOffer: { code: 64, lane: heal, codec: copyOfferCodec },
  copyChunk: { code: 65, lane: heal, codec: copyChunkCodec },
  copyFinish: { code: 66, lane: heal, codec: copyFinishCodec },
  // In order with `appendReply`: that one has no state is no news once it has acknowledged entries (INV-10).
  copyReply: { code: 67, lane: host, codec: copyReplyCodec },
  copyCheck: { code: 68, lane: heal, codec: copyCheckCodec },
  scrub: { code: 69, lane: heal, codec: scrubCodec },
  scrubReply: { code: 70, lane: heal, codec: scrubReplyCodec },
  quarantine: { code: 71, lane: heal, codec: quarantineCodec },
};

const rowOfCode: (CodeRow | undefined)[] = Array.from({ length: 256 });
// The table's type ties each row to its message; a lookup by a run-time value can't carry that tie.
for (const row of Object.values(codes)) rowOfCode[row.code] = row as unknown as CodeRow;

/** The row of a message: its code, lane and codec. */
export function rowFor(message: PeerMessage): CodeRow {
  return codes[message.type] as unknown as CodeRow;
}

/** The row of a code from the wire; undefined where no message has it. */
export function rowAt(code: number): CodeRow | undefined {
  return rowOfCode[code];
}

/** The lane follows from the message's type. */
export function laneOf(message: PeerMessage): PeerLane {
  return codes[message.type].lane;
}
