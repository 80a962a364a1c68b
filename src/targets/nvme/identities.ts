import { identifies, noticeBits, statuses } from '../../wire/nvme/codes.ts';
import {
  encodeDescriptors,
  encodeNamespaceList,
  identifyBytes,
  identifyController,
  identifyIndependent,
  identifyNamespace,
  identifyNvm,
} from '../../wire/nvme/identify.ts';
import { type Controller, nvmeVersion } from './controller.ts';
import {
  adminInCapsuleBytesMax,
  asyncEventsMax,
  deallocateBlocksMax,
  deallocateRangeBlocksMax,
  deallocateRangesMax,
  errorEntriesMax,
  inCapsuleBytesMax,
  keepAliveUnits,
  lbaBytes,
  lbaLog2,
  mdtsLog2,
} from './limits.ts';
import { anaGroupId, namespaceId, serialOf, uuidOf } from './names.ts';

const controllerTypes = { io: 1, discovery: 2 } as const;
/** More than one port, more than one controller, reports ANA. */
const sharing = 1 | 2 | 8;
const hostIds128 = 1;
const trafficKeepsAlive = 1 << 6;
/** Active firmware can't be changed: one slot, read only. */
const firmwareSlots = 1 | (1 << 1);
/** Supports, effects; offsets and lengths of 32 bits; supported pages. */
const logAttributes = 0b10_0110;
/** Optimized, inaccessible are told; the group of a namespace doesn't change while it is attached. */
const anaCapabilities = 0b1_0101 | (1 << 6);
const anaTransitionSeconds = 30;
const optional = { compare: 1, deallocate: 4, writeZeroes: 8, reservations: 32 } as const;
/** Flush with any namespace id; no volatile cache: an acknowledged write is durable. */
const noVolatileCache = 0b110;
/** Data blocks; offsets in capsules. */
const sglSupport = 1 | (1 << 20);
/** Kinds of reservations, kept through a power loss; keys are ignored as of version 1.3. */
const reservationTypes = 0xff;
/** Atomic writes: 4 KiB, aligned (design §10.15). 0's based. */
const atomicBlocks = 4096 / lbaBytes - 1;
/** Thin, atomic units are the namespace's, preferred sizes are told. */
const namespaceFeatures = 1 | 2 | (1 << 4);
/** Deallocated blocks read as zeros; Write Zeroes may deallocate. */
const deallocated = 1 | 8;
const chunkBlocks = (1024 * 1024) / lbaBytes - 1;
const kelvin = 273;
/** Limits of a disk, not of a machine: no device here is warned of below them. */
const temperatures = { warning: kelvin + 70, critical: kelvin + 80 } as const;
/** 500 ms (units of 100 ms). */
const retryDelay = 5;
/** Write Zeroes takes what 16 bits of blocks can say: 32 MiB. */
const writeZeroesLog2 = 13;

/** Identify (base §5.17). @returns the 4,096 bytes, or why not. */
export function identify(
  controller: Controller,
  nsid: number,
  structure: number,
  commandSet: number,
): Uint8Array | number {
  if (structure === identifies.controller) return controllerData(controller);
  if (controller.isDiscovery) return statuses.invalidField;
  switch (structure) {
    case identifies.namespace:
      return ofNamespace(controller, nsid, namespaceData);
    case identifies.activeNamespaces:
      return list(controller, nsid);
    case identifies.activeNamespacesOfCommandSet:
      return commandSet === 0 ? list(controller, nsid) : statuses.invalidField;
    case identifies.descriptors:
      return controller.hasNamespace && nsid === namespaceId ? descriptors(controller) : statuses.invalidNamespace;
    case identifies.namespaceOfCommandSet:
      return commandSet === 0
        ? ofNamespace(controller, nsid, () => new Uint8Array(identifyBytes))
        : statuses.invalidField;
    case identifies.controllerOfCommandSet:
      return commandSet === 0 ? nvmData() : statuses.invalidField;
    case identifies.namespaceIndependent:
      return ofNamespace(controller, nsid, independentData);
    default:
      return statuses.invalidField;
  }
}

/** An inactive namespace is all zeros; one that can't be is an error. */
function ofNamespace(
  controller: Controller,
  nsid: number,
  data: (controller: Controller) => Uint8Array,
): Uint8Array | number {
  if (nsid !== namespaceId) return statuses.invalidNamespace;
  return controller.hasNamespace ? data(controller) : new Uint8Array(identifyBytes);
}

function list(controller: Controller, above: number): Uint8Array | number {
  if (above >= 0xffff_fffe) return statuses.invalidNamespace;
  return encodeNamespaceList(controller.hasNamespace && above < namespaceId ? [namespaceId] : []);
}

function descriptors({ device, shared }: Controller): Uint8Array {
  const uuid = uuidOf(shared.cluster, (device as NonNullable<typeof device>).id);
  return encodeDescriptors({ nguid: uuid, uuid });
}

function controllerData(controller: Controller): Uint8Array {
  const { device, shared, cntlid, subsystemNqn, isDiscovery } = controller;
  const io = device !== undefined;
  return identifyController.encode({
    serial: io ? serialOf(device.id) : shared.cluster.slice(0, 20),
    model: 'Corelet',
    firmware: shared.version.slice(0, 8),
    recommendedBurst: 0,
    sharing: io ? sharing : 0,
    mdts: mdtsLog2,
    cntlid,
    version: nvmeVersion,
    offeredEvents: isDiscovery ? noticeBits.discoveryChanged : noticeBits.namespaceChanged | noticeBits.anaChanged,
    attributes: hostIds128 | trafficKeepsAlive,
    controllerType: io ? controllerTypes.io : controllerTypes.discovery,
    retryDelay1: io ? retryDelay : 0,
    abortLimit: 3,
    asyncEventLimit: asyncEventsMax - 1,
    firmwareSlots,
    logAttributes,
    errorLogEntries: errorEntriesMax - 1,
    warningKelvin: io ? temperatures.warning : 0,
    criticalKelvin: io ? temperatures.critical : 0,
    keepAliveUnits,
    anaTransitionSeconds: io ? anaTransitionSeconds : 0,
    anaCapabilities: io ? anaCapabilities : 0,
    anaGroupIdMax: io ? anaGroupId : 0,
    anaGroups: io ? 1 : 0,
    sqEntrySizes: 0x66,
    cqEntrySizes: 0x44,
    commandsMax: shared.limits.queueEntriesMax,
    namespaces: io ? namespaceId : 0,
    optionalCommands: io ? optionalCommands(controller) : 0,
    fusedOperations: io ? 1 : 0,
    volatileWriteCache: io ? noVolatileCache : 0,
    atomicWriteUnit: io ? atomicBlocks : 0,
    atomicPowerFail: io ? atomicBlocks : 0,
    atomicCompare: io ? atomicBlocks : 0,
    sglSupport,
    namespacesAllowed: io ? namespaceId : 0,
    subsystemNqn,
    capsuleUnits: (64 + (io ? inCapsuleBytesMax : adminInCapsuleBytesMax)) / 16,
    responseUnits: 1,
    fabricsAttributes: 0,
    sglDescriptors: 1,
    fabricsCommands: 1,
    powerCentiwatts: 0,
  });
}

function optionalCommands({ device }: Controller): number {
  return (
    optional.compare |
    optional.deallocate |
    optional.writeZeroes |
    (device?.reservations === undefined ? 0 : optional.reservations)
  );
}

function reservationsOf({ device }: Controller): number {
  return device?.reservations === undefined ? 0 : reservationTypes;
}

function namespaceData(controller: Controller): Uint8Array {
  const { shared, device, sizeBytes } = controller;
  const blocks = Math.floor(sizeBytes / lbaBytes);
  return identifyNamespace.encode({
    sizeBlocks: blocks,
    capacityBlocks: blocks,
    usedBlocks: blocks,
    features: namespaceFeatures,
    sharing: 1,
    reservationTypes: reservationsOf(controller),
    deallocated,
    atomicWrite: atomicBlocks,
    atomicPowerFail: atomicBlocks,
    atomicCompare: atomicBlocks,
    atomicBoundary: atomicBlocks,
    atomicBoundaryPowerFail: atomicBlocks,
    capacityBytes: sizeBytes,
    writeGranularity: atomicBlocks,
    writeAlignment: atomicBlocks,
    deallocateGranularity: atomicBlocks,
    deallocateAlignment: atomicBlocks,
    optimalWrite: chunkBlocks,
    anaGroup: anaGroupId,
    attributes: device?.readOnly === true ? 1 : 0,
    nguid: uuidOf(shared.cluster, (device as NonNullable<typeof device>).id),
    blockSizeLog2: lbaLog2,
    relativePerformance: 0,
  });
}

function independentData(controller: Controller): Uint8Array {
  return identifyIndependent.encode({
    features: 0,
    sharing: 1,
    reservationTypes: reservationsOf(controller),
    anaGroup: anaGroupId,
    attributes: controller.device?.readOnly === true ? 1 : 0,
    status: 1,
  });
}

function nvmData(): Uint8Array {
  return identifyNvm.encode({
    writeZeroesLog2,
    deallocateRanges: deallocateRangesMax,
    deallocateRangeBlocks: deallocateRangeBlocksMax,
    deallocateBlocks: deallocateBlocksMax,
  });
}
