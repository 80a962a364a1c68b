import { RemoteProtocolError } from '../../base/errors.ts';
import { readU24, readU32, writeU24, writeU32 } from '../big-endian.ts';

// Basic header segment of every PDU, 48 bytes (RFC 7143 §11.2.1):
//   0  u8   bit 6: immediate delivery (requests); bits 5-0: opcode
//   1  u8   bit 7: final, where the PDU has it; the rest by opcode
//   4  u8   additional header segments, in words of 4 bytes
//   5  u24  data segment, bytes without its padding
//   8       by opcode
// Then the additional headers, a digest of both if agreed; then the data, padded to 4 bytes, and a digest of it if agreed and not empty.
export const headerBytes = 48;
/** Additional headers of one PDU: 255 words. */
export const additionalBytesMax = 255 * 4;
export const digestBytes = 4;
/** The longest data segment that the field can tell. */
export const dataSegmentBytesMax = 0xff_ffff;

export const finalFlag = 0x80;
export const continueFlag = 0x40;

/** What a PDU's codec is: fields into a header and back. `encode` writes all 48 bytes. @throws RemoteProtocolError by `decode`. */
export interface PduCodec<Fields> {
  readonly opcode: number;
  encode(fields: Fields, bytes: Uint8Array, at: number): void;
  decode(bytes: Uint8Array, at: number): Fields;
}

export function opcodeOf(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) & 0x3f;
}

export function isImmediate(bytes: Uint8Array, at: number): boolean {
  return ((bytes[at] as number) & 0x40) !== 0;
}

export function additionalBytesOf(bytes: Uint8Array, at: number): number {
  return (bytes[at + 4] as number) * 4;
}

export function dataBytesOf(bytes: Uint8Array, at: number): number {
  return readU24(bytes, at + 5);
}

/** With padding. */
export function paddedBytes(lengthBytes: number): number {
  return (lengthBytes + 3) & ~3;
}

/** Clears the 48 bytes and sets what every PDU has. `first`: opcode and immediate bit; `flags`: the byte behind it. */
export function beginHeader(bytes: Uint8Array, at: number, first: number, flags: number, dataBytes: number): void {
  bytes.fill(0, at, at + headerBytes);
  bytes[at] = first;
  bytes[at + 1] = flags;
  writeU24(bytes, at + 5, dataBytes);
}

export function expectOpcode(bytes: Uint8Array, at: number, opcode: number): void {
  if (bytes.length - at < headerBytes) throw new RemoteProtocolError('a header of less than 48 bytes');
  const found = opcodeOf(bytes, at);
  if (found !== opcode) throw new RemoteProtocolError(`opcode ${found} where ${opcode} belongs`);
}

export const immediateBit = 0x40;
const noLun = new Uint8Array(8);
/** For PDUs about no logical unit. */
export function zeroLun(): Uint8Array {
  return noLun;
}

// What most requests of an initiator have: bit 6 of byte 0; 16 u32 initiator task tag; 24 u32 CmdSN; 28 u32 ExpStatSN.
export interface RequestStart {
  readonly immediate: boolean;
  readonly taskTag: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
  readonly dataBytes: number;
}

/** `beginHeader` with what `RequestStart` names. */
export function beginRequest(bytes: Uint8Array, at: number, opcode: number, flags: number, start: RequestStart): void {
  beginHeader(bytes, at, opcode | (start.immediate ? immediateBit : 0), flags, start.dataBytes);
  writeU32(bytes, at + 16, start.taskTag);
  writeU32(bytes, at + 24, start.cmdSn);
  writeU32(bytes, at + 28, start.expStatSn);
}

export function readRequest(bytes: Uint8Array, at: number): RequestStart {
  return {
    immediate: isImmediate(bytes, at),
    taskTag: readU32(bytes, at + 16),
    cmdSn: readU32(bytes, at + 24),
    expStatSn: readU32(bytes, at + 28),
    dataBytes: dataBytesOf(bytes, at),
  };
}

// What everything that a target says has (Data-In and SCSI Response, of which there is one for each command, write it themselves:
// a piece that meets every PDU's shape is slow): 24 u32 StatSN; 28 u32 ExpCmdSN; 32 u32 MaxCmdSN.
export interface TargetNumbers {
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
}

export function writeTargetNumbers(bytes: Uint8Array, at: number, numbers: TargetNumbers): void {
  writeU32(bytes, at + 24, numbers.statSn);
  writeU32(bytes, at + 28, numbers.expCmdSn);
  writeU32(bytes, at + 32, numbers.maxCmdSn);
}

export function readTargetNumbers(bytes: Uint8Array, at: number): TargetNumbers {
  return {
    statSn: readU32(bytes, at + 24),
    expCmdSn: readU32(bytes, at + 28),
    maxCmdSn: readU32(bytes, at + 32),
  };
}
