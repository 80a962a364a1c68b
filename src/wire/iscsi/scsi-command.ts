import { readU32, writeU32 } from '../big-endian.ts';
import { initiatorOpcodes } from './codes.ts';
import {
  additionalBytesOf,
  beginHeader,
  dataBytesOf,
  expectOpcode,
  finalFlag,
  immediateBit,
  isImmediate,
  type PduCodec,
} from './header.ts';

// SCSI Command, initiator to target (RFC 7143 §11.3); immediate data follows:
//   1  u8   bit 7: no unsolicited data follows; 6: read; 5: write; 2-0: task attribute
//   8  8    LUN
//  16  u32  initiator task tag
//  20  u32  expected data transfer length
//  24  u32  CmdSN
//  28  u32  ExpStatSN
//  32  16   CDB
export interface ScsiCommandPdu {
  readonly immediate: boolean;
  readonly final: boolean;
  readonly read: boolean;
  readonly write: boolean;
  readonly attribute: number;
  readonly lun: Uint8Array;
  readonly taskTag: number;
  readonly expectedBytes: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
  readonly cdb: Uint8Array;
  readonly additionalBytes: number;
  readonly dataBytes: number;
}

export const cdbBytes = 16;
const readFlag = 0x40;
const writeFlag = 0x20;

export const scsiCommand: PduCodec<ScsiCommandPdu> = {
  opcode: initiatorOpcodes.scsiCommand,
  encode(fields, bytes, at) {
    const first = scsiCommand.opcode | (fields.immediate ? immediateBit : 0);
    const flags =
      (fields.final ? finalFlag : 0) |
      (fields.read ? readFlag : 0) |
      (fields.write ? writeFlag : 0) |
      (fields.attribute & 7);
    beginHeader(bytes, at, first, flags, fields.dataBytes);
    bytes[at + 4] = fields.additionalBytes >>> 2;
    bytes.set(fields.lun, at + 8);
    writeU32(bytes, at + 16, fields.taskTag);
    writeU32(bytes, at + 20, fields.expectedBytes);
    writeU32(bytes, at + 24, fields.cmdSn);
    writeU32(bytes, at + 28, fields.expStatSn);
    bytes.set(fields.cdb, at + 32);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, scsiCommand.opcode);
    const flags = bytes[at + 1] as number;
    return {
      immediate: isImmediate(bytes, at),
      final: (flags & finalFlag) !== 0,
      read: (flags & readFlag) !== 0,
      write: (flags & writeFlag) !== 0,
      attribute: flags & 7,
      lun: bytes.slice(at + 8, at + 16),
      taskTag: readU32(bytes, at + 16),
      expectedBytes: readU32(bytes, at + 20),
      cmdSn: readU32(bytes, at + 24),
      expStatSn: readU32(bytes, at + 28),
      cdb: bytes.slice(at + 32, at + 32 + cdbBytes),
      additionalBytes: additionalBytesOf(bytes, at),
      dataBytes: dataBytesOf(bytes, at),
    };
  },
};
