import { writeU32 } from '../big-endian.ts';
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

// Reject, target to initiator (RFC 7143 §11.17); the header that is rejected follows as data:
//   2  u8   reason
//  16  u32  FFFFFFFFh
//  24  u32  StatSN
//  28  u32  ExpCmdSN
//  32  u32  MaxCmdSN
export interface RejectPdu {
  readonly reason: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  readonly dataBytes: number;
}

export const reject: PduCodec<RejectPdu> = {
  opcode: targetOpcodes.reject,
  encode(fields, bytes, at) {
    beginHeader(bytes, at, reject.opcode, finalFlag, fields.dataBytes);
    bytes[at + 2] = fields.reason;
    writeU32(bytes, at + 16, reservedTag);
    writeTargetNumbers(bytes, at, fields);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, reject.opcode);
    return {
      reason: bytes[at + 2] as number,
      ...readTargetNumbers(bytes, at),
      dataBytes: dataBytesOf(bytes, at),
    };
  },
};
