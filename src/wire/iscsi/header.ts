import { RemoteProtocolError } from '../../base/errors.ts';
import { readU24, writeU24 } from '../big-endian.ts';

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
