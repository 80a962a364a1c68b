import { readU32, writeU32 } from '../big-endian.ts';
import { initiatorOpcodes, targetOpcodes } from './codes.ts';
import {
  beginHeader,
  beginRequest,
  continueFlag,
  dataBytesOf,
  expectOpcode,
  finalFlag,
  type PduCodec,
  readRequest,
  readTargetNumbers,
  writeTargetNumbers,
} from './header.ts';

// Text Request, initiator to target (RFC 7143 §11.10); text follows:
//   1  u8   bit 7: final; 6: text goes on in the next request
//   8  8    LUN
//  16  u32  initiator task tag
//  20  u32  target transfer tag: of the response that it follows, else FFFFFFFFh
//  24  u32  CmdSN
//  28  u32  ExpStatSN
export interface TextRequest {
  readonly immediate: boolean;
  readonly final: boolean;
  readonly continued: boolean;
  readonly lun: Uint8Array;
  readonly taskTag: number;
  readonly transferTag: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
  readonly dataBytes: number;
}

export const textRequest: PduCodec<TextRequest> = {
  opcode: initiatorOpcodes.textRequest,
  encode(fields, bytes, at) {
    const flags = (fields.final ? finalFlag : 0) | (fields.continued ? continueFlag : 0);
    beginRequest(bytes, at, textRequest.opcode, flags, fields);
    bytes.set(fields.lun, at + 8);
    writeU32(bytes, at + 20, fields.transferTag);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, textRequest.opcode);
    const flags = bytes[at + 1] as number;
    return {
      ...readRequest(bytes, at),
      final: (flags & finalFlag) !== 0,
      continued: (flags & continueFlag) !== 0,
      lun: bytes.slice(at + 8, at + 16),
      transferTag: readU32(bytes, at + 20),
    };
  },
};

// Text Response, target to initiator (§11.11); text follows:
//   1  u8   as in the request
//   8  8    LUN
//  16  u32  initiator task tag
//  20  u32  target transfer tag: FFFFFFFFh when the answer is whole
//  24  u32  StatSN
//  28  u32  ExpCmdSN
//  32  u32  MaxCmdSN
export interface TextResponse {
  readonly final: boolean;
  readonly continued: boolean;
  readonly lun: Uint8Array;
  readonly taskTag: number;
  readonly transferTag: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  readonly dataBytes: number;
}

export const textResponse: PduCodec<TextResponse> = {
  opcode: targetOpcodes.textResponse,
  encode(fields, bytes, at) {
    const flags = (fields.final ? finalFlag : 0) | (fields.continued ? continueFlag : 0);
    beginHeader(bytes, at, textResponse.opcode, flags, fields.dataBytes);
    bytes.set(fields.lun, at + 8);
    writeU32(bytes, at + 16, fields.taskTag);
    writeU32(bytes, at + 20, fields.transferTag);
    writeTargetNumbers(bytes, at, fields);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, textResponse.opcode);
    const flags = bytes[at + 1] as number;
    return {
      final: (flags & finalFlag) !== 0,
      continued: (flags & continueFlag) !== 0,
      lun: bytes.slice(at + 8, at + 16),
      taskTag: readU32(bytes, at + 16),
      transferTag: readU32(bytes, at + 20),
      ...readTargetNumbers(bytes, at),
      dataBytes: dataBytesOf(bytes, at),
    };
  },
};
