import { ascii, name, raw, structure, u16, u32, u64, u8, u128 } from './layout.ts';
import { writeU32 } from '../little-endian.ts';

/** One entry of the error log (base §5.16.1.2), newest first. */
export const errorEntry = structure(64, {
  count: u64(0),
  sqid: u16(8),
  cid: u16(10),
  status: u16(12),
  parameterAt: u16(14),
  lba: u64(16),
  nsid: u32(24),
  transport: u8(29),
});

/** Health (base §5.16.1.3). Temperatures in kelvins, data in thousands of 512 bytes, times in minutes and hours. */
export const healthLog = structure(512, {
  criticalWarning: u8(0),
  temperatureKelvin: u16(1),
  sparePercent: u8(3),
  spareThresholdPercent: u8(4),
  usedPercent: u8(5),
  unitsRead: u128(32),
  unitsWritten: u128(48),
  readCommands: u128(64),
  writeCommands: u128(80),
  busyMinutes: u128(96),
  powerCycles: u128(112),
  powerOnHours: u128(128),
  unsafeShutdowns: u128(144),
  mediaErrors: u128(160),
  errorEntries: u128(176),
});
export const criticalWarnings = { spare: 1, temperature: 2, reliability: 4, readOnly: 8 } as const;

export const firmwareLog = structure(512, { active: u8(0), revision1: ascii(8, 8) });

/** Changed namespaces: their ids, 1,024 at most. */
export function encodeChangedNamespaces(nsids: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4096);
  for (const [i, nsid] of nsids.entries()) writeU32(bytes, 4 * i, nsid);
  return bytes;
}

export const effects = { supported: 1, changesContent: 2 } as const;

/** Which commands there are, by opcode, and what they change (base §5.16.1.6). */
export function encodeEffects(admin: ReadonlyMap<number, number>, io: ReadonlyMap<number, number>): Uint8Array {
  const bytes = new Uint8Array(4096);
  for (const [opcode, effect] of admin) writeU32(bytes, 4 * opcode, effect);
  for (const [opcode, effect] of io) writeU32(bytes, 1024 + 4 * opcode, effect);
  return bytes;
}

/** Which log pages there are: bit 0 of the u32 of each (base §5.16.1.1). */
export function encodeSupportedLogs(ids: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(1024);
  for (const id of ids) writeU32(bytes, 4 * id, 1);
  return bytes;
}

export const anaHeader = structure(16, { changeCount: u64(0), groups: u16(8) });
export const anaGroup = structure(32, { group: u32(0), namespaces: u32(4), changeCount: u64(8), state: u8(16) });

export interface AnaGroup {
  readonly group: number;
  readonly state: number;
  readonly nsids: readonly number[];
}

/** Asymmetric access of namespaces (base §5.16.1.13). `groupsOnly`: without the ids of namespaces. */
export function encodeAna(changeCount: number, groups: readonly AnaGroup[], groupsOnly: boolean): Uint8Array {
  let sizeBytes = anaHeader.sizeBytes;
  for (const { nsids } of groups) sizeBytes += anaGroup.sizeBytes + (groupsOnly ? 0 : 4 * nsids.length);
  const bytes = new Uint8Array(sizeBytes);
  anaHeader.write(bytes, 0, { changeCount, groups: groups.length });
  let at = anaHeader.sizeBytes;
  for (const { group, state, nsids } of groups) {
    anaGroup.write(bytes, at, { group, namespaces: groupsOnly ? 0 : nsids.length, changeCount, state });
    at += anaGroup.sizeBytes;
    if (groupsOnly) continue;
    for (const nsid of nsids) {
      writeU32(bytes, at, nsid);
      at += 4;
    }
  }
  return bytes;
}

/** Discovery (base §5.16.1.23): a header, then an entry for each way to a subsystem. */
export const discoveryHeader = structure(1024, { generation: u64(0), records: u64(8), recordFormat: u16(16) });
export const discoveryEntry = structure(1024, {
  transport: u8(0),
  addressFamily: u8(1),
  subsystemType: u8(2),
  requirements: u8(3),
  portId: u16(4),
  cntlid: u16(6),
  adminQueueEntries: u16(8),
  flags: u16(10),
  service: ascii(32, 32),
  subsystemNqn: name(256, 256),
  address: ascii(512, 256),
  transportSpecific: raw(768, 256),
});
export const transports = { tcp: 3 } as const;
export const addressFamilies = { ipv4: 1, ipv6: 2 } as const;
export const subsystemTypes = { discovery: 1, storage: 2, currentDiscovery: 3 } as const;
