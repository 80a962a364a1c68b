import { RemoteProtocolError } from '../../base/errors.ts';
import { readU16, readU32, writeU16, writeU32 } from '../big-endian.ts';
import { targetOpcodes } from './codes.ts';
import { beginHeader, dataBytesOf, expectOpcode, finalFlag, type PduCodec } from './header.ts';

/** RFC 7143 §11.4.1: less (`underflow`) or more (`overflow`) than the initiator expected, by `bytes`. */
export type Residual = { readonly kind: 'none' | 'underflow' | 'overflow'; readonly bytes: number };
export const noResidual: Residual = { kind: 'none', bytes: 0 };

const overflowFlag = 0x04;
const underflowFlag = 0x02;

export function residualFlags({ kind }: Residual): number {
  return kind === 'overflow' ? overflowFlag : kind === 'underflow' ? underflowFlag : 0;
}

/** @throws RemoteProtocolError when both kinds are claimed. */
export function residualOf(flags: number, bytes: number): Residual {
  const claimed = flags & (overflowFlag | underflowFlag);
  if (claimed === 0) return noResidual;
  if (claimed === (overflowFlag | underflowFlag)) throw new RemoteProtocolError('underflow and overflow');
  return { kind: claimed === overflowFlag ? 'overflow' : 'underflow', bytes };
}

// SCSI Response, target to initiator (§11.4); sense follows: its length as u16, then the bytes.
//   1  u8   bit 7: 1; 2: overflow; 1: underflow
//   2  u8   response: 0 completed at the target, 1 target failure
//   3  u8   SCSI status
//  16  u32  initiator task tag
//  24  u32  StatSN
//  28  u32  ExpCmdSN
//  32  u32  MaxCmdSN
//  36  u32  ExpDataSN: how many Data-In and R2T PDUs the task had
//  44  u32  residual count
export interface ScsiResponsePdu {
  readonly response: number;
  readonly status: number;
  readonly residual: Residual;
  readonly taskTag: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  readonly expDataSn: number;
  readonly dataBytes: number;
}

export const scsiResponse: PduCodec<ScsiResponsePdu> = {
  opcode: targetOpcodes.scsiResponse,
  encode(fields, bytes, at) {
    beginHeader(bytes, at, scsiResponse.opcode, finalFlag | residualFlags(fields.residual), fields.dataBytes);
    bytes[at + 2] = fields.response;
    bytes[at + 3] = fields.status;
    writeU32(bytes, at + 16, fields.taskTag);
    writeU32(bytes, at + 24, fields.statSn);
    writeU32(bytes, at + 28, fields.expCmdSn);
    writeU32(bytes, at + 32, fields.maxCmdSn);
    writeU32(bytes, at + 36, fields.expDataSn);
    writeU32(bytes, at + 44, fields.residual.bytes);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, scsiResponse.opcode);
    return {
      response: bytes[at + 2] as number,
      status: bytes[at + 3] as number,
      residual: residualOf(bytes[at + 1] as number, readU32(bytes, at + 44)),
      taskTag: readU32(bytes, at + 16),
      statSn: readU32(bytes, at + 24),
      expCmdSn: readU32(bytes, at + 28),
      maxCmdSn: readU32(bytes, at + 32),
      expDataSn: readU32(bytes, at + 36),
      dataBytes: dataBytesOf(bytes, at),
    };
  },
};

/** §11.4.7.2 */
export function encodeSense(sense: Uint8Array): Uint8Array {
  if (sense.length === 0) return sense;
  const bytes = new Uint8Array(2 + sense.length);
  writeU16(bytes, 0, sense.length);
  bytes.set(sense, 2);
  return bytes;
}

/** @throws RemoteProtocolError when the length is past the data. */
export function decodeSense(data: Uint8Array): Uint8Array {
  if (data.length === 0) return data;
  if (data.length < 2 || 2 + readU16(data, 0) > data.length) throw new RemoteProtocolError('sense past its data');
  return data.subarray(2, 2 + readU16(data, 0));
}
