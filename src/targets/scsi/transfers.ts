import type { BlockFields } from '../../wire/scsi/cdb.ts';
import { decodeAtomicBlocks } from '../../wire/scsi/cdb.ts';
import { chunkBytes } from '../../base/ids.ts';
import type { BlockDevice } from '../../volume/block-device.ts';
import { statuses } from '../../wire/scsi/codes.ts';
import type { Sense } from '../../wire/scsi/sense.ts';
import { blocksOf, firstBytes, lengthByteOf, protectSense, rangeSense, transferSense } from './blocks.ts';
import type { Admitting, Call, Plan } from './command.ts';
import { logicalBytes, physicalBlocks, scsiLimits } from './limits.ts';
import { ended, good, invalidCdb, moved, refused, type Reply } from './reply.ts';

// READ and WRITE of every length, WRITE ATOMIC (SBC-3 §5.8 to §5.11, §5.30 to §5.33; SBC-4 §5.48). DPO is a hint; FUA is always true.

/** Of a 6-byte CDB no bit of byte 1 means anything but the LBA. */
function sense(cdb: Uint8Array, fields: BlockFields, device: BlockDevice): Sense | undefined {
  return lengthByteOf(cdb) === 4 ? rangeSense(fields, device) : transferSense(cdb, fields, device);
}

export function planRead(cdb: Uint8Array, { device }: Admitting): Plan | Sense {
  const fields = blocksOf(cdb);
  return sense(cdb, fields, device) ?? { outBytes: 0, inBytesMax: fields.blocks * logicalBytes };
}

export function planWrite(cdb: Uint8Array, { device }: Admitting): Plan | Sense {
  const fields = blocksOf(cdb);
  return sense(cdb, fields, device) ?? { outBytes: fields.blocks * logicalBytes, inBytesMax: 0 };
}

export async function read({ cdb, device }: Call): Promise<Reply> {
  const { lba, blocks } = blocksOf(cdb);
  if (blocks === 0) return good;
  const result = await device.read(lba * logicalBytes, blocks * logicalBytes);
  if (!result.ok) return refused(result.code);
  return { status: statuses.good, dataIn: result.parts, transferBytes: blocks * logicalBytes };
}

export function write(call: Call): Promise<Reply> {
  return writeBlocks(call, blocksOf(call.cdb));
}

/** An initiator that sends less than it names has the whole blocks of it written (RFC 7143 §11.4.5.2: an overflow). */
export async function writeBlocks(call: Call, { lba, blocks }: BlockFields): Promise<Reply> {
  const { device, dataOut, dataOutBytes, command } = call;
  const whole = dataOutBytes - (dataOutBytes % logicalBytes);
  if (whole === 0) return moved(blocks * logicalBytes);
  const pieces = whole === dataOutBytes ? dataOut : firstBytes(dataOut, whole);
  const result = await device.write(lba * logicalBytes, pieces, command);
  return ended(result, blocks * logicalBytes);
}

export function planAtomic(cdb: Uint8Array, { device, expectedOutBytes }: Admitting): Plan | Sense {
  const fields = decodeAtomicBlocks(cdb);
  const { lba, blocks, boundaryBlocks } = fields;
  const wrong = protectSense(cdb) ?? rangeSense(fields, device);
  if (wrong !== undefined) return wrong;
  if (boundaryBlocks !== 0) return invalidCdb(10);
  if (blocks > scsiLimits.atomicBlocksMax || blocks % physicalBlocks !== 0) return invalidCdb(12);
  if (blocks > 0 && lba % physicalBlocks !== 0) return invalidCdb(2);
  // One operation touches one chunk (design §10.4): beyond its border nothing would be one.
  const chunkBlocks = chunkBytes / logicalBytes;
  if ((lba % chunkBlocks) + blocks > chunkBlocks) return invalidCdb(12);
  // All or nothing: a part of it isn't what was asked for.
  if (expectedOutBytes !== blocks * logicalBytes) return invalidCdb(12);
  return { outBytes: blocks * logicalBytes, inBytesMax: 0 };
}

export function writeAtomic(call: Call): Promise<Reply> {
  return writeBlocks(call, decodeAtomicBlocks(call.cdb));
}
