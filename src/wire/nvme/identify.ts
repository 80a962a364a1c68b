import { ascii, name, raw, structure, u16, u32, u64, u8, u128 } from './layout.ts';
import { writeU32 } from '../little-endian.ts';

export const identifyBytes = 4096;

/** Identify Controller (base §5.17.2.1): what this target fills; everything else is zero. */
export const identifyController = structure(identifyBytes, {
  serial: ascii(4, 20),
  model: ascii(24, 40),
  firmware: ascii(64, 8),
  recommendedBurst: u8(72),
  sharing: u8(76),
  mdts: u8(77),
  cntlid: u16(78),
  version: u32(80),
  offeredEvents: u32(92),
  attributes: u32(96),
  controllerType: u8(111),
  retryDelay1: u16(128),
  abortLimit: u8(258),
  asyncEventLimit: u8(259),
  firmwareSlots: u8(260),
  logAttributes: u8(261),
  errorLogEntries: u8(262),
  warningKelvin: u16(266),
  criticalKelvin: u16(268),
  keepAliveUnits: u16(320),
  anaTransitionSeconds: u8(342),
  anaCapabilities: u8(343),
  anaGroupIdMax: u32(344),
  anaGroups: u32(348),
  sqEntrySizes: u8(512),
  cqEntrySizes: u8(513),
  commandsMax: u16(514),
  namespaces: u32(516),
  optionalCommands: u16(520),
  fusedOperations: u16(522),
  volatileWriteCache: u8(525),
  atomicWriteUnit: u16(526),
  atomicPowerFail: u16(528),
  atomicCompare: u16(532),
  sglSupport: u32(536),
  namespacesAllowed: u32(540),
  subsystemNqn: name(768, 256),
  capsuleUnits: u32(1792),
  responseUnits: u32(1796),
  fabricsAttributes: u8(1802),
  sglDescriptors: u8(1803),
  fabricsCommands: u16(1804),
  powerCentiwatts: u16(2048),
});

/** Identify Namespace (NVM command set §4.1.5.1). Sizes in logical blocks; atomic units and preferences are 0's based. */
export const identifyNamespace = structure(identifyBytes, {
  sizeBlocks: u64(0),
  capacityBlocks: u64(8),
  usedBlocks: u64(16),
  features: u8(24),
  sharing: u8(30),
  reservationTypes: u8(31),
  deallocated: u8(33),
  atomicWrite: u16(34),
  atomicPowerFail: u16(36),
  atomicCompare: u16(38),
  atomicBoundary: u16(40),
  atomicBoundaryPowerFail: u16(44),
  capacityBytes: u128(48),
  writeGranularity: u16(64),
  writeAlignment: u16(66),
  deallocateGranularity: u16(68),
  deallocateAlignment: u16(70),
  optimalWrite: u16(72),
  anaGroup: u32(92),
  attributes: u8(99),
  nguid: raw(104, 16),
  blockSizeLog2: u8(130),
  relativePerformance: u8(131),
});

/** Identify Namespace independent of its command set (base §5.17.2.8). */
export const identifyIndependent = structure(identifyBytes, {
  features: u8(0),
  sharing: u8(1),
  reservationTypes: u8(2),
  anaGroup: u32(4),
  attributes: u8(8),
  status: u8(14),
});

/** What the NVM command set limits (NVM command set §4.1.5.4). Sizes as powers of two of 4 KiB; 0: no limit. */
export const identifyNvm = structure(identifyBytes, {
  writeZeroesLog2: u8(1),
  deallocateRanges: u8(3),
  deallocateRangeBlocks: u32(4),
  deallocateBlocks: u64(8),
});

/** Active namespaces above the one asked for (base §5.17.2.2). */
export function encodeNamespaceList(nsids: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(identifyBytes);
  for (const [i, nsid] of nsids.entries()) writeU32(bytes, 4 * i, nsid);
  return bytes;
}

const descriptorTypes = { nguid: 2, uuid: 3, commandSet: 4 } as const;

/** Namespace identification descriptors (base §5.17.2.3): NGUID, UUID, and that this is the NVM command set. */
export function encodeDescriptors({
  nguid,
  uuid,
}: {
  readonly nguid: Uint8Array;
  readonly uuid: Uint8Array;
}): Uint8Array {
  const bytes = new Uint8Array(identifyBytes);
  let at = 0;
  const put = (type: number, value: Uint8Array): void => {
    bytes[at] = type;
    bytes[at + 1] = value.length;
    bytes.set(value, at + 4);
    at += 4 + value.length;
  };
  put(descriptorTypes.nguid, nguid);
  put(descriptorTypes.uuid, uuid);
  put(descriptorTypes.commandSet, new Uint8Array(1));
  return bytes;
}
