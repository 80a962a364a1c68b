import { RemoteProtocolError } from '../../base/errors.ts';
import { readU16, readU32, writeU16, writeU32 } from '../little-endian.ts';
import { structure, u16, u8 } from './layout.ts';

// DH-HMAC-CHAP (base §8.13.5). Every message begins with
//   0  u8   0: common, 1: this protocol
//   1  u8   which message
//   4  u16  transaction
export const authTypes = { common: 0x00, dhChap: 0x01 } as const;
export const authMessages = {
  negotiate: 0x00,
  challenge: 0x01,
  reply: 0x02,
  success1: 0x03,
  success2: 0x04,
  failure1: 0xf0,
  failure2: 0xf1,
} as const;
/** Why it failed (base figure 452). */
export const authFailures = {
  failed: 1,
  protocolNotUsable: 2,
  concatenation: 3,
  hashNotUsable: 4,
  groupNotUsable: 5,
  payload: 6,
  message: 7,
} as const;
const failed = 1;

export const hashIds = { sha256: 1, sha384: 2, sha512: 3 } as const;
export const hashBytes = { sha256: 32, sha384: 48, sha512: 64 } as const;
/** Bits of the prime of each group; 0: no exchange. */
export const groupBits = [0, 2048, 3072, 4096, 6144, 8192] as const;

/** The longest message: a reply with two digests and the value of the largest group. */
export const authBytesMax = 4096;

export const authHead = structure(6, { type: u8(0), message: u8(1), transaction: u16(4) });

/** Hashes and groups in the host's order of preference. `concatenates`: asks for a secure channel as well. */
export interface Negotiate {
  readonly transaction: number;
  readonly concatenates: boolean;
  readonly hashes: readonly number[];
  readonly groups: readonly number[];
}

const negotiateBytes = 8;
const descriptorBytes = 64;
const listBytes = 30;
const dhChapId = 1;

/** Undefined lists: the protocol isn't offered. @throws RemoteProtocolError */
export function decodeNegotiate(bytes: Uint8Array): Negotiate {
  const count = bytes[7] ?? 0;
  if (bytes.length < negotiateBytes + count * descriptorBytes) throw new RemoteProtocolError('negotiation cut short');
  for (let at = negotiateBytes, left = count; left > 0; left--, at += descriptorBytes) {
    if (bytes[at] !== dhChapId) continue;
    const hashCount = Math.min(bytes[at + 2] as number, listBytes);
    const groupCount = Math.min(bytes[at + 3] as number, listBytes);
    return {
      transaction: readU16(bytes, 4),
      concatenates: bytes[6] !== 0,
      hashes: [...bytes.subarray(at + 4, at + 4 + hashCount)],
      groups: [...bytes.subarray(at + 4 + listBytes, at + 4 + listBytes + groupCount)],
    };
  }
  return { transaction: readU16(bytes, 4), concatenates: bytes[6] !== 0, hashes: [], groups: [] };
}

export interface Challenge {
  readonly transaction: number;
  readonly hash: number;
  readonly group: number;
  readonly sequence: number;
  readonly value: Uint8Array;
  readonly publicValue: Uint8Array;
}

export function encodeChallenge(fields: Challenge): Uint8Array {
  const { transaction, hash, group, sequence, value, publicValue } = fields;
  const bytes = new Uint8Array(16 + value.length + publicValue.length);
  authHead.write(bytes, 0, { type: authTypes.dhChap, message: authMessages.challenge, transaction });
  bytes[6] = value.length;
  bytes[8] = hash;
  bytes[9] = group;
  writeU16(bytes, 10, publicValue.length);
  writeU32(bytes, 12, sequence);
  bytes.set(value, 16);
  bytes.set(publicValue, 16 + value.length);
  return bytes;
}

export interface Reply {
  readonly transaction: number;
  readonly response: Uint8Array;
  /** Undefined: the host wants no proof of ours. */
  readonly challenge: Uint8Array | undefined;
  readonly sequence: number;
  readonly publicValue: Uint8Array;
}

/** `digestBytes`: of the hash that was agreed. @throws RemoteProtocolError */
export function decodeReply(bytes: Uint8Array, digestBytes: number): Reply {
  if (bytes.length < 16 + 2 * digestBytes) throw new RemoteProtocolError('reply cut short');
  const publicBytes = readU16(bytes, 10);
  const publicAt = 16 + 2 * digestBytes;
  if (bytes[6] !== digestBytes || bytes.length < publicAt + publicBytes)
    throw new RemoteProtocolError('reply cut short');
  return {
    transaction: readU16(bytes, 4),
    response: bytes.slice(16, 16 + digestBytes),
    challenge: bytes[8] === 1 ? bytes.slice(16 + digestBytes, publicAt) : undefined,
    sequence: readU32(bytes, 12),
    publicValue: bytes.slice(publicAt, publicAt + publicBytes),
  };
}

/** `response`: our proof, where the host wanted one. */
export function encodeSuccess1(transaction: number, digestBytes: number, response: Uint8Array | undefined): Uint8Array {
  const bytes = new Uint8Array(16 + (response?.length ?? 0));
  authHead.write(bytes, 0, { type: authTypes.dhChap, message: authMessages.success1, transaction });
  bytes[6] = digestBytes;
  bytes[8] = response === undefined ? 0 : 1;
  if (response !== undefined) bytes.set(response, 16);
  return bytes;
}

export function encodeFailure1(transaction: number, reason: number): Uint8Array {
  const bytes = new Uint8Array(8);
  authHead.write(bytes, 0, { type: authTypes.common, message: authMessages.failure1, transaction });
  bytes[6] = failed;
  bytes[7] = reason;
  return bytes;
}
