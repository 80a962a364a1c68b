import type { ScsiCommand, ScsiResponse } from '../scsi/types.ts';
import { Abandonment } from '../../volume/abandonment.ts';
import type { DataOut } from '../../wire/iscsi/data-out.ts';
import { reservedTag } from '../../wire/iscsi/codes.ts';
import type { ScsiCommandPdu } from '../../wire/iscsi/scsi-command.ts';

/**
 * `held`: a command number before it is missing. `receiving`: data are on their way. `waiting`: for room among what is in
 * flight. `executing`: at the device server. `over`: answered, or aborted.
 */
export type TaskState = 'held' | 'receiving' | 'waiting' | 'executing' | 'over';

/** Why a task fails before the device server has it, as sense: key ABORTED COMMAND, additional code and qualifier (SPC-4 table D.2). */
export const taskFailures = {
  dataPhase: 0x4b00,
  unexpectedUnsolicited: 0x0c0c,
  wrongAmount: 0x0c0d,
  digest: 0x4705,
} as const;
export type TaskFailure = (typeof taskFailures)[keyof typeof taskFailures];

/** An R2T whose data aren't all there. */
interface Solicited {
  readonly transferTag: number;
  readonly offset: number;
  readonly lengthBytes: number;
  dataSn: number;
}

/** What a Data-Out did to its task. */
export type DataVerdict = 'taken' | 'stray' | 'pastEnd';

/** Who can tell when the initiator gave nothing up yet. */
export interface Hearing {
  readonly arrivedAfterMs: number;
}

/** One SCSI command from its PDU to its response, and the data that it collects meanwhile. */
export class Task implements ScsiCommand {
  readonly taskTag: number;
  readonly lun: Uint8Array;
  readonly cdb: Uint8Array;
  readonly isRead: boolean;
  readonly isWrite: boolean;
  readonly isImmediate: boolean;
  readonly expectedBytes: number;
  readonly cmdSn: number;
  readonly abandonment = new Abandonment();
  state: TaskState = 'held';
  failure: TaskFailure | undefined;
  /** Answered already by the device server when its CDB came; told once its unsolicited data are in. */
  refusal: ScsiResponse | undefined;
  /** Of the data that the device server wants: how many bytes. Known when it has admitted the command. */
  wantedBytes = 0;
  /** Counted against what may be in flight. */
  costBytes = 0;
  /** It is counted. */
  isCharged = false;
  /** Received before that. */
  looseBytes = 0;
  /** Data-In PDUs so far, and R2Ts. */
  dataSn = 0;
  r2tSn = 0;
  /** Bytes that R2Ts have asked for, or that came unasked: the next R2T begins there. */
  askedBytes = 0;
  readonly #hearing: Hearing;
  /** Replaced, never emptied: whoever was given it may still look at it. */
  #parts: Uint8Array[] = [];
  readonly #solicited: Solicited[] = [];
  readonly #unsolicitedBytesMax: number;
  #receivedBytes = 0;
  #unsolicitedSn = 0;
  /** Unsolicited Data-Out follow. */
  #isOpen: boolean;
  #whenOver: (() => void)[] = [];

  constructor(pdu: ScsiCommandPdu, hearing: Hearing, unsolicitedBytesMax: number) {
    this.#hearing = hearing;
    this.taskTag = pdu.taskTag;
    this.lun = pdu.lun;
    this.cdb = pdu.cdb;
    this.isRead = pdu.read;
    this.isWrite = pdu.write;
    this.isImmediate = pdu.immediate;
    this.expectedBytes = pdu.expectedBytes;
    this.cmdSn = pdu.cmdSn;
    this.#isOpen = pdu.write && !pdu.final;
    this.#unsolicitedBytesMax = Math.min(unsolicitedBytesMax, pdu.expectedBytes);
  }

  get arrivedAfterMs(): number {
    return this.#hearing.arrivedAfterMs;
  }

  /** Exactly what the device server wants. */
  get dataOut(): readonly Uint8Array[] {
    if (this.#receivedBytes === this.wantedBytes) return this.#parts;
    const parts: Uint8Array[] = [];
    let left = this.wantedBytes;
    for (const part of this.#parts) {
      if (left === 0) break;
      parts.push(part.length <= left ? part : part.subarray(0, left));
      left -= Math.min(left, part.length);
    }
    return parts;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Nothing is on its way that was asked for or announced. */
  get isQuiet(): boolean {
    return !this.#isOpen && this.#solicited.length === 0;
  }

  get outstandingR2t(): number {
    return this.#solicited.length;
  }

  take(parts: readonly Uint8Array[], bytes: number): void {
    for (const part of parts) this.#parts.push(part);
    this.#receivedBytes += bytes;
    if (this.askedBytes < this.#receivedBytes) this.askedBytes = this.#receivedBytes;
  }

  fail(failure: TaskFailure): void {
    this.failure ??= failure;
    this.#parts = [];
  }

  solicit(transferTag: number, lengthBytes: number): void {
    this.#solicited.push({ transferTag, offset: this.askedBytes, lengthBytes, dataSn: 0 });
    this.askedBytes += lengthBytes;
  }

  /** Data-Out, with as many bytes as its header says. `isDamaged`: its digest doesn't hold. */
  receive(pdu: DataOut, data: readonly Uint8Array[], isDamaged: boolean): DataVerdict {
    const isSolicited = pdu.transferTag !== reservedTag;
    const solicited = isSolicited ? this.#solicited[0] : undefined;
    if (isSolicited && solicited?.transferTag !== pdu.transferTag) return this.#strayed(pdu);
    if (isDamaged) this.fail(taskFailures.digest);
    else if (!isSolicited) this.#checkUnsolicited(pdu);
    else this.#checkSolicited(pdu, solicited as Solicited);
    const isPast = pdu.bufferOffset + pdu.dataBytes > this.expectedBytes;
    if (isPast) this.fail(taskFailures.wrongAmount);
    if (this.failure === undefined) this.take(data, pdu.dataBytes);
    if (solicited === undefined) this.#unsolicitedSn += 1;
    else solicited.dataSn += 1;
    if (pdu.final) {
      if (solicited === undefined) this.#isOpen = false;
      else {
        if (this.#receivedBytes < solicited.offset + solicited.lengthBytes) this.fail(taskFailures.wrongAmount);
        this.#solicited.shift();
      }
    }
    return isPast ? 'pastEnd' : 'taken';
  }

  /** Of another R2T than the oldest: out of order is a broken data phase; of none, nobody's. */
  #strayed(pdu: DataOut): DataVerdict {
    const at = this.#solicited.findIndex(({ transferTag }) => transferTag === pdu.transferTag);
    if (at < 0) return 'stray';
    this.fail(taskFailures.dataPhase);
    if (pdu.final) this.#solicited.splice(at, 1);
    return 'taken';
  }

  #checkUnsolicited(pdu: DataOut): void {
    if (!this.#isOpen) this.fail(taskFailures.unexpectedUnsolicited);
    else if (pdu.dataSn !== this.#unsolicitedSn || pdu.bufferOffset !== this.#receivedBytes)
      this.fail(taskFailures.dataPhase);
    else if (this.#receivedBytes + pdu.dataBytes > this.#unsolicitedBytesMax) this.fail(taskFailures.wrongAmount);
  }

  #checkSolicited(pdu: DataOut, { offset, lengthBytes, dataSn }: Solicited): void {
    if (pdu.dataSn !== dataSn || pdu.bufferOffset !== this.#receivedBytes) this.fail(taskFailures.dataPhase);
    else if (pdu.bufferOffset + pdu.dataBytes > offset + lengthBytes) this.fail(taskFailures.wrongAmount);
  }

  /** Resolves when the task is over. */
  whenOver(): Promise<void> {
    if (this.state === 'over') return Promise.resolve();
    return new Promise((resolve) => void this.#whenOver.push(resolve));
  }

  end(): void {
    this.state = 'over';
    this.#parts = [];
    for (const resolve of this.#whenOver) resolve();
    this.#whenOver = [];
  }
}
