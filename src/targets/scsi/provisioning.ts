import { joined } from '../../base/bytes.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import type { IoResult } from '../../volume/block-device.ts';
import { worst } from '../../volume/results.ts';
import { readU16, readU32, readU64 } from '../../wire/big-endian.ts';
import type { BlockFields } from '../../wire/scsi/cdb.ts';
import { senseCodes } from '../../wire/scsi/codes.ts';
import { encodeLbaStatus, type LbaExtent } from '../../wire/scsi/lba-status.ts';
import type { Sense } from '../../wire/scsi/sense.ts';
import { decodeUnmap } from '../../wire/scsi/unmap.ts';
import { blocksOf, capacityBlocks, inPortions, lengthByteOf, protectSense, rangeSense } from './blocks.ts';
import type { Admitting, Call, Plan } from './command.ts';
import { logicalBytes, physicalBlocks, scsiLimits } from './limits.ts';
import {
  data,
  ended,
  failed,
  good,
  illegal,
  invalidCdb,
  invalidParameter,
  outOfRange,
  refused,
  type Reply,
} from './reply.ts';

// UNMAP, WRITE SAME, GET LBA STATUS (SBC-3 §5.28, §5.42, §5.43, §5.5).

const anchorBit = 0x10;
const unmapBit = 0x08;
const obsoleteBits = 0x06;
const noDataBit = 0x01;

export function planUnmap(cdb: Uint8Array): Plan | Sense {
  if (((cdb[1] as number) & 1) !== 0) return invalidCdb(1, 0); // ANCHOR
  const outBytes = readU16(cdb, 7);
  return outBytes > scsiLimits.listBytesMax ? invalidCdb(7) : { outBytes, inBytesMax: 0 };
}

export async function unmap(call: Call): Promise<Reply> {
  let ranges: ReturnType<typeof decodeUnmap>;
  try {
    ranges = decodeUnmap(joined(call.dataOut), scsiLimits.unmapDescriptorsMax);
  } catch (error) {
    if (!(error instanceof RemoteProtocolError)) throw error;
    return failed(illegal(senseCodes.parameterListLengthError));
  }
  if (ranges === undefined) return failed(invalidParameter(2));
  let blocks = 0;
  for (const range of ranges) {
    if (rangeSense(range, call.device) !== undefined) return failed(outOfRange);
    blocks += range.blocks;
  }
  if (blocks > scsiLimits.unmapBlocksMax) return failed(invalidParameter(16));
  const result = await unmapAll(call, merged(ranges));
  return ended(result, call.dataOutBytes);
}

/** Neighbours in a list as one range: hosts name block after block, and each range costs a write on a majority. */
function merged(ranges: readonly BlockFields[]): readonly BlockFields[] {
  const whole: BlockFields[] = [];
  for (const range of ranges) {
    const last = whole.at(-1);
    if (last !== undefined && last.lba + last.blocks === range.lba)
      whole[whole.length - 1] = { lba: last.lba, blocks: last.blocks + range.blocks };
    else whole.push(range);
  }
  return whole;
}

/** Several at a time; a command of several is as good as its worst part. */
async function unmapAll(call: Call, ranges: readonly BlockFields[]): Promise<IoResult> {
  const results: IoResult[] = [];
  for (let first = 0; first < ranges.length; first += scsiLimits.unmapsAtOnceMax) {
    const some = ranges.slice(first, first + scsiLimits.unmapsAtOnceMax);
    results.push(
      ...(await Promise.all(
        some.map((range) =>
          inPortions(call, range, scsiLimits.portionBytes, (offset, lengthBytes) =>
            // Not `trim`, which leaves parts of physical blocks as they are: what is unmapped reads as zeros (LBPRZ).
            call.device.zero(offset, lengthBytes, { mayPunch: true }, call.command),
          ),
        ),
      )),
    );
    if (results.some(({ ok }) => !ok)) break;
  }
  return worst(results);
}

export function planWriteSame(cdb: Uint8Array, { device, expectedOutBytes }: Admitting): Plan | Sense {
  const flags = cdb[1] as number;
  const isLong = lengthByteOf(cdb) === 10;
  const fields = blocksOf(cdb);
  const wrong = protectSense(cdb) ?? rangeSense(fields, device);
  if (wrong !== undefined) return wrong;
  if ((flags & anchorBit) !== 0) return invalidCdb(1, 4);
  if ((flags & obsoleteBits) !== 0) return invalidCdb(1, 2);
  const takesNone = (flags & noDataBit) !== 0;
  if (takesNone && !isLong) return invalidCdb(1, 0);
  // WSNZ: "up to the end" would mostly be more than the maximum.
  if (fields.blocks === 0 || fields.blocks > scsiLimits.fillBlocksMax) return invalidCdb(lengthByteOf(cdb));
  const outBytes = takesNone ? 0 : logicalBytes;
  return expectedOutBytes === outBytes ? { outBytes, inBytesMax: 0 } : invalidCdb(lengthByteOf(cdb));
}

/** Zeros need no space, with UNMAP or without; anything else is written, since what is unmapped reads as zeros (LBPRZ). */
export async function writeSame(call: Call): Promise<Reply> {
  const { cdb, device, command } = call;
  const range = blocksOf(cdb);
  const mayPunch = ((cdb[1] as number) & unmapBit) !== 0;
  const block = call.dataOutBytes === 0 ? new Uint8Array(logicalBytes) : joined(call.dataOut);
  const isZero = block.every((byte) => byte === 0);
  const result = await inPortions(call, range, scsiLimits.portionBytes, (offset, lengthBytes) =>
    isZero
      ? device.zero(offset, lengthBytes, { mayPunch }, command)
      : device.writeSame(offset, lengthBytes, block, command),
  );
  return ended(result, call.dataOutBytes);
}

/**
 * Status is kept by physical block. A request into the midst of one is answered from the next on: SBC-3 §5.5.3.3 would have the answer begin
 * with the very LBA asked for, but libiscsi's suite (GetLBAStatus.UnmapSingle) insists on this where physical blocks are larger.
 */
function firstStatusLba(lba: number, capacity: number): number {
  const next = Math.ceil(lba / physicalBlocks) * physicalBlocks;
  return next < capacity ? next : lba;
}

const statusHeadBytes = 8;
const statusEachBytes = 16;

export function planLbaStatus(cdb: Uint8Array, { device }: Admitting): Plan | Sense {
  if (readU64(cdb, 2) >= capacityBlocks(device)) return outOfRange;
  const most = statusHeadBytes + statusEachBytes * scsiLimits.statusExtentsMax;
  return { outBytes: 0, inBytesMax: Math.min(readU32(cdb, 10), most) };
}

export async function lbaStatus({ cdb, device }: Call): Promise<Reply> {
  const first = firstStatusLba(readU64(cdb, 2), capacityBlocks(device));
  const allocation = readU32(cdb, 10);
  if (allocation === 0) return good;
  const start = first * logicalBytes;
  const answer = await device.extents(start, capacityBlocks(device) * logicalBytes - start);
  if (!answer.ok) return refused(answer.code);
  const room = Math.floor((allocation - statusHeadBytes) / statusEachBytes);
  const most = Math.max(1, Math.min(room, scsiLimits.statusExtentsMax));
  const extents: LbaExtent[] = [];
  let lba = first;
  for (const { lengthBytes, kind } of answer.extents.slice(0, most)) {
    const blocks = Math.floor(lengthBytes / logicalBytes);
    extents.push({ lba, blocks, isMapped: kind === 'data' });
    lba += blocks;
  }
  return data(encodeLbaStatus(extents), allocation);
}
