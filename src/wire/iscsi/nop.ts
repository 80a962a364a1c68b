import { readU32, writeU32 } from '../big-endian.ts';
import { initiatorOpcodes, targetOpcodes } from './codes.ts';
import {
  beginHeader,
  beginRequest,
  dataBytesOf,
  expectOpcode,
  finalFlag,
  type PduCodec,
  readRequest,
  readTargetNumbers,
  writeTargetNumbers,
} from './header.ts';

// NOP-Out, initiator to target (RFC 7143 §11.18); ping data follows:
//  16  u32  initiator task tag; FFFFFFFFh: wants no answer
//  20  u32  target transfer tag: of the NOP-In that it answers, else FFFFFFFFh
//  24  u32  CmdSN
//  28  u32  ExpStatSN
export interface NopOut {
  readonly immediate: boolean;
  readonly lun: Uint8Array;
  readonly taskTag: number;
  readonly transferTag: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
  readonly dataBytes: number;
}

export const nopOut: PduCodec<NopOut> = {
  opcode: initiatorOpcodes.nopOut,
  encode(fields, bytes, at) {
    beginRequest(bytes, at, nopOut.opcode, finalFlag, fields);
    bytes.set(fields.lun, at + 8);
    writeU32(bytes, at + 20, fields.transferTag);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, nopOut.opcode);
    return {
      ...readRequest(bytes, at),
      lun: bytes.slice(at + 8, at + 16),
      transferTag: readU32(bytes, at + 20),
    };
  },
};

// NOP-In, target to initiator (§11.19); ping data follows:
//  16  u32  initiator task tag; FFFFFFFFh: the target asks
//  20  u32  target transfer tag; FFFFFFFFh: wants no answer
//  24  u32  StatSN, which a question of the target doesn't advance
//  28  u32  ExpCmdSN
//  32  u32  MaxCmdSN
export interface NopIn {
  readonly lun: Uint8Array;
  readonly taskTag: number;
  readonly transferTag: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  readonly dataBytes: number;
}

export const nopIn: PduCodec<NopIn> = {
  opcode: targetOpcodes.nopIn,
  encode(fields, bytes, at) {
    beginHeader(bytes, at, nopIn.opcode, finalFlag, fields.dataBytes);
    bytes.set(fields.lun, at + 8);
    writeU32(bytes, at + 16, fields.taskTag);
    writeU32(bytes, at + 20, fields.transferTag);
    writeTargetNumbers(bytes, at, fields);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, nopIn.opcode);
    return {
      lun: bytes.slice(at + 8, at + 16),
      taskTag: readU32(bytes, at + 16),
      transferTag: readU32(bytes, at + 20),
      ...readTargetNumbers(bytes, at),
      dataBytes: dataBytesOf(bytes, at),
    };
  },
};
