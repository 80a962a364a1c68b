import type { Reader, Writer } from '../../base/bytes.ts';
import {
  ballotBytes,
  decisionSize,
  decodeBallot,
  decodeDecision,
  decodeDelta,
  deltaSize,
  encodeBallot,
  encodeDecision,
  encodeDelta,
} from './parts.ts';
import type { Accept, Accepted, AcceptedValue, Decided, Prepare, Promised, Refusal, Vote } from './types.ts';

// prepare: number u64, ballot
export const prepare = {
  size: (): number => 8 + ballotBytes,
  encode(to: Writer, message: Prepare): void {
    to.u64(message.number);
    encodeBallot(to, message.ballot);
  },
  decode: (from: Reader): Prepare => ({ type: 'prepare', number: from.u64(), ballot: decodeBallot(from) }),
};

// accepted value, optional: present u8, then ballot, decision. Part of the persisted register too.
export function acceptedValueSize(value: AcceptedValue | undefined): number {
  return value === undefined ? 1 : 1 + ballotBytes + decisionSize(value.decision);
}
export function encodeAcceptedValue(to: Writer, value: AcceptedValue | undefined): void {
  to.boolean(value !== undefined);
  if (value === undefined) return;
  encodeBallot(to, value.ballot);
  encodeDecision(to, value.decision);
}
export function decodeAcceptedValue(from: Reader): AcceptedValue | undefined {
  return from.boolean() ? { ballot: decodeBallot(from), decision: decodeDecision(from) } : undefined;
}

// promise: number u64, ballot, accepted value
export const promise = {
  size: (message: Promised): number => 8 + ballotBytes + acceptedValueSize(message.accepted),
  encode(to: Writer, message: Promised): void {
    to.u64(message.number);
    encodeBallot(to, message.ballot);
    encodeAcceptedValue(to, message.accepted);
  },
  decode: (from: Reader): Promised => ({
    type: 'promise',
    number: from.u64(),
    ballot: decodeBallot(from),
    accepted: decodeAcceptedValue(from),
  }),
};

// refusal: number u64, ballot, promised ballot
export const refusal = {
  size: (): number => 8 + 2 * ballotBytes,
  encode(to: Writer, message: Refusal): void {
    to.u64(message.number);
    encodeBallot(to, message.ballot);
    encodeBallot(to, message.promised);
  },
  decode: (from: Reader): Refusal => ({
    type: 'refusal',
    number: from.u64(),
    ballot: decodeBallot(from),
    promised: decodeBallot(from),
  }),
};

// accept: ballot, decision
export const accept = {
  size: (message: Accept): number => ballotBytes + decisionSize(message.decision),
  encode(to: Writer, message: Accept): void {
    encodeBallot(to, message.ballot);
    encodeDecision(to, message.decision);
  },
  decode: (from: Reader): Accept => ({ type: 'accept', ballot: decodeBallot(from), decision: decodeDecision(from) }),
};

// accepted: number u64, ballot
export const accepted = {
  size: (): number => 8 + ballotBytes,
  encode(to: Writer, message: Accepted): void {
    to.u64(message.number);
    encodeBallot(to, message.ballot);
  },
  decode: (from: Reader): Accepted => ({ type: 'accepted', number: from.u64(), ballot: decodeBallot(from) }),
};

// decided: ballot, decision
export const decided = {
  size: (message: Decided): number => ballotBytes + decisionSize(message.decision),
  encode(to: Writer, message: Decided): void {
    encodeBallot(to, message.ballot);
    encodeDecision(to, message.decision);
  },
  decode: (from: Reader): Decided => ({ type: 'decided', ballot: decodeBallot(from), decision: decodeDecision(from) }),
};

// vote: number u64, delta
export const vote = {
  size: (message: Vote): number => 8 + deltaSize(message.delta),
  encode(to: Writer, message: Vote): void {
    to.u64(message.number);
    encodeDelta(to, message.delta);
  },
  decode: (from: Reader): Vote => ({ type: 'vote', number: from.u64(), delta: decodeDelta(from) }),
};
