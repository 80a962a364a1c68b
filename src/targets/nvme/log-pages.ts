import { adminOpcodes, anaStates, fabricsOpcode, ioOpcodes, logPages, statuses } from '../../wire/nvme/codes.ts';
import {
  criticalWarnings,
  effects,
  encodeAna,
  encodeChangedNamespaces,
  encodeEffects,
  encodeSupportedLogs,
  firmwareLog,
  healthLog,
} from '../../wire/nvme/logs.ts';
import type { Controller } from './controller.ts';
import type { DiscoveryLog } from './discovery.ts';
import { anaGroupId, namespaceId } from './names.ts';
import type { Shared } from './world.ts';

/** What Get Log Page asks for (base §5.16). */
export interface LogRequest {
  readonly page: number;
  /** Log specific parameter. */
  readonly specific: number;
  /** RAE: the event that told of it stays told. */
  readonly keepsEvent: boolean;
}

const volumePages = [
  logPages.supported,
  logPages.errors,
  logPages.health,
  logPages.firmware,
  logPages.changedNamespaces,
  logPages.effects,
  logPages.ana,
];
const discoveryPages = [logPages.supported, logPages.errors, logPages.discovery];

const thousandSectors = 1000 * 512;
const hourMs = 3_600_000;
const kelvin = 273;
const spareThresholdPercent = 10;

/** The whole page, or why there is none. */
export function readLog(
  controller: Controller,
  discovery: DiscoveryLog,
  request: LogRequest,
  localAddress: string,
): Uint8Array | number | Promise<Uint8Array | number> {
  const { page, keepsEvent } = request;
  const pages: readonly number[] = controller.isDiscovery ? discoveryPages : volumePages;
  if (!pages.includes(page)) return statuses.invalidLogPage;
  if (!keepsEvent) controller.events.logRead(page);
  switch (page) {
    case logPages.supported:
      return encodeSupportedLogs(pages);
    case logPages.errors:
      return controller.errors.encode();
    case logPages.health:
      return health(controller);
    case logPages.firmware:
      return firmwareLog.encode({ active: 1, revision1: controller.shared.version.slice(0, 8) });
    case logPages.changedNamespaces:
      return changedNamespaces(controller, keepsEvent);
    case logPages.effects:
      return commandEffects(controller);
    case logPages.ana:
      return ana(controller, (request.specific & 1) !== 0);
    default:
      return discovery
        .read(localAddress, controller.hostNqn)
        .then((log) => (log === 'RETRYABLE' ? statuses.commandInterrupted : log));
  }
}

function changedNamespaces(controller: Controller, keepsEvent: boolean): Uint8Array {
  const log = encodeChangedNamespaces(controller.isNamespaceChanged ? [namespaceId] : []);
  if (!keepsEvent) controller.isNamespaceChanged = false;
  return log;
}

function ana(controller: Controller, groupsOnly: boolean): Uint8Array {
  const state = controller.isAnaOptimized ? anaStates.optimized : anaStates.inaccessible;
  const nsids = controller.hasNamespace ? [namespaceId] : [];
  return encodeAna(controller.anaChanges, [{ group: anaGroupId, state, nsids }], groupsOnly);
}

function health({ shared, errors, device }: Controller): Uint8Array {
  const { traffic, clock, startedMs } = shared;
  const reading = shared.health();
  const sparePercent = Math.max(0, Math.round(100 - reading.badPercent));
  let criticalWarning = 0;
  if (sparePercent < spareThresholdPercent) criticalWarning |= criticalWarnings.spare;
  if (reading.failed) criticalWarning |= criticalWarnings.reliability;
  if (device?.readOnly === true) criticalWarning |= criticalWarnings.readOnly;
  return healthLog.encode({
    criticalWarning,
    temperatureKelvin: reading.temperatureCelsius === undefined ? 0 : Math.round(reading.temperatureCelsius) + kelvin,
    sparePercent,
    spareThresholdPercent,
    usedPercent: Math.min(255, Math.round(reading.wearPercent ?? 0)),
    unitsRead: Math.ceil(traffic.readBytes / thousandSectors),
    unitsWritten: Math.ceil(traffic.writtenBytes / thousandSectors),
    readCommands: traffic.readCommands,
    writeCommands: traffic.writeCommands,
    busyMinutes: 0,
    powerCycles: 1,
    powerOnHours: Math.floor((clock.nowMs() - startedMs) / hourMs),
    unsafeShutdowns: 0,
    mediaErrors: reading.badReads,
    errorEntries: errors.count,
  });
}

function commandEffects({ device }: Controller): Uint8Array {
  const admin = new Map<number, number>([[fabricsOpcode, effects.supported]]);
  for (const opcode of Object.values(adminOpcodes)) admin.set(opcode, effects.supported);
  const io = new Map<number, number>();
  for (const opcode of Object.values(ioOpcodes)) io.set(opcode, effects.supported);
  for (const opcode of [ioOpcodes.write, ioOpcodes.writeZeroes, ioOpcodes.datasetManagement])
    io.set(opcode, effects.supported | effects.changesContent);
  if (device?.reservations === undefined) {
    for (const name of ['Register', 'Report', 'Acquire', 'Release'] as const)
      io.delete(ioOpcodes[`reservation${name}`]);
  }
  return encodeEffects(admin, io);
}

/** How many bytes from where the host wants. */
export function sliceOf(log: Uint8Array, offset: number, lengthBytes: number): Uint8Array | number {
  if (offset % 4 !== 0 || offset > log.length) return statuses.invalidField;
  const slice = log.subarray(offset, offset + lengthBytes);
  if (slice.length === lengthBytes) return slice;
  const padded = new Uint8Array(lengthBytes);
  padded.set(slice);
  return padded;
}

/** Counts what was done for hosts. */
export function countRead({ traffic }: Shared, lengthBytes: number): void {
  traffic.readCommands += 1;
  traffic.readBytes += lengthBytes;
}
export function countWrite({ traffic }: Shared, lengthBytes: number): void {
  traffic.writeCommands += 1;
  traffic.writtenBytes += lengthBytes;
}
