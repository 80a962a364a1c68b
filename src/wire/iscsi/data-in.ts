import { readU32, writeU32 } from '../big-endian.ts';
import { reservedTag, targetOpcodes } from './codes.ts';
import { beginHeader, dataBytesOf, expectOpcode, finalFlag, type PduCodec } from './header.ts';
import { type Residual, residualFlags, residualOf } from './scsi-response.ts';

// SCSI Data-In, target to initiator (RFC 7143 §11.7); the data follow:
//   1  u8   bit 7: last of its sequence; 2: overflow; 1: underflow; 0: brings the status
//   3  u8   SCSI status, if it brings it
//  16  u32  initiator task tag
//  20  u32  target transfer tag (FFFFFFFFh: no acknowledgement is asked for)
//  24  u32  StatSN, if it brings the status
//  28  u32  ExpCmdSN
//  32  u32  MaxCmdSN
//  36  u32  DataSN
//  40  u32  buffer offset
//  44  u32  residual count
export interface DataIn {
  readonly final: boolean;
  /** The status, when this PDU ends the command. */
  readonly status: number | undefined;
  readonly residual: Residual;
  readonly taskTag: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  readonly dataSn: number;
  readonly bufferOffset: number;
  readonly dataBytes: number;
}

const statusFlag = 0x01;

export const dataIn: PduCodec<DataIn> = {
  opcode: targetOpcodes.dataIn,
  encode(fields, bytes, at) {
    const { status } = fields;
    const flags =
      (fields.final ? finalFlag : 0) | residualFlags(fields.residual) | (status === undefined ? 0 : statusFlag);
    beginHeader(bytes, at, dataIn.opcode, flags, fields.dataBytes);
    bytes[at + 3] = status ?? 0;
    writeU32(bytes, at + 16, fields.taskTag);
    writeU32(bytes, at + 20, reservedTag);
    writeU32(bytes, at + 24, fields.statSn);
    writeU32(bytes, at + 28, fields.expCmdSn);
    writeU32(bytes, at + 32, fields.maxCmdSn);
    writeU32(bytes, at + 36, fields.dataSn);
    writeU32(bytes, at + 40, fields.bufferOffset);
    writeU32(bytes, at + 44, fields.residual.bytes);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, dataIn.opcode);
    const flags = bytes[at + 1] as number;
    return {
      final: (flags & finalFlag) !== 0,
      status: (flags & statusFlag) === 0 ? undefined : (bytes[at + 3] as number),
      residual: residualOf(flags, readU32(bytes, at + 44)),
      taskTag: readU32(bytes, at + 16),
      statSn: readU32(bytes, at + 24),
      expCmdSn: readU32(bytes, at + 28),
      maxCmdSn: readU32(bytes, at + 32),
      dataSn: readU32(bytes, at + 36),
      bufferOffset: readU32(bytes, at + 40),
      dataBytes: dataBytesOf(bytes, at),
    };
  },
};
