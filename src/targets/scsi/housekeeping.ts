import { readU16, readU32 } from '../../wire/big-endian.ts';
import { opcodes, senseCodes, senseKeys } from '../../wire/scsi/codes.ts';
import { encodeDescriptorSense, encodeFixedSense, type Sense } from '../../wire/scsi/sense.ts';
import { blocksOf, capacityBlocks, rangeSense } from './blocks.ts';
import { type Admitting, type Call, movesNothing, type Plan } from './command.ts';
import { data, failed, good, invalidCdb, refused, type Reply } from './reply.ts';

// Commands that find nothing to do here: there is no spindle, no tray, no cache that could lose anything, no list of defects.

export function planNothing(): Plan {
  return movesNothing;
}

export function nothingToDo(): Reply {
  return good;
}

/** Asks for the volume's record, so that a host that only asks whether a path works hears what happened through other Corelets. */
export async function testReady({ device, nexus }: Call): Promise<Reply> {
  await device.reservations?.state();
  const attention = nexus.takeAttention();
  return attention === undefined ? good : failed(attention);
}

/** POWER CONDITION, START and STOP are taken; there is no medium to eject. */
export function planStartStop(cdb: Uint8Array): Plan | Sense {
  return ((cdb[4] as number) & 0x02) === 0 ? movesNothing : invalidCdb(4, 1);
}

export function planPrefetch(cdb: Uint8Array, { device }: Admitting): Plan | Sense {
  return rangeSense(blocksOf(cdb), device) ?? movesNothing;
}

/** No blocks: up to the end (SBC-3 §5.22). */
export function planSynchronize(cdb: Uint8Array, { device }: Admitting): Plan | Sense {
  const fields = blocksOf(cdb);
  const beyond = fields.lba >= capacityBlocks(device) ? rangeSense({ lba: fields.lba, blocks: 1 }, device) : undefined;
  return beyond ?? rangeSense(fields, device) ?? movesNothing;
}

export async function synchronize({ device }: Call): Promise<Reply> {
  const result = await device.flush();
  return result.ok ? good : refused(result.code);
}

const noSense: Sense = { key: senseKeys.noSense, code: senseCodes.none };
export const absentLun: Sense = { key: senseKeys.illegalRequest, code: senseCodes.lunNotSupported };

export function planRequestSense(cdb: Uint8Array): Plan | Sense {
  return { outBytes: 0, inBytesMax: cdb[4] as number };
}

export function requestSense({ cdb, nexus }: Call): Reply {
  return senseData(cdb, nexus.takeAttention() ?? noSense);
}

/** DESC picks the format, here and nowhere else (SPC-4 §6.39). */
export function senseData(cdb: Uint8Array, sense: Sense): Reply {
  const encode = ((cdb[1] as number) & 1) === 0 ? encodeFixedSense : encodeDescriptorSense;
  return data(encode(sense), cdb[4] as number);
}

export function planDefects(cdb: Uint8Array): Plan | Sense {
  const isShort = cdb[0] === opcodes.readDefectData10;
  return { outBytes: 0, inBytesMax: Math.min(isShort ? readU16(cdb, 7) : readU32(cdb, 6), 8) };
}

// (10): reserved · PLISTV, GLISTV, format · length u16. (12): reserved · the same · generation u16 · length u32 (SBC-3 §5.14, §5.15)
export function defects({ cdb }: Call): Reply {
  const isShort = cdb[0] === opcodes.readDefectData10;
  const bytes = new Uint8Array(isShort ? 4 : 8);
  bytes[1] = (cdb[isShort ? 2 : 1] as number) & 0x1f;
  return data(bytes, isShort ? readU16(cdb, 7) : readU32(cdb, 6));
}
