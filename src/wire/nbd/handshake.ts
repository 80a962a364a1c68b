import { RemoteProtocolError } from '../../base/errors.ts';
import { handshakeFlags, magics } from './codes.ts';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../big-endian.ts';

// Greeting, server to client, 18 bytes:
//   0  u64  NBDMAGIC
//   8  u64  IHAVEOPT
//  16  u16  handshake flags
export const greetingBytes = 18;

export function encodeGreeting(): Uint8Array {
  const bytes = new Uint8Array(greetingBytes);
  writeU32(bytes, 0, magics.greetingHigh);
  writeU32(bytes, 4, magics.greetingLow);
  writeU32(bytes, 8, magics.optionHigh);
  writeU32(bytes, 12, magics.optionLow);
  writeU16(bytes, 16, handshakeFlags.fixedNewstyle | handshakeFlags.noZeroes);
  return bytes;
}

/** @returns the server's handshake flags. @throws RemoteProtocolError on another magic or length. */
export function decodeGreeting(bytes: Uint8Array): number {
  if (bytes.length !== greetingBytes) throw new RemoteProtocolError(`greeting of ${bytes.length} bytes`);
  if (readU32(bytes, 0) !== magics.greetingHigh || readU32(bytes, 4) !== magics.greetingLow)
    throw new RemoteProtocolError('greeting without NBDMAGIC');
  if (readU32(bytes, 8) !== magics.optionHigh || readU32(bytes, 12) !== magics.optionLow)
    throw new RemoteProtocolError('not a newstyle server');
  return readU16(bytes, 16);
}

// The client's answer, 4 bytes: u32 flags.
export const clientFlagsBytes = 4;

export interface ClientFlags {
  readonly fixedNewstyle: boolean;
  readonly noZeroes: boolean;
}

export function encodeClientFlags(flags: ClientFlags): Uint8Array {
  const bytes = new Uint8Array(clientFlagsBytes);
  const fixed = flags.fixedNewstyle ? handshakeFlags.fixedNewstyle : 0;
  writeU32(bytes, 0, fixed | (flags.noZeroes ? handshakeFlags.noZeroes : 0));
  return bytes;
}

/** @throws RemoteProtocolError on a flag that the server didn't offer: the connection must be dropped. */
export function decodeClientFlags(bytes: Uint8Array, at: number): ClientFlags {
  const flags = readU32(bytes, at);
  if ((flags & ~(handshakeFlags.fixedNewstyle | handshakeFlags.noZeroes)) !== 0)
    throw new RemoteProtocolError(`unknown client flags ${flags.toString(16)}`);
  return {
    fixedNewstyle: (flags & handshakeFlags.fixedNewstyle) !== 0,
    noZeroes: (flags & handshakeFlags.noZeroes) !== 0,
  };
}

// Answer to EXPORT_NAME, 10 bytes, or 134 with the padding that NO_ZEROES takes away:
//   0  u64  size in bytes
//   8  u16  transmission flags
//  10  124 zeros
const exportPaddingBytes = 124;

export interface ExportFields {
  readonly sizeBytes: number;
  readonly flags: number;
}

export function encodeExport(fields: ExportFields, noZeroes: boolean): Uint8Array {
  const bytes = new Uint8Array(noZeroes ? 10 : 10 + exportPaddingBytes);
  writeU64(bytes, 0, fields.sizeBytes);
  writeU16(bytes, 8, fields.flags);
  return bytes;
}

/** @throws RemoteProtocolError on another length. */
export function decodeExport(bytes: Uint8Array): ExportFields {
  if (bytes.length !== 10 && bytes.length !== 10 + exportPaddingBytes)
    throw new RemoteProtocolError(`export of ${bytes.length} bytes`);
  return { sizeBytes: readU64(bytes, 0), flags: readU16(bytes, 8) };
}
