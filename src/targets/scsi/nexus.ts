import type { BlockDevice } from '../../volume/block-device.ts';
import type { Clock } from '../../ports/clock.ts';
import { isRegistered, type Reservations } from '../../volume/reservations.ts';
import { cdbBytesOf } from '../../wire/scsi/cdb.ts';
import { opcodes, senseCodes, senseKeys } from '../../wire/scsi/codes.ts';
import { decodeLun } from '../../wire/scsi/lun.ts';
import { encodeDescriptorSense, encodeFixedSense, type Sense } from '../../wire/scsi/sense.ts';
import { readU16 } from '../../wire/big-endian.ts';
import type { Call, CommandNexus, CommandRow } from './command.ts';
import { CopyResults } from './copy-results.ts';
import { absentInquiry, planReportLuns, reportLuns } from './describing.ts';
import { absentLun, senseData } from './housekeeping.ts';
import { scsiLimits } from './limits.ts';
import { busy, data, failed, illegal, invalidCdb, isSense, refused, type Reply, writeProtected } from './reply.ts';
import { rowOf } from './table.ts';
import type {
  Admission,
  ExecuteResult,
  InitiatorPort,
  NexusListener,
  ScsiCommand,
  ScsiNexus,
  ScsiResponse,
  TaskLoss,
} from './types.ts';
import type { Unit, UnitNexus } from './unit.ts';

const noBytes = new Uint8Array(0);
/** A reservation that ends with its session is given back as often as it takes, within reason. */
const giveBackTriesMax = 20;
const giveBackDelayMs = 250;
/** How long a command that can't be carried out now is tried again before its host hears BUSY. Hosts wait 30 s and more. */
const busyMsMax = 5000;
const busyRetryMs = 50;

export interface NexusOptions {
  readonly device: BlockDevice;
  readonly unit: Unit;
  readonly clock: Clock;
  readonly initiator: InitiatorPort;
  readonly listener: NexusListener;
}

/** RFC 7143 §4.2.7.2: an initiator port's name. What reservations know a host by, through any Corelet. */
export function registrantOf({ name, isid }: InitiatorPort): string {
  return `${name},i,0x${isid}`;
}

/** One initiator port at one target: what of SCSI's state belongs to it, and the way of a command through the table. */
export class Nexus implements ScsiNexus, UnitNexus, CommandNexus {
  readonly registrant: string;
  readonly initiatorName: string;
  readonly copies = new CopyResults();
  readonly #device: BlockDevice;
  readonly #unit: Unit;
  readonly #clock: Clock;
  readonly #listener: NexusListener;
  readonly #attentions: number[] = [senseCodes.powerOn];
  #sizeBytes: number;
  /** As read last; what was before the first time is no news. */
  #reservations: Reservations | undefined;
  /** Reservations that are being changed from here: what is read meanwhile is no news. */
  #ownChanges = 0;
  #holdsSession = false;

  constructor(options: NexusOptions) {
    this.registrant = registrantOf(options.initiator);
    this.initiatorName = options.initiator.name;
    this.#device = options.device;
    this.#sizeBytes = options.device.sizeBytes;
    this.#unit = options.unit;
    this.#clock = options.clock;
    this.#listener = options.listener;
    this.#unit.join(this);
    this.#device.reservations?.learn((state) => this.learned(state));
  }

  // ---- commands ---------------------------------------------------------------------------------------------------

  admit(lun: Uint8Array, cdb: Uint8Array, expectedOutBytes: number): Admission {
    const refusal = this.#refusal(lun, cdb);
    if (refusal !== undefined) return { kind: 'refused', response: this.#response(refusal) };
    const row = rowOf(cdb) as CommandRow;
    if (decodeLun(lun) !== 0) return { kind: 'admitted', dataOutBytes: 0, dataInBytesMax: absentBytesMax };
    const plan = row.plan(cdb, { device: this.#device, expectedOutBytes });
    if (isSense(plan)) {
      // What can't be written isn't looked at any closer.
      const sense = row.writes === true && this.#device.readOnly ? writeProtected : plan;
      return { kind: 'refused', response: this.#response(failed(sense)) };
    }
    return { kind: 'admitted', dataOutBytes: plan.outBytes, dataInBytesMax: plan.inBytesMax };
  }

  /** In the order that SAM-5 §5.8 and SPC-4 have it: unknown commands, absent units, attentions, protection. */
  #refusal(lun: Uint8Array, cdb: Uint8Array): Extract<Reply, object> | undefined {
    const row = rowOf(cdb);
    const isHere = decodeLun(lun) === 0;
    if (!isHere && (typeof row === 'string' || row.always !== true)) return failed(absentLun);
    if (row === 'opcode') return failed(illegal(senseCodes.invalidOpcode));
    if (row === 'action') return failed(invalidCdb(1, 4));
    if (cdb.length < (cdbBytesOf(cdb[0] as number) ?? 0)) return failed(invalidCdb(0));
    if (row.always === true) return undefined;
    const attention = this.takeAttention();
    if (attention !== undefined) return failed(attention);
    return row.writes === true && this.#unit.settings.writeProtected ? failed(writeProtected) : undefined;
  }

  async execute(command: ScsiCommand): Promise<ExecuteResult> {
    const reply = await this.#carryOut(command);
    return reply === 'UNKNOWN' ? reply : this.#response(reply);
  }

  async #carryOut(command: ScsiCommand): Promise<Reply> {
    const { cdb, dataOut } = command;
    const row = rowOf(cdb) as CommandRow;
    if (decodeLun(command.lun) !== 0) return absent(cdb);
    if (row.right !== 'free' && row.right !== 'io') {
      // Mostly known here; where it isn't allowed, looked up.
      const code = await this.#device.reservations?.refused(row.right);
      if (code !== undefined) return refused(code);
    }
    let dataOutBytes = 0;
    for (const piece of dataOut) dataOutBytes += piece.length;
    const call: Call = {
      cdb,
      dataOut,
      dataOutBytes,
      device: this.#device,
      unit: this.#unit,
      nexus: this,
      command,
    };
    if (!changesReservations(row)) return this.#untilItGoes(call, row);
    this.#ownChanges += 1;
    try {
      return await this.#untilItGoes(call, row);
    } finally {
      this.#ownChanges -= 1;
    }
  }

  /**
   * BUSY means that surely nothing has happened, so the command can be tried again here, while its host still waits: hosts count BUSYs, and some take
   * few. Whether the host may have gone another way is judged with each try anew (design §10.10).
   */
  async #untilItGoes(call: Call, row: CommandRow): Promise<Reply> {
    const { abandonment } = call.command;
    const untilMs = this.#clock.nowMs() + busyMsMax;
    for (;;) {
      const reply = await row.run(call);
      if (reply !== busy || abandonment?.isGivenUp === true || this.#clock.nowMs() >= untilMs) return reply;
      await this.#pause(busyRetryMs);
    }
  }

  #response(reply: Extract<Reply, object>): ScsiResponse {
    const { status, sense, dataIn, transferBytes } = reply;
    if (sense === undefined) return { status, sense: noBytes, dataIn, transferBytes };
    const encode = this.descriptorSense() ? encodeDescriptorSense : encodeFixedSense;
    return { status, sense: encode(sense), dataIn, transferBytes };
  }

  descriptorSense(): boolean {
    return this.#unit.settings.descriptorSense;
  }

  // ---- attentions and reservations ----------------------------------------------------------------------------------

  attention(code: number): void {
    if (this.#attentions.includes(code) || this.#attentions.length >= scsiLimits.attentionsMax) return;
    this.#attentions.push(code);
  }

  takeAttention(): Sense | undefined {
    const code = this.#attentions.shift();
    return code === undefined ? undefined : { key: senseKeys.unitAttention, code };
  }

  /** SPC-4 §5.13.11: what others did to this host's registration and reservation. */
  learned(state: Reservations): void {
    const { sizeBytes } = this.#device;
    if (sizeBytes !== this.#sizeBytes) this.attention(senseCodes.capacityChanged);
    this.#sizeBytes = sizeBytes;
    const before = this.#reservations;
    this.#reservations = state;
    if (before === undefined || state === before) return;
    if (state.resets !== before.resets) this.attention(senseCodes.busDeviceReset);
    if (this.#ownChanges > 0) return;
    if (!isRegistered(before, this.registrant)) return;
    if (!isRegistered(state, this.registrant)) {
      // Cleared, nobody is registered any more; preempted, at least the preemptor is.
      const isCleared = state.registrants.length === 0;
      this.attention(isCleared ? senseCodes.reservationsPreempted : senseCodes.registrationsPreempted);
    } else if (before.held !== undefined && sharesWithRegistrants(before) && state.held?.type !== before.held.type)
      this.attention(senseCodes.reservationsReleased);
  }

  holdsSession(holds: boolean): void {
    this.#holdsSession = holds;
  }

  // ---- ends ---------------------------------------------------------------------------------------------------------

  hasLun(lun: Uint8Array): boolean {
    return decodeLun(lun) === 0;
  }

  async abortTasks(loss: TaskLoss): Promise<void> {
    await this.#listener.abortTasks(loss);
    if (loss === 'preempted') this.attention(senseCodes.commandsCleared);
  }

  async reset(scope: 'logicalUnit' | 'target'): Promise<void> {
    await this.#unit.abortAll(scope === 'target' ? 'targetReset' : 'logicalUnitReset');
    // What other Corelets have under way is over when this returns; their hosts hear of it with their next command.
    const after = await this.#giveBack({ kind: 'reset' });
    this.#holdsSession = false;
    if (after === undefined) this.#unit.tellAll(senseCodes.busDeviceReset);
    else this.#unit.learned(after);
  }

  async clearTaskSet(): Promise<void> {
    await this.#unit.abortAll('logicalUnitReset');
    this.#unit.tellOthers(this.registrant, senseCodes.commandsCleared);
  }

  async close(): Promise<void> {
    this.#unit.leave(this);
    if (this.#holdsSession) await this.#giveBack({ kind: 'sessionRelease', id: this.registrant });
    this.#device.close();
  }

  async #giveBack(
    action: { readonly kind: 'reset' } | { readonly kind: 'sessionRelease'; readonly id: string },
  ): Promise<Reservations | undefined> {
    for (let tries = 0; tries < giveBackTriesMax; tries++) {
      const result = await this.#device.reservations?.change(action);
      if (result === undefined || (!result.ok && result.code === 'GONE')) return undefined;
      if (result.ok) return result.after;
      await this.#pause(giveBackDelayMs);
    }
    return undefined;
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(delayMs, resolve);
    });
  }
}

function changesReservations({ opcode }: CommandRow): boolean {
  return opcode === opcodes.persistentReserveOut || opcode === opcodes.reserve6 || opcode === opcodes.release6;
}

function sharesWithRegistrants({ held }: Reservations): boolean {
  return held !== undefined && held.type !== 'writeExclusive' && held.type !== 'exclusiveAccess';
}

const absentBytesMax = 256;

/** INQUIRY, REPORT LUNS and REQUEST SENSE answer for a LUN that isn't there, too (SPC-4 §4.3.1 of each). */
function absent(cdb: Uint8Array): Reply {
  switch (cdb[0]) {
    case opcodes.inquiry:
      return ((cdb[1] as number) & 3) === 0 && cdb[2] === 0
        ? data(absentInquiry(), readU16(cdb, 3))
        : failed(invalidCdb(1, 0));
    case opcodes.requestSense:
      return senseData(cdb, absentLun);
    default: {
      const plan = planReportLuns(cdb);
      return isSense(plan) ? failed(plan) : reportLuns({ cdb });
    }
  }
}
