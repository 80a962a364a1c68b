import { RemoteProtocolError } from '../../base/errors.ts';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../little-endian.ts';

// Submission queue entry (base §3.3.3.1, fabrics: data by one SGL descriptor):
//   0  u8   opcode
//   1  u8   bits 0-1 fused, 6-7 PSDT (01b: SGL)
//   2  u16  cid
//   4  u32  nsid; for fabrics commands the type in its first byte
//  24  u64  SGL address · 32 u32 length · 39 u8 type
//  40  u32  cdw10 … 60 cdw15
export const commandBytes = 64;

/** Mutable, so that one object serves many commands. */
export interface CommandFields {
  opcode: number;
  flags: number;
  cid: number;
  nsid: number;
  /** As `readU64`: exact below 2^53, else only comparable. */
  sglAddress: number;
  sglLengthBytes: number;
  sglType: number;
  cdw10: number;
  cdw11: number;
  cdw12: number;
  cdw13: number;
  cdw14: number;
  cdw15: number;
}

export const fuseMask = 0x03;
export const fuses = { none: 0, first: 1, second: 2 } as const;

/** Fills `into`. @throws RemoteProtocolError when bytes are missing. */
export function decodeCommand(bytes: Uint8Array, at: number, into: CommandFields): void {
  if (bytes.length - at < commandBytes) throw new RemoteProtocolError('a command is cut short');
  into.opcode = bytes[at] as number;
  into.flags = bytes[at + 1] as number;
  into.cid = readU16(bytes, at + 2);
  into.nsid = readU32(bytes, at + 4);
  into.sglAddress = readU64(bytes, at + 24);
  into.sglLengthBytes = readU32(bytes, at + 32);
  into.sglType = bytes[at + 39] as number;
  into.cdw10 = readU32(bytes, at + 40);
  into.cdw11 = readU32(bytes, at + 44);
  into.cdw12 = readU32(bytes, at + 48);
  into.cdw13 = readU32(bytes, at + 52);
  into.cdw14 = readU32(bytes, at + 56);
  into.cdw15 = readU32(bytes, at + 60);
}

export function encodeCommand(fields: Readonly<CommandFields>): Uint8Array {
  const bytes = new Uint8Array(commandBytes);
  bytes[0] = fields.opcode;
  bytes[1] = fields.flags;
  writeU16(bytes, 2, fields.cid);
  writeU32(bytes, 4, fields.nsid);
  writeU64(bytes, 24, fields.sglAddress);
  writeU32(bytes, 32, fields.sglLengthBytes);
  bytes[39] = fields.sglType;
  writeU32(bytes, 40, fields.cdw10);
  writeU32(bytes, 44, fields.cdw11);
  writeU32(bytes, 48, fields.cdw12);
  writeU32(bytes, 52, fields.cdw13);
  writeU32(bytes, 56, fields.cdw14);
  writeU32(bytes, 60, fields.cdw15);
  return bytes;
}

// Completion queue entry:
//   0  u32  dw0 · 4 u32 dw1: the command's own result
//   8  u16  head of the submission queue · 10 u16 its id (reserved with fabrics)
//  12  u16  cid
//  14  u16  bit 0 phase (unused here), then the status
export const completionBytes = 16;

export interface CompletionFields {
  readonly dw0: number;
  readonly dw1: number;
  readonly sqHead: number;
  readonly cid: number;
  readonly status: number;
}

export function encodeCompletion(bytes: Uint8Array, at: number, fields: CompletionFields): void {
  writeU32(bytes, at, fields.dw0);
  writeU32(bytes, at + 4, fields.dw1);
  writeU16(bytes, at + 8, fields.sqHead);
  writeU16(bytes, at + 10, 0);
  writeU16(bytes, at + 12, fields.cid);
  writeU16(bytes, at + 14, fields.status << 1);
}

/** @throws RemoteProtocolError */
export function decodeCompletion(bytes: Uint8Array, at = 0): CompletionFields {
  if (bytes.length - at < completionBytes) throw new RemoteProtocolError('a completion is cut short');
  return {
    dw0: readU32(bytes, at),
    dw1: readU32(bytes, at + 4),
    sqHead: readU16(bytes, at + 8),
    cid: readU16(bytes, at + 12),
    status: readU16(bytes, at + 14) >>> 1,
  };
}
