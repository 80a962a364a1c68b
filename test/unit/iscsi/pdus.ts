import fc from 'fast-check';
import { asyncMessage } from '../../../src/wire/iscsi/async-message.ts';
import { dataIn } from '../../../src/wire/iscsi/data-in.ts';
import { dataOut } from '../../../src/wire/iscsi/data-out.ts';
import type { PduCodec } from '../../../src/wire/iscsi/header.ts';
import { loginRequest, loginResponse } from '../../../src/wire/iscsi/login-pdu.ts';
import { logoutRequest, logoutResponse } from '../../../src/wire/iscsi/logout.ts';
import { nopIn, nopOut } from '../../../src/wire/iscsi/nop.ts';
import { readyToTransfer } from '../../../src/wire/iscsi/r2t.ts';
import { reject } from '../../../src/wire/iscsi/reject.ts';
import { scsiCommand } from '../../../src/wire/iscsi/scsi-command.ts';
import { noResidual, scsiResponse } from '../../../src/wire/iscsi/scsi-response.ts';
import { taskRequest, taskResponse } from '../../../src/wire/iscsi/task-management.ts';
import { textRequest, textResponse } from '../../../src/wire/iscsi/text-pdu.ts';

const u7 = fc.integer({ min: 0, max: 0x7f });
const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.oneof(
  fc.integer({ min: 0, max: 0xffff_ffff }),
  fc.constantFrom(0, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
);
const dataBytes = fc.integer({ min: 0, max: 0xff_ffff });
const lun = fc.uint8Array({ minLength: 8, maxLength: 8 });
const cdb = fc.uint8Array({ minLength: 16, maxLength: 16 });
const isid = fc.stringMatching(/^[0-9a-f]{12}$/);
const stage = fc.integer({ min: 0, max: 3 });
const additionalBytes = fc.integer({ min: 0, max: 255 }).map((words) => words * 4);
const flag = fc.boolean();
const numbers = { statSn: u32, expCmdSn: u32, maxCmdSn: u32 };
const stagesOf = { transit: flag, continued: flag, currentStage: stage, nextStage: stage };
const asked = { immediate: flag, taskTag: u32, cmdSn: u32, expStatSn: u32, dataBytes };
const residual = fc.oneof(
  fc.constant(noResidual),
  fc.record(
    { kind: fc.constantFrom('underflow' as const, 'overflow' as const), bytes: u32 },
    { noNullPrototype: true },
  ),
);
const status = fc.option(u8, { nil: undefined });

export interface PduKind {
  readonly name: string;
  readonly codec: PduCodec<unknown>;
  readonly fields: fc.Arbitrary<unknown>;
  readonly fromInitiator: boolean;
}

function kind<Fields>(
  name: string,
  codec: PduCodec<Fields>,
  fields: { [Name in keyof Fields]: fc.Arbitrary<Fields[Name]> },
): PduKind {
  const fromInitiator = codec.opcode < 0x20;
  return {
    name,
    codec: codec as PduCodec<unknown>,
    fields: fc.record(fields as never, { noNullPrototype: true }) as never,
    fromInitiator,
  };
}

export const pduKinds: readonly PduKind[] = [
  kind('NOP-Out', nopOut, { ...asked, lun, transferTag: u32 }),
  kind('NOP-In', nopIn, { ...numbers, lun, taskTag: u32, transferTag: u32, dataBytes }),
  kind('SCSI Command', scsiCommand, {
    ...asked,
    final: flag,
    read: flag,
    write: flag,
    attribute: fc.integer({ min: 0, max: 7 }),
    lun,
    expectedBytes: u32,
    cdb,
    additionalBytes,
  }),
  kind('SCSI Response', scsiResponse, {
    ...numbers,
    response: u8,
    status: u8,
    residual,
    taskTag: u32,
    expDataSn: u32,
    dataBytes,
  }),
  kind('SCSI Data-Out', dataOut, {
    final: flag,
    lun,
    taskTag: u32,
    transferTag: u32,
    expStatSn: u32,
    dataSn: u32,
    bufferOffset: u32,
    dataBytes,
  }),
  kind('SCSI Data-In', dataIn, {
    ...numbers,
    final: flag,
    status,
    residual,
    taskTag: u32,
    dataSn: u32,
    bufferOffset: u32,
    dataBytes,
  }),
  kind('R2T', readyToTransfer, {
    ...numbers,
    lun,
    taskTag: u32,
    transferTag: u32,
    r2tSn: u32,
    bufferOffset: u32,
    desiredBytes: u32,
  }),
  kind('Task Management Request', taskRequest, {
    ...asked,
    function: u7,
    lun,
    referencedTag: u32,
    referencedCmdSn: u32,
  }),
  kind('Task Management Response', taskResponse, { ...numbers, response: u8, taskTag: u32 }),
  kind('Login Request', loginRequest, {
    ...stagesOf,
    versionMax: u8,
    versionMin: u8,
    isid,
    tsih: u16,
    taskTag: u32,
    connectionId: u16,
    cmdSn: u32,
    expStatSn: u32,
    dataBytes,
  }),
  kind('Login Response', loginResponse, {
    ...stagesOf,
    ...numbers,
    isid,
    tsih: u16,
    taskTag: u32,
    status: u16,
    dataBytes,
  }),
  kind('Text Request', textRequest, { ...asked, final: flag, continued: flag, lun, transferTag: u32 }),
  kind('Text Response', textResponse, {
    ...numbers,
    final: flag,
    continued: flag,
    lun,
    taskTag: u32,
    transferTag: u32,
    dataBytes,
  }),
  kind('Logout Request', logoutRequest, { ...asked, reason: u7, connectionId: u16 }),
  kind('Logout Response', logoutResponse, {
    ...numbers,
    response: u8,
    taskTag: u32,
    time2WaitSeconds: u16,
    time2RetainSeconds: u16,
  }),
  kind('Reject', reject, { ...numbers, reason: u8, dataBytes }),
  kind('Asynchronous Message', asyncMessage, {
    ...numbers,
    event: u8,
    parameter1: u16,
    parameter2: u16,
    parameter3: u16,
    dataBytes,
  }),
];
