import { joined } from '../../base/bytes.ts';
import type { BlockDevice } from '../../volume/block-device.ts';
import { readU32 } from '../../wire/big-endian.ts';
import { senseCodes, senseKeys, serviceActions } from '../../wire/scsi/codes.ts';
import {
  type CopyList,
  type CopyRefusal,
  type CopySegment,
  decodeCopyList,
  encodeCopyParameters,
  encodeCopyStatus,
} from '../../wire/scsi/copy.ts';
import type { Sense } from '../../wire/scsi/sense.ts';
import { inPortions, rangeSense } from './blocks.ts';
import type { Call, Plan } from './command.ts';
import { logicalBytes, scsiLimits } from './limits.ts';
import { data, failed, good, illegal, invalidCdb, moved, refused, type Reply } from './reply.ts';

// EXTENDED COPY (LID1) and RECEIVE COPY RESULTS (SPC-4 §6.4, §6.26): volumes of this cluster, from one to another, through this Corelet.

function aborted(code: number): Sense {
  return { key: senseKeys.copyAborted, code };
}

export function planCopy(cdb: Uint8Array): Plan | Sense {
  const outBytes = readU32(cdb, 10);
  return outBytes > scsiLimits.listBytesMax
    ? illegal(senseCodes.parameterListLengthError)
    : { outBytes, inBytesMax: 0 };
}

export async function extendedCopy(call: Call): Promise<Reply> {
  if (readU32(call.cdb, 10) === 0) return good;
  const list = decodeCopyList(joined(call.dataOut));
  if (typeof list === 'string') return failed(refusalSense(list));
  const opened: BlockDevice[] = [];
  try {
    const devices = await openTargets(call, list, opened);
    if (devices === undefined) return failed(aborted(senseCodes.copyTargetNotReachable));
    return await copyAll(call, list, devices);
  } finally {
    for (const device of opened) device.close();
  }
}

function refusalSense(refusal: CopyRefusal): Sense {
  switch (refusal) {
    case 'LENGTH':
      return illegal(senseCodes.parameterListLengthError);
    case 'TOO_MANY_TARGETS':
      return illegal(senseCodes.tooManyTargetDescriptors);
    case 'TOO_MANY_SEGMENTS':
      return illegal(senseCodes.tooManySegmentDescriptors);
    case 'TARGET_TYPE':
      return illegal(senseCodes.unsupportedTargetDescriptor);
    case 'SEGMENT_TYPE':
      return illegal(senseCodes.unsupportedSegmentDescriptor);
    case 'INLINE_DATA':
      return illegal(senseCodes.inlineDataLength);
  }
}

/** Undefined: one of them names nothing that this initiator can reach. `opened` are to be closed afterwards. */
async function openTargets(
  call: Call,
  { targets }: CopyList,
  opened: BlockDevice[],
): Promise<readonly BlockDevice[] | undefined> {
  const devices: BlockDevice[] = [];
  for (const target of targets) {
    const device = await call.unit.deviceOf(target, call.device, call.nexus);
    if (device === undefined) return undefined;
    if (device !== call.device) opened.push(device);
    devices.push(device);
  }
  return devices;
}

async function copyAll(call: Call, { listId, segments }: CopyList, devices: readonly BlockDevice[]): Promise<Reply> {
  let blocks = 0;
  let done = 0;
  let reply: Reply = moved(call.dataOutBytes);
  for (const segment of segments) {
    reply = await copySegment(call, segment, devices);
    if (reply === 'UNKNOWN' || reply.status !== 0) break;
    reply = moved(call.dataOutBytes);
    blocks += segment.blocks;
    done += 1;
  }
  call.nexus.copies.put(listId, { isDone: done === segments.length, segments: done, blocks });
  // What was copied before stays: "try again" would say that nothing has happened.
  const isBusy = reply !== 'UNKNOWN' && reply.status !== 0 && reply.sense === undefined;
  return isBusy && done > 0 ? failed(aborted(senseCodes.none)) : reply;
}

async function copySegment(call: Call, segment: CopySegment, devices: readonly BlockDevice[]): Promise<Reply> {
  const source = devices[segment.sourceIndex];
  const destination = devices[segment.destinationIndex];
  if (source === undefined || destination === undefined) return failed(aborted(senseCodes.copyTargetNotReachable));
  const { blocks } = segment;
  const from = { lba: segment.sourceLba, blocks };
  const to = { lba: segment.destinationLba, blocks };
  const isOutside = rangeSense(from, source) ?? rangeSense(to, destination);
  if (isOutside !== undefined) return failed(aborted(senseCodes.none));
  const shift = (segment.sourceLba - segment.destinationLba) * logicalBytes;
  const result = await inPortions(call, to, scsiLimits.copyPortionBytes, async (offset, lengthBytes) => {
    const read = await source.read(offset + shift, lengthBytes);
    return read.ok ? destination.write(offset, read.parts, call.command) : read;
  });
  return result.ok ? good : refused(result.code);
}

const resultsBytesMax = 64;

export function planCopyResults(cdb: Uint8Array): Plan | Sense {
  return { outBytes: 0, inBytesMax: Math.min(readU32(cdb, 10), resultsBytesMax) };
}

export function copyResults({ cdb, nexus }: Call): Reply {
  const allocation = readU32(cdb, 10);
  if (((cdb[1] as number) & 0x1f) === serviceActions.copyOperatingParameters)
    return data(encodeCopyParameters(logicalBytes), allocation);
  const status = nexus.copies.take(cdb[2] as number);
  return status === undefined ? failed(invalidCdb(2)) : data(encodeCopyStatus(status), allocation);
}
