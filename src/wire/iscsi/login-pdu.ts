import { hexText } from '../../base/bytes.ts';
import { readU16, readU32, writeU16, writeU32 } from '../big-endian.ts';
import { initiatorOpcodes, targetOpcodes } from './codes.ts';
import {
  beginHeader,
  continueFlag,
  dataBytesOf,
  expectOpcode,
  finalFlag,
  immediateBit,
  type PduCodec,
  readTargetNumbers,
  writeTargetNumbers,
} from './header.ts';

/** Of the login PDUs, the final bit says that the sender is ready for the next stage. */
const transitFlag = finalFlag;

function writeIsid(bytes: Uint8Array, at: number, isid: string): void {
  for (let i = 0; i < 6; i++) bytes[at + i] = Number.parseInt(isid.slice(2 * i, 2 * i + 2), 16);
}

// Login Request, initiator to target (RFC 7143 §11.12); text follows:
//   1  u8   bit 7: transit; 6: text goes on in the next request; 3-2: current stage; 1-0: next stage
//   2  u8   highest version
//   3  u8   lowest version
//   8  6    ISID
//  14  u16  TSIH: 0 for a new session
//  16  u32  initiator task tag
//  20  u16  connection id
//  24  u32  CmdSN
//  28  u32  ExpStatSN
export interface LoginRequest {
  readonly transit: boolean;
  readonly continued: boolean;
  readonly currentStage: number;
  readonly nextStage: number;
  readonly versionMax: number;
  readonly versionMin: number;
  /** 12 lower-case hex digits. */
  readonly isid: string;
  readonly tsih: number;
  readonly taskTag: number;
  readonly connectionId: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
  readonly dataBytes: number;
}

function stageFlags(fields: {
  readonly transit: boolean;
  readonly continued: boolean;
  readonly currentStage: number;
  readonly nextStage: number;
}): number {
  const { transit, continued, currentStage, nextStage } = fields;
  return (transit ? transitFlag : 0) | (continued ? continueFlag : 0) | (currentStage << 2) | nextStage;
}

function stagesOf(flags: number): Pick<LoginRequest, 'transit' | 'continued' | 'currentStage' | 'nextStage'> {
  return {
    transit: (flags & transitFlag) !== 0,
    continued: (flags & continueFlag) !== 0,
    currentStage: (flags >>> 2) & 3,
    nextStage: flags & 3,
  };
}

export const loginRequest: PduCodec<LoginRequest> = {
  opcode: initiatorOpcodes.loginRequest,
  encode(fields, bytes, at) {
    beginHeader(bytes, at, loginRequest.opcode | immediateBit, stageFlags(fields), fields.dataBytes);
    bytes[at + 2] = fields.versionMax;
    bytes[at + 3] = fields.versionMin;
    writeIsid(bytes, at + 8, fields.isid);
    writeU16(bytes, at + 14, fields.tsih);
    writeU32(bytes, at + 16, fields.taskTag);
    writeU16(bytes, at + 20, fields.connectionId);
    writeU32(bytes, at + 24, fields.cmdSn);
    writeU32(bytes, at + 28, fields.expStatSn);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, loginRequest.opcode);
    return {
      ...stagesOf(bytes[at + 1] as number),
      versionMax: bytes[at + 2] as number,
      versionMin: bytes[at + 3] as number,
      isid: hexText(bytes.subarray(at + 8, at + 14)),
      tsih: readU16(bytes, at + 14),
      taskTag: readU32(bytes, at + 16),
      connectionId: readU16(bytes, at + 20),
      cmdSn: readU32(bytes, at + 24),
      expStatSn: readU32(bytes, at + 28),
      dataBytes: dataBytesOf(bytes, at),
    };
  },
};

// Login Response, target to initiator (§11.13); text follows:
//   1  u8   as in the request
//   2  u8   highest version
//   3  u8   active version
//   8  6    ISID
//  14  u16  TSIH, in the last response of a login that succeeded
//  16  u32  initiator task tag
//  24  u32  StatSN
//  28  u32  ExpCmdSN
//  32  u32  MaxCmdSN
//  36  u16  status: class and detail
export interface LoginResponse {
  readonly transit: boolean;
  readonly continued: boolean;
  readonly currentStage: number;
  readonly nextStage: number;
  readonly isid: string;
  readonly tsih: number;
  readonly taskTag: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  readonly status: number;
  readonly dataBytes: number;
}

export const loginResponse: PduCodec<LoginResponse> = {
  opcode: targetOpcodes.loginResponse,
  encode(fields, bytes, at) {
    beginHeader(bytes, at, loginResponse.opcode, stageFlags(fields), fields.dataBytes);
    writeIsid(bytes, at + 8, fields.isid); // version 0, the only one, is zeros
    writeU16(bytes, at + 14, fields.tsih);
    writeU32(bytes, at + 16, fields.taskTag);
    writeTargetNumbers(bytes, at, fields);
    writeU16(bytes, at + 36, fields.status);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, loginResponse.opcode);
    return {
      ...stagesOf(bytes[at + 1] as number),
      isid: hexText(bytes.subarray(at + 8, at + 14)),
      tsih: readU16(bytes, at + 14),
      taskTag: readU32(bytes, at + 16),
      ...readTargetNumbers(bytes, at),
      status: readU16(bytes, at + 36),
      dataBytes: dataBytesOf(bytes, at),
    };
  },
};
