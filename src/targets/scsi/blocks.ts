import type { BlockDevice, IoResult } from '../../volume/block-device.ts';
import {
  type BlockFields,
  decodeBlocks10,
  decodeBlocks12,
  decodeBlocks16,
  decodeBlocks6,
} from '../../wire/scsi/cdb.ts';
import { opcodes } from '../../wire/scsi/codes.ts';
import type { Sense } from '../../wire/scsi/sense.ts';
import type { Call } from './command.ts';
import { logicalBytes, scsiLimits } from './limits.ts';
import { invalidCdb, outOfRange } from './reply.ts';

/** LBA and length, by the length of the CDB. */
export function blocksOf(cdb: Uint8Array): BlockFields {
  const opcode = cdb[0] as number;
  if (opcode === opcodes.read6 || opcode === opcodes.write6) return decodeBlocks6(cdb);
  if (opcode >= 0xa0) return decodeBlocks12(cdb);
  return opcode >= 0x80 ? decodeBlocks16(cdb) : decodeBlocks10(cdb);
}

export function capacityBlocks(device: BlockDevice): number {
  return Math.floor(device.sizeBytes / logicalBytes);
}

/** Undefined: the range lies inside. No blocks are inside up to the very end. */
export function rangeSense({ lba, blocks }: BlockFields, device: BlockDevice): Sense | undefined {
  return lba + blocks > capacityBlocks(device) ? outOfRange : undefined;
}

/** Protection information isn't supported: RDPROTECT, WRPROTECT, VRPROTECT, ORPROTECT must be zero (SBC-3 §4.22). */
export function protectSense(cdb: Uint8Array): Sense | undefined {
  return ((cdb[1] as number) & 0xe0) === 0 ? undefined : invalidCdb(1, 7);
}

/** A command that moves as many blocks as it names. */
export function transferSense(cdb: Uint8Array, fields: BlockFields, device: BlockDevice): Sense | undefined {
  const sense = protectSense(cdb) ?? rangeSense(fields, device);
  if (sense !== undefined) return sense;
  return fields.blocks > scsiLimits.transferBlocksMax ? invalidCdb(lengthByteOf(cdb)) : undefined;
}

/** Where a CDB has its length. */
export function lengthByteOf(cdb: Uint8Array): number {
  const opcode = cdb[0] as number;
  if (opcode >= 0xa0) return 6;
  return opcode >= 0x80 ? 10 : opcode >= 0x20 ? 7 : 4;
}

/** The first `lengthBytes` of the pieces, not joined. */
export function firstBytes(pieces: readonly Uint8Array[], lengthBytes: number): readonly Uint8Array[] {
  const taken: Uint8Array[] = [];
  let left = lengthBytes;
  for (const piece of pieces) {
    if (left === 0) break;
    const part = piece.length <= left ? piece : piece.subarray(0, left);
    taken.push(part);
    left -= part.length;
  }
  return taken;
}

/**
 * A range in portions, one after the other: no command puts more on the cluster at once. `RETRYABLE` promises that nothing happened, which
 * isn't true after a first portion.
 */
export async function inPortions(
  call: Call,
  { lba, blocks }: BlockFields,
  portionBytes: number,
  step: (offset: number, lengthBytes: number) => Promise<IoResult>,
): Promise<IoResult> {
  let offset = lba * logicalBytes;
  const end = offset + blocks * logicalBytes;
  for (let isFirst = true; offset < end; isFirst = false) {
    if (call.command.abandonment?.isGivenUp === true) return { ok: false, code: 'UNKNOWN' };
    // Portions end where chunks do.
    const next = Math.min(end, (Math.floor(offset / portionBytes) + 1) * portionBytes);
    const result = await step(offset, next - offset);
    if (!result.ok) return result.code === 'RETRYABLE' && !isFirst ? { ok: false, code: 'UNKNOWN' } : result;
    offset = next;
  }
  return { ok: true };
}
