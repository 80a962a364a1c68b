import { readU32, writeU32 } from '../big-endian.ts';
import { targetOpcodes } from './codes.ts';
import {
  beginHeader,
  expectOpcode,
  finalFlag,
  type PduCodec,
  readTargetNumbers,
  writeTargetNumbers,
} from './header.ts';

// Ready To Transfer, target to initiator (RFC 7143 §11.8):
//   8  8    LUN
//  16  u32  initiator task tag
//  20  u32  target transfer tag, which the Data-Out bring back
//  24  u32  StatSN, not advanced
//  28  u32  ExpCmdSN
//  32  u32  MaxCmdSN
//  36  u32  R2TSN, from 0 in each task
//  40  u32  buffer offset
//  44  u32  desired length, not 0
export interface ReadyToTransfer {
  readonly lun: Uint8Array;
  readonly taskTag: number;
  readonly transferTag: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  readonly r2tSn: number;
  readonly bufferOffset: number;
  readonly desiredBytes: number;
}

export const readyToTransfer: PduCodec<ReadyToTransfer> = {
  opcode: targetOpcodes.r2t,
  encode(fields, bytes, at) {
    beginHeader(bytes, at, readyToTransfer.opcode, finalFlag, 0);
    bytes.set(fields.lun, at + 8);
    writeU32(bytes, at + 16, fields.taskTag);
    writeU32(bytes, at + 20, fields.transferTag);
    writeTargetNumbers(bytes, at, fields);
    writeU32(bytes, at + 36, fields.r2tSn);
    writeU32(bytes, at + 40, fields.bufferOffset);
    writeU32(bytes, at + 44, fields.desiredBytes);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, readyToTransfer.opcode);
    return {
      lun: bytes.slice(at + 8, at + 16),
      taskTag: readU32(bytes, at + 16),
      transferTag: readU32(bytes, at + 20),
      ...readTargetNumbers(bytes, at),
      r2tSn: readU32(bytes, at + 36),
      bufferOffset: readU32(bytes, at + 40),
      desiredBytes: readU32(bytes, at + 44),
    };
  },
};
