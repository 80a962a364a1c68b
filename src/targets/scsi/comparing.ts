import { joined } from '../../base/bytes.ts';
import { blockBytes, chunkBytes } from '../../base/ids.ts';
import type { BlockDevice, IoResult } from '../../volume/block-device.ts';
import { decodeCompareBlocks } from '../../wire/scsi/cdb.ts';
import { senseCodes, senseKeys } from '../../wire/scsi/codes.ts';
import type { Sense } from '../../wire/scsi/sense.ts';
import { blocksOf, inPortions, lengthByteOf, protectSense, rangeSense, transferSense } from './blocks.ts';
import type { Admitting, Call, Plan } from './command.ts';
import { logicalBytes, scsiLimits } from './limits.ts';
import { failed, good, invalidCdb, moved, refused, type Reply } from './reply.ts';
import { writeBlocks } from './transfers.ts';

// VERIFY, WRITE AND VERIFY, COMPARE AND WRITE, ORWRITE (SBC-3 §5.34 to §5.41, §5.2, §5.7).

/** BYTCHK: nothing is compared, all of it, or one block with each. */
function byteCheckOf(cdb: Uint8Array): number {
  return ((cdb[1] as number) >>> 1) & 3;
}
const compareNothing = 0;
const compareAll = 1;
const compareReserved = 2;

function miscompare(byteOffset: number): Reply {
  return failed({ key: senseKeys.miscompare, code: senseCodes.miscompare, information: byteOffset });
}

export function planVerify(cdb: Uint8Array, { device }: Admitting): Plan | Sense {
  const fields = blocksOf(cdb);
  const byteCheck = byteCheckOf(cdb);
  if (byteCheck === compareReserved) return invalidCdb(1, 2);
  // Without data nothing is transferred: only the range matters.
  if (byteCheck === compareNothing) {
    const wrong = protectSense(cdb) ?? rangeSense(fields, device);
    if (wrong !== undefined) return wrong;
    return fields.blocks > scsiLimits.fillBlocksMax ? invalidCdb(lengthByteOf(cdb)) : { outBytes: 0, inBytesMax: 0 };
  }
  const wrong = transferSense(cdb, fields, device);
  if (wrong !== undefined) return wrong;
  const blocks = byteCheck === compareAll ? fields.blocks : Math.min(fields.blocks, 1);
  return { outBytes: blocks * logicalBytes, inBytesMax: 0 };
}

export async function verify(call: Call): Promise<Reply> {
  const { cdb, device, dataOut, dataOutBytes } = call;
  const { lba, blocks } = blocksOf(cdb);
  const byteCheck = byteCheckOf(cdb);
  if (byteCheck === compareNothing) {
    const result = await inPortions(call, { lba, blocks }, scsiLimits.copyPortionBytes, (offset, lengthBytes) =>
      device.read(offset, lengthBytes),
    );
    return result.ok ? good : refused(result.code);
  }
  if (blocks === 0 || dataOutBytes === 0) return moved(0);
  if (byteCheck === compareAll) return compared(device, lba * logicalBytes, dataOut, dataOutBytes);
  const block = joined(dataOut);
  const whole = await device.read(lba * logicalBytes, blocks * logicalBytes);
  if (!whole.ok) return refused(whole.code);
  const at = firstDifference(whole.parts, [block], block.length);
  return at === undefined ? moved(logicalBytes) : miscompare(at);
}

async function compared(
  device: BlockDevice,
  offset: number,
  dataOut: readonly Uint8Array[],
  lengthBytes: number,
): Promise<Reply> {
  const read = await device.read(offset, lengthBytes);
  if (!read.ok) return refused(read.code);
  const at = firstDifference(read.parts, dataOut, lengthBytes);
  return at === undefined ? moved(lengthBytes) : miscompare(at);
}

/** Where the bytes differ first; `expected` begins anew every `periodBytes`. */
function firstDifference(
  parts: readonly Uint8Array[],
  expected: readonly Uint8Array[],
  periodBytes: number,
): number | undefined {
  const pattern = joined(expected);
  let at = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i++, at++) if (part[i] !== pattern[at % periodBytes]) return at;
  }
  return undefined;
}

export function planWriteAndVerify(cdb: Uint8Array, { device }: Admitting): Plan | Sense {
  const fields = blocksOf(cdb);
  if (byteCheckOf(cdb) > compareAll) return invalidCdb(1, 2);
  return transferSense(cdb, fields, device) ?? { outBytes: fields.blocks * logicalBytes, inBytesMax: 0 };
}

/** What was written is read back, its checksums verified; compared too where that is wanted. */
export async function writeAndVerify(call: Call): Promise<Reply> {
  const fields = blocksOf(call.cdb);
  const written = await writeBlocks(call, fields);
  if (written === 'UNKNOWN' || written.sense !== undefined || written.status !== 0) return written;
  const whole = call.dataOutBytes - (call.dataOutBytes % logicalBytes);
  if (whole === 0) return written;
  const offset = fields.lba * logicalBytes;
  if (byteCheckOf(call.cdb) === compareAll && whole === call.dataOutBytes) {
    const same = await compared(call.device, offset, call.dataOut, whole);
    return same === 'UNKNOWN' || same.sense !== undefined || same.status !== 0 ? same : written;
  }
  const read = await call.device.read(offset, whole);
  return read.ok ? written : refused(read.code);
}

export function planCompareAndWrite(cdb: Uint8Array, { device, expectedOutBytes }: Admitting): Plan | Sense {
  const fields = decodeCompareBlocks(cdb);
  const wrong = protectSense(cdb) ?? rangeSense(fields, device);
  if (wrong !== undefined) return wrong;
  if (fields.blocks > scsiLimits.compareBlocksMax) return invalidCdb(13);
  // One operation, so within one chunk (design §10.15).
  const chunkBlocks = chunkBytes / logicalBytes;
  if ((fields.lba % chunkBlocks) + fields.blocks > chunkBlocks) return invalidCdb(13);
  // Both halves or nothing: what is compared and what is written are told apart by their lengths.
  const outBytes = 2 * fields.blocks * logicalBytes;
  return expectedOutBytes === outBytes ? { outBytes, inBytesMax: 0 } : invalidCdb(13);
}

export async function compareAndWrite(call: Call): Promise<Reply> {
  const { lba, blocks } = decodeCompareBlocks(call.cdb);
  if (blocks === 0) return good;
  const both = joined(call.dataOut);
  const half = blocks * logicalBytes;
  const [expected, data] = [both.subarray(0, half), both.subarray(half)];
  const result = await call.device.compareAndWrite(lba * logicalBytes, expected, data, call.command);
  if (result.ok) return moved(2 * half);
  return result.code === 'MISCOMPARE' ? miscompare(result.byteOffset) : refused(result.code);
}

/** Tries of one block against writers that are faster. */
const orTriesMax = 16;

/** Block by block read, merged and put back if nobody came in between: no bit that anyone sets is lost, through any Corelet. */
export async function orWrite(call: Call): Promise<Reply> {
  const { lba, blocks } = blocksOf(call.cdb);
  const data = joined(call.dataOut);
  const start = lba * logicalBytes;
  const length = data.length - (data.length % logicalBytes);
  const range = { lba, blocks: length / logicalBytes };
  const result = await inPortions(call, range, blockBytes, (offset, lengthBytes) =>
    orBlock(call, offset, data.subarray(offset - start, offset - start + lengthBytes)),
  );
  return result.ok ? moved(blocks * logicalBytes) : refused(result.code);
}

async function orBlock({ device, command }: Call, offset: number, bits: Uint8Array): Promise<IoResult> {
  for (let tries = 0; tries < orTriesMax; tries++) {
    const read = await device.read(offset, bits.length);
    if (!read.ok) return read;
    const before = joined(read.parts);
    const after = before.map((byte, i) => byte | (bits[i] as number));
    const result = await device.compareAndWrite(offset, before, after, command);
    if (result.ok) return result;
    if (result.code !== 'MISCOMPARE') return { ok: false, code: result.code };
  }
  return { ok: false, code: 'RETRYABLE' };
}
