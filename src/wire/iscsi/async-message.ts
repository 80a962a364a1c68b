import { readU16, writeU16, writeU32 } from '../big-endian.ts';
import { reservedTag, targetOpcodes } from './codes.ts';
import {
  beginHeader,
  dataBytesOf,
  expectOpcode,
  finalFlag,
  type PduCodec,
  readTargetNumbers,
  writeTargetNumbers,
} from './header.ts';

// Asynchronous Message, target to initiator (RFC 7143 §11.9):
//  16  u32  FFFFFFFFh
//  24  u32  StatSN
//  28  u32  ExpCmdSN
//  32  u32  MaxCmdSN
//  36  u8   event
//  37  u8   vendor's code
//  38  u16  parameter 1: of 2 and 3, the connection
//  40  u16  parameter 2: of 2 and 3, seconds to wait before another login
//  42  u16  parameter 3: of 1, seconds left to log out; of 2 and 3, seconds for which tasks are retained
export interface AsyncMessage {
  readonly event: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  readonly parameter1: number;
  readonly parameter2: number;
  readonly parameter3: number;
  readonly dataBytes: number;
}

export const asyncMessage: PduCodec<AsyncMessage> = {
  opcode: targetOpcodes.asyncMessage,
  encode(fields, bytes, at) {
    beginHeader(bytes, at, asyncMessage.opcode, finalFlag, fields.dataBytes);
    writeU32(bytes, at + 16, reservedTag);
    writeTargetNumbers(bytes, at, fields);
    bytes[at + 36] = fields.event;
    writeU16(bytes, at + 38, fields.parameter1);
    writeU16(bytes, at + 40, fields.parameter2);
    writeU16(bytes, at + 42, fields.parameter3);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, asyncMessage.opcode);
    return {
      event: bytes[at + 36] as number,
      ...readTargetNumbers(bytes, at),
      parameter1: readU16(bytes, at + 38),
      parameter2: readU16(bytes, at + 40),
      parameter3: readU16(bytes, at + 42),
      dataBytes: dataBytesOf(bytes, at),
    };
  },
};
