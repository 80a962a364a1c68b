import { RemoteProtocolError } from '../../base/errors.ts';
import { readU16, readU32, writeU16, writeU32 } from '../little-endian.ts';
import { structure, u16, u32, u8 } from './layout.ts';

// NVMe/TCP transport §3.6. Every PDU begins with
//   0  u8   type
//   1  u8   flags
//   2  u8   hlen: length of the header without its digest
//   3  u8   pdo: where the data begins
//   4  u32  plen: length of all, digests too
export const commonHeaderBytes = 8;
export const digestBytes = 4;

export const pduTypes = {
  icReq: 0x00,
  icResp: 0x01,
  h2cTerm: 0x02,
  c2hTerm: 0x03,
  command: 0x04,
  response: 0x05,
  h2cData: 0x06,
  c2hData: 0x07,
  r2t: 0x09,
} as const;
export const pduFlags = { headerDigest: 1, dataDigest: 2, last: 4, success: 8 } as const;

/** Mutable, so that one object serves all PDUs of a connection. */
export interface PduHeader {
  type: number;
  flags: number;
  hlen: number;
  pdo: number;
  plen: number;
}

export function decodePduHeader(bytes: Uint8Array, at: number, into: PduHeader): void {
  if (bytes.length - at < commonHeaderBytes) throw new RemoteProtocolError('a PDU header is cut short');
  into.type = bytes[at] as number;
  into.flags = bytes[at + 1] as number;
  into.hlen = bytes[at + 2] as number;
  into.pdo = bytes[at + 3] as number;
  into.plen = readU32(bytes, at + 4);
}

export function encodePduHeader(bytes: Uint8Array, at: number, header: Readonly<PduHeader>): void {
  bytes[at] = header.type;
  bytes[at + 1] = header.flags;
  bytes[at + 2] = header.hlen;
  bytes[at + 3] = header.pdo;
  writeU32(bytes, at + 4, header.plen);
}

/** In `ICReq` and `ICResp`: which digests. */
export const digestFlags = { header: 1, data: 2 } as const;
export const connectionPduBytes = 128;

/** Initialize Connection Request. `hpda`: where data for the host begins, as a multiple of 4 bytes, 0's based; `maxR2t` is 0's based too. */
export const icReqPdu = structure(connectionPduBytes, { pfv: u16(8), hpda: u8(10), digests: u8(11), maxR2t: u32(12) });
export const icRespPdu = structure(connectionPduBytes, {
  pfv: u16(8),
  cpda: u8(10),
  digests: u8(11),
  maxDataBytes: u32(12),
});

// Terminate Connection Request, 24 bytes, then at most 128 bytes of the header that was wrong:
//   8  u16  fatal error status
//  10  u32  its information: the offset of the wrong field, for one
export const termHeaderBytes = 24;
export const termDataBytesMax = 128;
export const termBytesMax = termHeaderBytes + termDataBytesMax;

export interface TermFields {
  readonly status: number;
  readonly information: number;
  readonly header: Uint8Array;
}

export function encodeTerm(type: number, { status, information, header }: TermFields): Uint8Array {
  const kept = header.subarray(0, termDataBytesMax);
  const bytes = new Uint8Array(termHeaderBytes + kept.length);
  encodePduHeader(bytes, 0, { type, flags: 0, hlen: termHeaderBytes, pdo: 0, plen: bytes.length });
  writeU16(bytes, 8, status);
  writeU32(bytes, 10, information);
  bytes.set(kept, termHeaderBytes);
  return bytes;
}

/** @throws RemoteProtocolError */
export function decodeTerm(bytes: Uint8Array): TermFields {
  if (bytes.length < termHeaderBytes || bytes.length > termBytesMax)
    throw new RemoteProtocolError(`a termination of ${bytes.length} bytes`);
  return { status: readU16(bytes, 8), information: readU32(bytes, 10), header: bytes.slice(termHeaderBytes) };
}

export const commandPduBytes = 72;
export const responsePduBytes = 24;
/** H2CData, C2HData and R2T. */
export const dataPduBytes = 24;

// H2CData, C2HData (no tag), R2T:
//   8  u16  cid
//  10  u16  transfer tag
//  12  u32  offset in the command's data
//  16  u32  length
export interface DataFields {
  cid: number;
  tag: number;
  offset: number;
  lengthBytes: number;
}

export function decodeData(bytes: Uint8Array, at: number, into: DataFields): void {
  if (bytes.length - at < dataPduBytes) throw new RemoteProtocolError('a data header is cut short');
  into.cid = readU16(bytes, at + 8);
  into.tag = readU16(bytes, at + 10);
  into.offset = readU32(bytes, at + 12);
  into.lengthBytes = readU32(bytes, at + 16);
}

/** What follows the common header. */
export function encodeData(bytes: Uint8Array, at: number, fields: Readonly<DataFields>): void {
  writeU16(bytes, at + 8, fields.cid);
  writeU16(bytes, at + 10, fields.tag);
  writeU32(bytes, at + 12, fields.offset);
  writeU32(bytes, at + 16, fields.lengthBytes);
}

/** Offsets of fields, for the answer to a header that is wrong. */
export const fieldOffsets = {
  type: 0,
  flags: 1,
  hlen: 2,
  pdo: 3,
  plen: 4,
  pfv: 8,
  tag: 10,
  hpda: 10,
  digests: 11,
  offset: 12,
  length: 16,
  sgl: 8 + 39,
} as const;
