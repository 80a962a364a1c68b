import { readU32, writeU32 } from '../big-endian.ts';
import { initiatorOpcodes } from './codes.ts';
import { beginHeader, dataBytesOf, expectOpcode, finalFlag, type PduCodec } from './header.ts';

// SCSI Data-Out, initiator to target (RFC 7143 §11.7); the data follow:
//   1  u8   bit 7: last of its sequence
//   8  8    LUN
//  16  u32  initiator task tag
//  20  u32  target transfer tag: of the R2T that it answers; FFFFFFFFh: unsolicited
//  28  u32  ExpStatSN
//  36  u32  DataSN, from 0 in each sequence
//  40  u32  buffer offset
export interface DataOut {
  readonly final: boolean;
  readonly lun: Uint8Array;
  readonly taskTag: number;
  readonly transferTag: number;
  readonly expStatSn: number;
  readonly dataSn: number;
  readonly bufferOffset: number;
  readonly dataBytes: number;
}

export const dataOut: PduCodec<DataOut> = {
  opcode: initiatorOpcodes.dataOut,
  encode(fields, bytes, at) {
    beginHeader(bytes, at, dataOut.opcode, fields.final ? finalFlag : 0, fields.dataBytes);
    bytes.set(fields.lun, at + 8);
    writeU32(bytes, at + 16, fields.taskTag);
    writeU32(bytes, at + 20, fields.transferTag);
    writeU32(bytes, at + 28, fields.expStatSn);
    writeU32(bytes, at + 36, fields.dataSn);
    writeU32(bytes, at + 40, fields.bufferOffset);
  },
  decode(bytes, at) {
    expectOpcode(bytes, at, dataOut.opcode);
    return {
      final: ((bytes[at + 1] as number) & finalFlag) !== 0,
      lun: bytes.slice(at + 8, at + 16),
      taskTag: readU32(bytes, at + 16),
      transferTag: readU32(bytes, at + 20),
      expStatSn: readU32(bytes, at + 28),
      dataSn: readU32(bytes, at + 36),
      bufferOffset: readU32(bytes, at + 40),
      dataBytes: dataBytesOf(bytes, at),
    };
  },
};
