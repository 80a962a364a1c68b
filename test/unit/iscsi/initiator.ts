import assert from 'node:assert/strict';
import { crc32c } from '../../../src/base/crc32c.ts';
import { systemHashes } from '../../../src/platform/hashes.ts';
import { createRandom } from '../../../src/platform/random.ts';
import type { Clock } from '../../../src/ports/clock.ts';
import type { IscsiConnection } from '../../../src/targets/iscsi/connection.ts';
import type { TargetAccess, TargetDirectory } from '../../../src/targets/iscsi/directory.ts';
import type { IscsiLimits } from '../../../src/targets/iscsi/limits.ts';
import { targetName } from '../../../src/targets/iscsi/names.ts';
import type { IscsiOutput } from '../../../src/targets/iscsi/output.ts';
import { IscsiTarget } from '../../../src/targets/iscsi/target.ts';
import { ScsiDeviceServer } from '../../../src/targets/scsi/server.ts';
import type { ChapRules } from '../../../src/volume/access.ts';
import { reservedTag, stages, targetOpcodes } from '../../../src/wire/iscsi/codes.ts';
import { type DataIn, dataIn } from '../../../src/wire/iscsi/data-in.ts';
import { type DataOut, dataOut } from '../../../src/wire/iscsi/data-out.ts';
import { writeDigest } from '../../../src/wire/iscsi/digest.ts';
import { digestBytes, headerBytes, opcodeOf, paddedBytes, type PduCodec } from '../../../src/wire/iscsi/header.ts';
import {
  type LoginRequest,
  loginRequest,
  type LoginResponse,
  loginResponse,
} from '../../../src/wire/iscsi/login-pdu.ts';
import { type LogoutRequest, logoutRequest, logoutResponse } from '../../../src/wire/iscsi/logout.ts';
import { type NopOut, nopOut } from '../../../src/wire/iscsi/nop.ts';
import { type ReadyToTransfer, readyToTransfer } from '../../../src/wire/iscsi/r2t.ts';
import { reject } from '../../../src/wire/iscsi/reject.ts';
import { type ScsiCommandPdu, scsiCommand } from '../../../src/wire/iscsi/scsi-command.ts';
import { decodeSense, scsiResponse, type ScsiResponsePdu } from '../../../src/wire/iscsi/scsi-response.ts';
import { type TaskRequest, taskRequest, taskResponse } from '../../../src/wire/iscsi/task-management.ts';
import { decodeText, encodeText, type TextPair } from '../../../src/wire/iscsi/text.ts';
import { type TextRequest, textRequest, textResponse } from '../../../src/wire/iscsi/text-pdu.ts';
import { type Pdu, PduReader } from '../../../src/targets/iscsi/pdu-reader.ts';
import { ManualClock } from '../nbd/clocks.ts';
import { MemoryCatalog, MemoryDevice } from '../nbd/memory-device.ts';
import { until } from '../nbd/session-client.ts';
import { flat, rwCdb } from './payload.ts';

export { flat, pattern, rwCdb, senseText } from './payload.ts';

export const initiatorName = 'iqn.2026-01.test:host';
export const blockBytes = 512;
const noBytes = new Uint8Array(0);
const lunZero = new Uint8Array(8);

/** One Corelet's target over a volume in memory, without sockets. */
export class TestTarget {
  readonly clock = new ManualClock();
  readonly device: MemoryDevice;
  readonly target: IscsiTarget;
  /** By volume; `vol` is open to all. */
  readonly access = new Map<string, TargetAccess>([['vol', { kind: 'granted', chap: undefined }]]);
  readonly otherPortals: { address: string; groupTag: number }[] = [];
  /** Set to say that volumes can't be listed now. */
  isListless = false;

  constructor(limits: Partial<IscsiLimits> = {}, sizeBytes = 8 * 1024 * 1024, realTime?: Clock) {
    this.device = new MemoryDevice({ name: 'vol', sizeBytes });
    const { access, otherPortals } = this;
    const clock = realTime ?? this.clock;
    const port = { relativePort: 1, portGroup: 1 };
    const scsi = new ScsiDeviceServer({
      catalog: new MemoryCatalog(this.device),
      clock,
      port,
      portGroups: () => [{ ...port, state: 'activeOptimized' }],
      targetName,
    });
    const directory: TargetDirectory = {
      groupTag: 1,
      volumesFor: async () => (this.isListless ? 'retry' : [...access.keys()]),
      access: async (volume) => access.get(volume) ?? { kind: 'notFound' },
      otherPortals: () => otherPortals,
    };
    this.target = new IscsiTarget({ scsi, directory, clock, random: createRandom(), hashes: systemHashes, limits });
  }

  wantChap(chap: ChapRules): void {
    this.access.set('vol', { kind: 'granted', chap });
  }
}

export interface LoginOptions {
  readonly keys?: readonly TextPair[];
  readonly discovery?: boolean;
  readonly isid?: string;
  readonly name?: string;
  readonly volume?: string;
}

export interface Answer {
  readonly status: number;
  readonly data: Uint8Array;
  readonly sense: Uint8Array;
  readonly residual: ScsiResponsePdu['residual'];
}

/** An initiator wired straight to a connection: no socket, every PDU and every pause visible. */
export class Initiator implements IscsiOutput {
  readonly localAddress = '127.0.0.1:3260';
  readonly remoteAddress = '127.0.0.1:40000';
  readonly connection: IscsiConnection;
  isPaused = false;
  isEnded = false;
  isDestroyed = false;
  /** What `send` left behind, as far as it says. */
  queuedBytes = 0;
  /** Makes `send` say that enough is queued. */
  isSlowReader = false;
  /** What was received and not yet looked at. */
  readonly received: Pdu[] = [];
  cmdSn = 1;
  nextTag = 100;
  headerDigest = false;
  dataDigest = false;
  readonly #reader = new PduReader(0xff_ffff);

  /** `wire`: something else than a connection in this process that takes the bytes. */
  constructor(target: TestTarget, wire?: Pick<IscsiConnection, 'receive'>) {
    this.connection = (wire as IscsiConnection | undefined) ?? target.target.open(this);
    if (wire !== undefined) return;
    this.connection.start();
  }

  // ---- the connection's side -------------------------------------------------------------------------------------------

  send(pieces: readonly Uint8Array[]): boolean {
    assert.ok(!this.isClosed, 'nothing is sent on a closed connection');
    for (const piece of pieces) this.#reader.push(piece.slice());
    for (let pdu = this.#reader.next(); pdu !== undefined; pdu = this.#reader.next()) {
      assert.equal(pdu.fault, 'none');
      this.received.push(pdu);
      if (opcodeOf(pdu.header, 0) === targetOpcodes.loginResponse) this.#afterLogin(pdu);
    }
    return !this.isSlowReader;
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  end(): void {
    this.isEnded = true;
  }
  destroy(): void {
    this.isDestroyed = true;
  }
  get isClosed(): boolean {
    return this.isEnded || this.isDestroyed;
  }

  // ---- what it sends ---------------------------------------------------------------------------------------------------

  /** Raw bytes of a PDU, digests included as agreed. */
  bytesOf<Fields>(codec: PduCodec<Fields>, fields: Fields, data: Uint8Array = noBytes): Uint8Array {
    const header = new Uint8Array(headerBytes);
    codec.encode(fields, header, 0);
    return this.framed(header, data);
  }

  framed(header: Uint8Array, data: Uint8Array): Uint8Array {
    const headDigest = this.headerDigest ? digestBytes : 0;
    const padded = paddedBytes(data.length);
    const tail = this.dataDigest && data.length > 0 ? digestBytes : 0;
    const bytes = new Uint8Array(headerBytes + headDigest + padded + tail);
    bytes.set(header);
    if (headDigest > 0) writeDigest(bytes, headerBytes, crc32c(header));
    const at = headerBytes + headDigest;
    bytes.set(data, at);
    if (tail > 0) writeDigest(bytes, at + padded, crc32c(bytes.subarray(at, at + padded)));
    return bytes;
  }

  push<Fields>(codec: PduCodec<Fields>, fields: Fields, data: Uint8Array = noBytes): void {
    this.connection.receive(this.bytesOf(codec, fields, data));
  }

  loginPdu(fields: Partial<LoginRequest> = {}, text: Uint8Array = noBytes): void {
    const all: LoginRequest = {
      transit: true,
      continued: false,
      currentStage: stages.operational,
      nextStage: stages.fullFeature,
      versionMax: 0,
      versionMin: 0,
      isid: '00023d000001',
      tsih: 0,
      taskTag: 1,
      connectionId: 0,
      cmdSn: this.cmdSn,
      expStatSn: 0,
      ...fields,
      dataBytes: text.length,
    };
    this.push(loginRequest, all, text);
  }

  nop(fields: Partial<NopOut> = {}, data: Uint8Array = noBytes): void {
    const taskTag = fields.taskTag ?? this.nextTag++;
    const all = { immediate: true, lun: lunZero, transferTag: reservedTag, cmdSn: this.cmdSn, expStatSn: 0 };
    this.push(nopOut, { ...all, ...fields, taskTag, dataBytes: data.length }, data);
  }

  command(fields: Partial<ScsiCommandPdu>, data: Uint8Array = noBytes): number {
    const taskTag = fields.taskTag ?? this.nextTag++;
    const cmdSn = fields.cmdSn ?? (fields.immediate === true ? this.cmdSn : this.cmdSn++);
    const all: ScsiCommandPdu = {
      immediate: false,
      final: true,
      read: false,
      write: false,
      attribute: 1,
      lun: lunZero,
      expectedBytes: 0,
      expStatSn: 0,
      cdb: new Uint8Array(16),
      additionalBytes: 0,
      dataBytes: data.length,
      ...fields,
      taskTag,
      cmdSn,
    };
    this.push(scsiCommand, all, data);
    return taskTag;
  }

  dataOut(fields: Partial<DataOut> & { readonly taskTag: number }, data: Uint8Array): void {
    const all: DataOut = {
      final: true,
      lun: lunZero,
      transferTag: reservedTag,
      expStatSn: 0,
      dataSn: 0,
      bufferOffset: 0,
      dataBytes: data.length,
      ...fields,
    };
    this.push(dataOut, all, data);
  }

  manage(fields: Partial<TaskRequest> & { readonly function: number }): number {
    const taskTag = this.nextTag++;
    const all: TaskRequest = {
      immediate: true,
      lun: lunZero,
      taskTag,
      referencedTag: reservedTag,
      cmdSn: this.cmdSn,
      expStatSn: 0,
      referencedCmdSn: 0,
      dataBytes: 0,
      ...fields,
    };
    this.push(taskRequest, all);
    return taskTag;
  }

  text(pairs: readonly TextPair[] | Uint8Array, fields: Partial<TextRequest> = {}): void {
    const bytes = pairs instanceof Uint8Array ? pairs : encodeText(pairs);
    const taskTag = fields.taskTag ?? this.nextTag++;
    const all = { immediate: true, final: true, continued: false, lun: lunZero, transferTag: reservedTag };
    const numbers = { cmdSn: this.cmdSn, expStatSn: 0 };
    this.push(textRequest, { ...all, ...numbers, ...fields, taskTag, dataBytes: bytes.length }, bytes);
  }

  logoutPdu(fields: Partial<LogoutRequest> = {}): void {
    const taskTag = this.nextTag++;
    const all = { immediate: true, reason: 0, connectionId: 0, cmdSn: this.cmdSn, expStatSn: 0, dataBytes: 0 };
    this.push(logoutRequest, { ...all, taskTag, ...fields });
  }

  // ---- what it waits for -----------------------------------------------------------------------------------------------

  async take(opcode: number): Promise<Pdu> {
    await until(() => this.received.length > 0 || this.isClosed, `opcode 0x${opcode.toString(16)}`);
    const pdu = this.received.shift();
    assert.ok(pdu !== undefined, 'closed instead');
    assert.equal(`0x${opcodeOf(pdu.header, 0).toString(16)}`, `0x${opcode.toString(16)}`);
    return pdu;
  }

  async takeLogin(): Promise<LoginResponse & { readonly text: ReadonlyMap<string, string> }> {
    const pdu = await this.take(targetOpcodes.loginResponse);
    const text = new Map(decodeText(flat(pdu.data)));
    return { ...loginResponse.decode(pdu.header, 0), text };
  }

  async takeR2t(): Promise<ReadyToTransfer> {
    return readyToTransfer.decode((await this.take(targetOpcodes.r2t)).header, 0);
  }

  async takeReject(): Promise<{ readonly reason: number; readonly header: Uint8Array }> {
    const pdu = await this.take(targetOpcodes.reject);
    return { reason: reject.decode(pdu.header, 0).reason, header: flat(pdu.data) };
  }

  async takeTask(): Promise<number> {
    return taskResponse.decode((await this.take(targetOpcodes.taskResponse)).header, 0).response;
  }

  async takeText(): Promise<{
    readonly transferTag: number;
    readonly data: Uint8Array;
  }> {
    const pdu = await this.take(targetOpcodes.textResponse);
    const fields = textResponse.decode(pdu.header, 0);
    const data = flat(pdu.data);
    return { transferTag: fields.transferTag, data };
  }

  async takeLogout(): Promise<number> {
    return logoutResponse.decode((await this.take(targetOpcodes.logoutResponse)).header, 0).response;
  }

  async closed(): Promise<void> {
    await until(() => this.isClosed, 'the connection closed');
  }

  /** Data-In and status of a command, the next PDUs to come. */
  async answer(taskTag: number): Promise<Answer> {
    const parts: Uint8Array[] = [];
    for (let dataSn = 0; ; dataSn++) {
      await until(() => this.received.length > 0 || this.isClosed, `the answer to ${taskTag}`);
      const pdu = this.received.shift();
      assert.ok(pdu !== undefined, 'closed instead');
      if (opcodeOf(pdu.header, 0) === targetOpcodes.dataIn) {
        const fields: DataIn = dataIn.decode(pdu.header, 0);
        assert.equal(fields.taskTag, taskTag);
        assert.equal(fields.dataSn, dataSn);
        assert.equal(
          fields.bufferOffset,
          parts.reduce((sum, part) => sum + part.length, 0),
        );
        parts.push(flat(pdu.data));
        if (fields.status === undefined) continue;
        return { status: fields.status, data: flat(parts), sense: noBytes, residual: fields.residual };
      }
      assert.equal(opcodeOf(pdu.header, 0), targetOpcodes.scsiResponse);
      const fields = scsiResponse.decode(pdu.header, 0);
      assert.equal(fields.taskTag, taskTag);
      const { status, residual } = fields;
      return { status, data: flat(parts), sense: decodeSense(flat(pdu.data)), residual };
    }
  }

  // ---- whole conversations ---------------------------------------------------------------------------------------------

  identity({ discovery = false, name = initiatorName, volume = 'vol' }: LoginOptions = {}): readonly TextPair[] {
    const who: TextPair = ['InitiatorName', name];
    return discovery ? [who, ['SessionType', 'Discovery']] : [who, ['TargetName', targetName(volume)]];
  }

  /** One request, straight into the full-feature phase. */
  async login(options: LoginOptions = {}): Promise<LoginResponse & { readonly text: ReadonlyMap<string, string> }> {
    const text = encodeText([...this.identity(options), ...(options.keys ?? [])]);
    this.loginPdu(options.isid === undefined ? {} : { isid: options.isid }, text);
    const response = await this.takeLogin();
    assert.equal(response.status, 0, `login refused with ${response.status.toString(16)}`);
    assert.ok(response.transit && response.nextStage === stages.fullFeature);
    assert.notEqual(response.tsih, 0);
    return response;
  }

  /** Logs in and takes the unit attention that waits for a new nexus. */
  async start(options: LoginOptions = {}): Promise<this> {
    await this.login(options);
    if (options.discovery !== true) await this.answer(this.command({})); // TEST UNIT READY
    return this;
  }

  read(lba: number, blocks: number, expectedBytes: number = blocks * blockBytes): Promise<Answer> {
    return this.answer(this.command({ read: true, expectedBytes, cdb: rwCdb(0x28, lba, blocks) }));
  }

  /** A write whose data all go with the command. */
  write(lba: number, data: Uint8Array): Promise<Answer> {
    const cdb = rwCdb(0x2a, lba, data.length / blockBytes);
    return this.answer(this.command({ write: true, expectedBytes: data.length, cdb }, data));
  }

  /** The last login response brings the digests into force. */
  #afterLogin(pdu: Pdu): void {
    const { transit, nextStage, status } = loginResponse.decode(pdu.header, 0);
    if (status !== 0 || !transit || nextStage !== stages.fullFeature) return;
    const text = new Map(decodeText(flat(pdu.data)));
    this.headerDigest = text.get('HeaderDigest') === 'CRC32C';
    this.dataDigest = text.get('DataDigest') === 'CRC32C';
    this.#reader.headerDigest = this.headerDigest;
    this.#reader.dataDigest = this.dataDigest;
  }
}
