import { RemoteProtocolError } from '../../base/errors.ts';
import { magics } from './codes.ts';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../big-endian.ts';

// Request, client to server, 28 bytes; a WRITE's payload of `length` bytes follows:
//   0  u32  25609513h
//   4  u16  command flags
//   6  u16  command
//   8  u64  cookie, returned in the reply
//  16  u64  offset
//  24  u32  length
export const requestBytes = 28;

/** Mutable, so that one object serves many requests. */
export interface RequestFields {
  flags: number;
  command: number;
  cookieHigh: number;
  cookieLow: number;
  /** As `readU64`: exact below 2^53, else only comparable. */
  offset: number;
  lengthBytes: number;
}

export function encodeRequest(fields: RequestFields): Uint8Array {
  const bytes = new Uint8Array(requestBytes);
  writeU32(bytes, 0, magics.request);
  writeU16(bytes, 4, fields.flags);
  writeU16(bytes, 6, fields.command);
  writeU32(bytes, 8, fields.cookieHigh);
  writeU32(bytes, 12, fields.cookieLow);
  writeU64(bytes, 16, fields.offset);
  writeU32(bytes, 24, fields.lengthBytes);
  return bytes;
}

/** Fills `into`. @throws RemoteProtocolError on another magic: the stream is out of step, the connection must be dropped. */
export function decodeRequest(bytes: Uint8Array, at: number, into: RequestFields): void {
  if (readU32(bytes, at) !== magics.request) throw new RemoteProtocolError('request without its magic');
  into.flags = readU16(bytes, at + 4);
  into.command = readU16(bytes, at + 6);
  into.cookieHigh = readU32(bytes, at + 8);
  into.cookieLow = readU32(bytes, at + 12);
  into.offset = readU64(bytes, at + 16);
  into.lengthBytes = readU32(bytes, at + 24);
}
