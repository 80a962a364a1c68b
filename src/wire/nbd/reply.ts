import { RemoteProtocolError } from '../../base/errors.ts';
import { magics } from './codes.ts';
import { readU16, readU32, writeU16, writeU32, writeU64 } from '../big-endian.ts';

// Heads of replies, written in place into the session's buffer; payloads travel behind them uncopied.

/** Whom a reply answers: the cookie of the request, in halves. */
export interface Cookie {
  readonly cookieHigh: number;
  readonly cookieLow: number;
}

// Simple reply, 16 bytes; a READ's data follows when the error is 0:
//   0  u32  67446698h
//   4  u32  error
//   8  u64  cookie
export const simpleReplyBytes = 16;

export function encodeSimpleReply(bytes: Uint8Array, at: number, error: number, cookie: Cookie): void {
  writeU32(bytes, at, magics.simpleReply);
  writeU32(bytes, at + 4, error);
  writeU32(bytes, at + 8, cookie.cookieHigh);
  writeU32(bytes, at + 12, cookie.cookieLow);
}

// Structured reply chunk, 20 bytes, then `length` bytes of payload:
//   0  u32  668e33efh
//   4  u16  flags (1: the last chunk of this reply)
//   6  u16  type
//   8  u64  cookie
//  16  u32  length
export const chunkHeadBytes = 20;

export function encodeChunkHead(
  bytes: Uint8Array,
  at: number,
  flags: number,
  type: number,
  cookie: Cookie,
  payloadBytes: number,
): void {
  writeU32(bytes, at, magics.structuredReply);
  writeU16(bytes, at + 4, flags);
  writeU16(bytes, at + 6, type);
  writeU32(bytes, at + 8, cookie.cookieHigh);
  writeU32(bytes, at + 12, cookie.cookieLow);
  writeU32(bytes, at + 16, payloadBytes);
}

// Fixed parts of the chunks' payloads:
//   OFFSET_DATA   u64 offset, data
//   OFFSET_HOLE   u64 offset, u32 length
//   BLOCK_STATUS  u32 context id, n × (u32 length, u32 state)
//   ERROR         u32 error, u16 message length, message
export const offsetDataBytes = 8;
export const offsetHoleBytes = 12;
export const blockStatusBytes = 4;
export const extentBytes = 8;
export const errorBytes = 6;

export function encodeOffsetData(bytes: Uint8Array, at: number, offset: number): void {
  writeU64(bytes, at, offset);
}
export function encodeOffsetHole(bytes: Uint8Array, at: number, offset: number, lengthBytes: number): void {
  writeU64(bytes, at, offset);
  writeU32(bytes, at + 8, lengthBytes);
}
export function encodeBlockStatus(bytes: Uint8Array, at: number, contextId: number): void {
  writeU32(bytes, at, contextId);
}
export function encodeExtent(bytes: Uint8Array, at: number, lengthBytes: number, state: number): void {
  writeU32(bytes, at, lengthBytes);
  writeU32(bytes, at + 4, state);
}
export function encodeError(bytes: Uint8Array, at: number, error: number, message: Uint8Array): void {
  writeU32(bytes, at, error);
  writeU16(bytes, at + 4, message.length);
  bytes.set(message, at + 6);
}

export type ReplyHead =
  | { readonly kind: 'simple'; readonly error: number; readonly cookieHigh: number; readonly cookieLow: number }
  | {
      readonly kind: 'chunk';
      readonly flags: number;
      readonly type: number;
      readonly cookieHigh: number;
      readonly cookieLow: number;
      readonly payloadBytes: number;
    };

/**
 * The head at `at`, as a client reads it. @returns `undefined` while bytes are missing.
 * @throws RemoteProtocolError on an unknown magic.
 */
export function decodeReplyHead(bytes: Uint8Array, at: number): ReplyHead | undefined {
  if (bytes.length - at < simpleReplyBytes) return undefined;
  const magic = readU32(bytes, at);
  const cookieHigh = readU32(bytes, at + 8);
  const cookieLow = readU32(bytes, at + 12);
  if (magic === magics.simpleReply) return { kind: 'simple', error: readU32(bytes, at + 4), cookieHigh, cookieLow };
  if (magic !== magics.structuredReply) throw new RemoteProtocolError(`reply with magic ${magic.toString(16)}`);
  if (bytes.length - at < chunkHeadBytes) return undefined;
  return {
    kind: 'chunk',
    flags: readU16(bytes, at + 4),
    type: readU16(bytes, at + 6),
    cookieHigh,
    cookieLow,
    payloadBytes: readU32(bytes, at + 16),
  };
}
