import { readU32, writeU32 } from '../big-endian.ts';
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

// Task Management Function Request, initiator to target (RFC 7143 §11.5):
//   1  u8   bit 7: 1; 6-0: function
//   8  8    LUN
//  16  u32  initiator task tag
//  20  u32  referenced task tag, or FFFFFFFFh
//  24  u32  CmdSN
//  28  u32  ExpStatSN
//  32  u32  RefCmdSN, of the task to abort
//  36  u32  ExpDataSN
export interface TaskRequest {
  readonly immediate: boolean;
  readonly function: number;
  readonly lun: Uint8Array;
  readonly taskTag: number;
  readonly referencedTag: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
  readonly referencedCmdSn: number;
  readonly dataBytes: number;
}

export const taskRequest: PduCodec<TaskRequest> = {
  opcode: initiatorOpcodes.taskRequest,
  encode(fields, bytes, at) {
    beginRequest(bytes, at, taskRequest.opcode, finalFlag | (fields.function & 0x7f), fields);
    bytes.set(fields.lun, at + 8);
    writeU32(bytes, at + 20, fields.referencedTag);
    writeU32(bytes, at + 32, fields.referencedCmdSn);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, taskRequest.opcode);
    return {
      ...readRequest(bytes, at),
      function: (bytes[at + 1] as number) & 0x7f,
      lun: bytes.slice(at + 8, at + 16),
      referencedTag: readU32(bytes, at + 20),
      referencedCmdSn: readU32(bytes, at + 32),
    };
  },
};

// Task Management Function Response, target to initiator (§11.6):
//   2  u8   response
//  16  u32  initiator task tag
//  24  u32  StatSN
//  28  u32  ExpCmdSN
//  32  u32  MaxCmdSN
export interface TaskResponse {
  readonly response: number;
  readonly taskTag: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
}

export const taskResponse: PduCodec<TaskResponse> = {
  opcode: targetOpcodes.taskResponse,
  encode(fields, bytes, at) {
    beginHeader(bytes, at, taskResponse.opcode, finalFlag, 0);
    bytes[at + 2] = fields.response;
    writeU32(bytes, at + 16, fields.taskTag);
    writeTargetNumbers(bytes, at, fields);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, taskResponse.opcode);
    return {
      response: bytes[at + 2] as number,
      taskTag: readU32(bytes, at + 16),
      ...readTargetNumbers(bytes, at),
    };
  },
};
