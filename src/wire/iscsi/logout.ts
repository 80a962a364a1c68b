import { readU16, readU32, writeU16, writeU32 } from '../big-endian.ts';
import { initiatorOpcodes, targetOpcodes } from './codes.ts';
import {
  beginHeader,
  beginRequest,
  expectOpcode,
  finalFlag,
  type PduCodec,
  readRequest,
  readTargetNumbers,
  writeTargetNumbers,
} from './header.ts';

// Logout Request, initiator to target (RFC 7143 §11.14):
//   1  u8   bit 7: 1; 6-0: reason
//  16  u32  initiator task tag
//  20  u16  connection id
//  24  u32  CmdSN
//  28  u32  ExpStatSN
export interface LogoutRequest {
  readonly immediate: boolean;
  readonly reason: number;
  readonly taskTag: number;
  readonly connectionId: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
  readonly dataBytes: number;
}

export const logoutRequest: PduCodec<LogoutRequest> = {
  opcode: initiatorOpcodes.logoutRequest,
  encode(fields, bytes, at) {
    beginRequest(bytes, at, logoutRequest.opcode, finalFlag | (fields.reason & 0x7f), fields);
    writeU16(bytes, at + 20, fields.connectionId);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, logoutRequest.opcode);
    return {
      ...readRequest(bytes, at),
      reason: (bytes[at + 1] as number) & 0x7f,
      connectionId: readU16(bytes, at + 20),
    };
  },
};

// Logout Response, target to initiator (§11.15):
//   2  u8   response
//  16  u32  initiator task tag
//  24  u32  StatSN
//  28  u32  ExpCmdSN
//  32  u32  MaxCmdSN
//  40  u16  Time2Wait, seconds
//  42  u16  Time2Retain, seconds
export interface LogoutResponse {
  readonly response: number;
  readonly taskTag: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  readonly time2WaitSeconds: number;
  readonly time2RetainSeconds: number;
}

export const logoutResponse: PduCodec<LogoutResponse> = {
  opcode: targetOpcodes.logoutResponse,
  encode(fields, bytes, at) {
    beginHeader(bytes, at, logoutResponse.opcode, finalFlag, 0);
    bytes[at + 2] = fields.response;
    writeU32(bytes, at + 16, fields.taskTag);
    writeTargetNumbers(bytes, at, fields);
    writeU16(bytes, at + 40, fields.time2WaitSeconds);
    writeU16(bytes, at + 42, fields.time2RetainSeconds);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, logoutResponse.opcode);
    return {
      response: bytes[at + 2] as number,
      taskTag: readU32(bytes, at + 16),
      ...readTargetNumbers(bytes, at),
      time2WaitSeconds: readU16(bytes, at + 40),
      time2RetainSeconds: readU16(bytes, at + 42),
    };
  },
};
