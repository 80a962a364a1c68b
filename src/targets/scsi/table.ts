import { readU16, readU32 } from '../../wire/big-endian.ts';
import { opcodes, serviceActions } from '../../wire/scsi/codes.ts';
import type { Sense } from '../../wire/scsi/sense.ts';
import { encodeAllCommands, encodeOneCommand } from '../../wire/scsi/supported-opcodes.ts';
import type { Call, CommandRow, Plan } from './command.ts';
import {
  compareAndWrite,
  orWrite,
  planCompareAndWrite,
  planVerify,
  planWriteAndVerify,
  verify,
  writeAndVerify,
} from './comparing.ts';
import { copyResults, extendedCopy, planCopy, planCopyResults } from './copying.ts';
import {
  capacity10,
  capacity16,
  inquiry,
  planCapacity10,
  planCapacity16,
  planInquiry,
  planPortGroups,
  planReportLuns,
  portGroups,
  reportLuns,
} from './describing.ts';
import {
  defects,
  nothingToDo,
  planDefects,
  planNothing,
  planPrefetch,
  planRequestSense,
  planStartStop,
  planSynchronize,
  requestSense,
  synchronize,
  testReady,
} from './housekeeping.ts';
import { modeSelect, modeSense, planModeSelect, planModeSense } from './modes.ts';
import { lbaStatus, planLbaStatus, planUnmap, planWriteSame, unmap, writeSame } from './provisioning.ts';
import { data, invalidCdb, type Reply } from './reply.ts';
import {
  planReserveIn,
  planReserveOut,
  planSession,
  releaseSession,
  reserveIn,
  reserveOut,
  reserveSession,
} from './reserving.ts';
import { planAtomic, planRead, planWrite, read, write, writeAtomic } from './transfers.ts';

// Every command, once: who may, what it moves, what it does, and which bits of its CDB are looked at. REPORT SUPPORTED OPERATION CODES tells from it.

const four = [0xff, 0xff, 0xff, 0xff] as const;
const eight = [...four, ...four] as const;
const dpoFua = 0x18;
const protect = 0xe0;

/** 10, 12 and 16 bytes with an LBA and a number of blocks. */
const usage10 = (opcode: number, flags: number) => [opcode, flags, ...four, 0, 0xff, 0xff, 0];
const usage12 = (opcode: number, flags: number) => [opcode, flags, ...four, ...four, 0, 0];
const usage16 = (opcode: number, flags: number) => [opcode, flags, ...eight, ...four, 0, 0];

const reading = { right: 'io', plan: planRead, run: read } as const;
const writing = { right: 'io', writes: true, plan: planWrite, run: write } as const;
const verifying = { right: 'io', plan: planVerify, run: verify } as const;
const writingVerified = { right: 'io', writes: true, plan: planWriteAndVerify, run: writeAndVerify } as const;
const fetching = { right: 'read', plan: planPrefetch, run: nothingToDo } as const;
const synchronizing = { right: 'write', plan: planSynchronize, run: synchronize } as const;
const fillingSame = { right: 'io', writes: true, plan: planWriteSame, run: writeSame } as const;
const reservingIn = {
  opcode: opcodes.persistentReserveIn,
  right: 'attend',
  plan: planReserveIn,
  run: reserveIn,
} as const;
const reservingOut = {
  opcode: opcodes.persistentReserveOut,
  right: 'free',
  plan: planReserveOut,
  run: reserveOut,
} as const;
const inUsage = (action: number) => [0x5e, action, 0, 0, 0, 0, 0, 0xff, 0xff, 0];
const outUsage = (action: number, type: number) => [0x5f, action, type, 0, 0, ...four, 0];
const flagsWrite = protect | dpoFua;
const flagsVerify = protect | 0x16;

const blockRows: readonly CommandRow[] = [
  { opcode: opcodes.read6, usage: [0x08, 0x1f, 0xff, 0xff, 0xff, 0], ...reading },
  { opcode: opcodes.write6, usage: [0x0a, 0x1f, 0xff, 0xff, 0xff, 0], ...writing },
  { opcode: opcodes.read10, usage: usage10(0x28, flagsWrite), ...reading },
  { opcode: opcodes.write10, usage: usage10(0x2a, flagsWrite), ...writing },
  { opcode: opcodes.read12, usage: usage12(0xa8, flagsWrite), ...reading },
  { opcode: opcodes.write12, usage: usage12(0xaa, flagsWrite), ...writing },
  { opcode: opcodes.read16, usage: usage16(0x88, flagsWrite), ...reading },
  { opcode: opcodes.write16, usage: usage16(0x8a, flagsWrite), ...writing },
  {
    opcode: opcodes.writeAtomic16,
    usage: [0x9c, flagsWrite, ...eight, 0xff, 0xff, 0xff, 0xff, 0, 0],
    right: 'io',
    writes: true,
    plan: planAtomic,
    run: writeAtomic,
  },
  { opcode: opcodes.verify10, usage: usage10(0x2f, flagsVerify), ...verifying },
  { opcode: opcodes.verify12, usage: usage12(0xaf, flagsVerify), ...verifying },
  { opcode: opcodes.verify16, usage: usage16(0x8f, flagsVerify), ...verifying },
  { opcode: opcodes.writeAndVerify10, usage: usage10(0x2e, flagsVerify), ...writingVerified },
  { opcode: opcodes.writeAndVerify12, usage: usage12(0xae, flagsVerify), ...writingVerified },
  { opcode: opcodes.writeAndVerify16, usage: usage16(0x8e, flagsVerify), ...writingVerified },
  { opcode: opcodes.prefetch10, usage: usage10(0x34, 0x02), ...fetching },
  { opcode: opcodes.prefetch16, usage: usage16(0x90, 0x02), ...fetching },
  { opcode: opcodes.synchronizeCache10, usage: usage10(0x35, 0x02), ...synchronizing },
  { opcode: opcodes.synchronizeCache16, usage: usage16(0x91, 0x02), ...synchronizing },
  { opcode: opcodes.writeSame10, usage: usage10(0x41, protect | 0x1e), ...fillingSame },
  { opcode: opcodes.writeSame16, usage: usage16(0x93, protect | 0x1f), ...fillingSame },
  {
    opcode: opcodes.compareAndWrite,
    usage: [0x89, flagsWrite, ...eight, 0, 0, 0, 0xff, 0, 0],
    right: 'io',
    writes: true,
    plan: planCompareAndWrite,
    run: compareAndWrite,
  },
  {
    opcode: opcodes.orWrite16,
    usage: usage16(0x8b, flagsWrite),
    right: 'io',
    writes: true,
    plan: planWrite,
    run: orWrite,
  },
  {
    opcode: opcodes.unmap,
    usage: [0x42, 0x01, 0, 0, 0, 0, 0, 0xff, 0xff, 0],
    right: 'write',
    writes: true,
    plan: planUnmap,
    run: unmap,
  },
  {
    opcode: opcodes.serviceActionIn16,
    serviceAction: serviceActions.getLbaStatus,
    usage: [0x9e, 0x12, ...eight, ...four, 0, 0],
    right: 'io',
    plan: planLbaStatus,
    run: lbaStatus,
  },
];

const unitRows: readonly CommandRow[] = [
  { opcode: opcodes.testUnitReady, usage: [0, 0, 0, 0, 0, 0], right: 'attend', plan: planNothing, run: testReady },
  {
    opcode: opcodes.requestSense,
    usage: [0x03, 0x01, 0, 0, 0xff, 0],
    right: 'free',
    always: true,
    plan: planRequestSense,
    run: requestSense,
  },
  {
    opcode: opcodes.inquiry,
    usage: [0x12, 0x03, 0xff, 0xff, 0xff, 0],
    right: 'free',
    always: true,
    plan: planInquiry,
    run: inquiry,
  },
  {
    opcode: opcodes.modeSelect6,
    usage: [0x15, 0x11, 0, 0, 0xff, 0],
    right: 'write',
    plan: planModeSelect,
    run: modeSelect,
  },
  {
    opcode: opcodes.modeSelect10,
    usage: [0x55, 0x11, 0, 0, 0, 0, 0, 0xff, 0xff, 0],
    right: 'write',
    plan: planModeSelect,
    run: modeSelect,
  },
  {
    opcode: opcodes.modeSense6,
    usage: [0x1a, 0x08, 0xff, 0xff, 0xff, 0],
    right: 'read',
    plan: planModeSense,
    run: modeSense,
  },
  {
    opcode: opcodes.modeSense10,
    usage: [0x5a, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0],
    right: 'read',
    plan: planModeSense,
    run: modeSense,
  },
  { opcode: opcodes.reserve6, usage: [0x16, 0x1f, 0, 0, 0, 0], right: 'free', plan: planSession, run: reserveSession },
  { opcode: opcodes.release6, usage: [0x17, 0x1f, 0, 0, 0, 0], right: 'free', plan: planSession, run: releaseSession },
  {
    opcode: opcodes.startStopUnit,
    usage: [0x1b, 0, 0, 0, 0x02, 0],
    right: 'write',
    plan: planStartStop,
    run: nothingToDo,
  },
  { opcode: opcodes.preventAllow, usage: [0x1e, 0, 0, 0, 0, 0], right: 'attend', plan: planNothing, run: nothingToDo },
  {
    opcode: opcodes.readCapacity10,
    usage: [0x25, 0, ...four, 0, 0, 0x01, 0],
    right: 'attend',
    plan: planCapacity10,
    run: capacity10,
  },
  {
    opcode: opcodes.serviceActionIn16,
    serviceAction: serviceActions.readCapacity16,
    usage: [0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, ...four, 0, 0],
    right: 'attend',
    plan: planCapacity16,
    run: capacity16,
  },
  {
    opcode: opcodes.readDefectData10,
    usage: [0x37, 0, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0],
    right: 'attend',
    plan: planDefects,
    run: defects,
  },
  {
    opcode: opcodes.readDefectData12,
    usage: [0xb7, 0x1f, 0, 0, 0, 0, ...four, 0, 0],
    right: 'attend',
    plan: planDefects,
    run: defects,
  },
  {
    opcode: opcodes.extendedCopy,
    serviceAction: serviceActions.extendedCopyLid1,
    usage: [0x83, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, ...four, 0, 0],
    right: 'attend',
    writes: true,
    plan: planCopy,
    run: extendedCopy,
  },
  ...[serviceActions.copyStatus, serviceActions.copyOperatingParameters].map(
    (serviceAction): CommandRow => ({
      opcode: opcodes.receiveCopyResults,
      serviceAction,
      usage: [0x84, serviceAction, 0xff, 0, 0, 0, 0, 0, 0, 0, ...four, 0, 0],
      right: 'attend',
      plan: planCopyResults,
      run: copyResults,
    }),
  ),
  {
    opcode: opcodes.reportLuns,
    usage: [0xa0, 0, 0xff, 0, 0, 0, ...four, 0, 0],
    right: 'free',
    always: true,
    plan: planReportLuns,
    run: reportLuns,
  },
  {
    opcode: opcodes.maintenanceIn,
    serviceAction: serviceActions.reportTargetPortGroups,
    usage: [0xa3, 0xea, 0, 0, 0, 0, ...four, 0, 0],
    right: 'free',
    plan: planPortGroups,
    run: portGroups,
  },
  {
    opcode: opcodes.maintenanceIn,
    serviceAction: serviceActions.reportSupportedOpcodes,
    usage: [0xa3, 0x0c, 0x87, 0xff, 0xff, 0xff, ...four, 0, 0],
    right: 'attend',
    plan: planSupported,
    run: supportedOpcodes,
  },
  ...[0, 1, 2, 3].map(
    (serviceAction): CommandRow => ({ ...reservingIn, serviceAction, usage: inUsage(serviceAction) }),
  ),
  ...[0, 1, 2, 3, 4, 5, 6].map((serviceAction): CommandRow => {
    const hasType = serviceAction !== 0 && serviceAction !== 3 && serviceAction !== 6;
    return { ...reservingOut, serviceAction, usage: outUsage(serviceAction, hasType ? 0xff : 0) };
  }),
];

export const commandRows: readonly CommandRow[] = [...blockRows, ...unitRows].sort(
  (a, b) => a.opcode - b.opcode || (a.serviceAction ?? 0) - (b.serviceAction ?? 0),
);

const serviceActionMask = 0x1f;
const noAction = 0x20;
const byCode = new Map(commandRows.map((row) => [(row.opcode << 6) | (row.serviceAction ?? noAction), row]));
const withActions = new Set(commandRows.filter((row) => row.serviceAction !== undefined).map((row) => row.opcode));

/** `opcode` or `action`: which of the two nobody knows here. */
export function rowOf(cdb: Uint8Array): CommandRow | 'opcode' | 'action' {
  const opcode = cdb[0] as number;
  if (!withActions.has(opcode)) return byCode.get((opcode << 6) | noAction) ?? 'opcode';
  return byCode.get((opcode << 6) | ((cdb[1] as number) & serviceActionMask)) ?? 'action';
}

// REPORT SUPPORTED OPERATION CODES (SPC-4 §6.34): 2 RCTD bit 7, REPORTING OPTIONS · 3 operation code · 4 service action u16 · 6 allocation u32

const reportAll = 0;
const reportOpcode = 1;
const reportAction = 2;
const reportEither = 3;
const supportedBytesMax = 4 + 20 * 128;

function planSupported(cdb: Uint8Array): Plan | Sense {
  const option = (cdb[2] as number) & 7;
  const opcode = cdb[3] as number;
  if (option > reportEither) return invalidCdb(2, 2);
  // Asked without a service action where there are some, or with one where there are none.
  if (option === reportOpcode && withActions.has(opcode)) return invalidCdb(2, 2);
  if (option === reportAction && !withActions.has(opcode) && byCode.has((opcode << 6) | noAction))
    return invalidCdb(2, 2);
  return { outBytes: 0, inBytesMax: Math.min(readU32(cdb, 6), supportedBytesMax) };
}

function supportedOpcodes({ cdb }: Call): Reply {
  const option = (cdb[2] as number) & 7;
  const withTimeouts = ((cdb[2] as number) & 0x80) !== 0;
  const allocation = readU32(cdb, 6);
  if (option === reportAll) return data(encodeAllCommands(commandRows, withTimeouts), allocation);
  const opcode = cdb[3] as number;
  const action = readU16(cdb, 4);
  const key = withActions.has(opcode) ? action : noAction;
  const isKnown = option === reportOpcode || withActions.has(opcode) || action === 0;
  const row = isKnown && key <= noAction ? byCode.get((opcode << 6) | key) : undefined;
  return data(encodeOneCommand(row, withTimeouts), allocation);
}
