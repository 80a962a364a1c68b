import { reservedTag, type RejectReason } from '../../wire/iscsi/codes.ts';
import { asyncMessage } from '../../wire/iscsi/async-message.ts';
import { dataIn } from '../../wire/iscsi/data-in.ts';
import { headerBytes, zeroLun } from '../../wire/iscsi/header.ts';
import { loginResponse } from '../../wire/iscsi/login-pdu.ts';
import { logoutResponse } from '../../wire/iscsi/logout.ts';
import { nopIn } from '../../wire/iscsi/nop.ts';
import { readyToTransfer } from '../../wire/iscsi/r2t.ts';
import { reject } from '../../wire/iscsi/reject.ts';
import { encodeSense, noResidual, type Residual, scsiResponse } from '../../wire/iscsi/scsi-response.ts';
import { serialAfter } from '../../wire/iscsi/serial.ts';
import { taskResponse } from '../../wire/iscsi/task-management.ts';
import { textResponse } from '../../wire/iscsi/text-pdu.ts';
import type { LoginAnswer } from './login.ts';
import type { PduQueue } from './pdu-queue.ts';
import type { Task } from './task.ts';
import type { CommandWindow } from './window.ts';

const noWindow = { expCmdSn: 0, maxCmdSn: 0 };

/** Everything that the target says on one connection, numbered (StatSN) and with the command window as it is then. */
export class Responder {
  /** Called when something waits to be sent. */
  readonly #queued: () => void;
  readonly #queue: PduQueue;
  #window: Pick<CommandWindow, 'expCmdSn' | 'maxCmdSn'> = noWindow;
  #statSn = 0;

  constructor(queue: PduQueue, queued: () => void) {
    this.#queue = queue;
    this.#queued = queued;
  }

  set window(window: Pick<CommandWindow, 'expCmdSn' | 'maxCmdSn'>) {
    this.#window = window;
  }

  login(answer: LoginAnswer & { readonly isid: string; readonly taskTag: number; readonly status: number }): void {
    const dataBytes = answer.text.length;
    this.#queue.add(loginResponse, { ...answer, ...this.#numbers(), dataBytes }, [answer.text], dataBytes);
    this.#queued();
  }

  scsi(taskTag: number, status: number, sense: Uint8Array, residual: Residual, expDataSn: number): void {
    const data = encodeSense(sense);
    const dataBytes = data.length;
    const fields = { response: 0, status, residual, taskTag, expDataSn, dataBytes };
    this.#queue.add(scsiResponse, { ...fields, ...this.#numbers() }, [data], dataBytes);
    this.#queued();
  }

  /** A piece of a task's data; with a status, its last word. */
  data(task: Task, parts: readonly Uint8Array[], dataBytes: number, offset: number, end: DataEnd): void {
    const { final, status, residual } = end;
    const numbers = status === undefined ? this.#unnumbered() : this.#numbers();
    const statSn = status === undefined ? 0 : numbers.statSn;
    const { taskTag } = task;
    const dataSn = task.dataSn++;
    const fields = { ...numbers, statSn, final, status, residual, taskTag, dataSn, bufferOffset: offset, dataBytes };
    this.#queue.add(dataIn, fields, parts, dataBytes);
    this.#queued();
  }

  readyToTransfer(task: Task, transferTag: number, bufferOffset: number, desiredBytes: number): void {
    const { lun, taskTag } = task;
    const r2tSn = task.r2tSn++;
    const fields = { ...this.#unnumbered(), lun, taskTag, transferTag, r2tSn, bufferOffset, desiredBytes };
    this.#queue.add(readyToTransfer, fields);
    this.#queued();
  }

  task(taskTag: number, response: number): void {
    this.#queue.add(taskResponse, { ...this.#numbers(), taskTag, response });
    this.#queued();
  }

  /** `transferTag`: of the request that shall follow. `continued`: this text isn't whole. */
  text(taskTag: number, text: Uint8Array, transferTag: number, continued: boolean): void {
    const fields = { final: transferTag === reservedTag, continued, lun: zeroLun(), taskTag, transferTag };
    const dataBytes = text.length;
    this.#queue.add(textResponse, { ...fields, ...this.#numbers(), dataBytes }, [text], dataBytes);
    this.#queued();
  }

  logout(taskTag: number, response: number): void {
    const times = { time2WaitSeconds: 0, time2RetainSeconds: 0 };
    this.#queue.add(logoutResponse, { ...this.#numbers(), ...times, taskTag, response });
    this.#queued();
  }

  /** The answer to a NOP-Out, with its data. */
  nop(taskTag: number, data: readonly Uint8Array[], dataBytes: number): void {
    const fields = { ...this.#numbers(), lun: zeroLun(), taskTag, transferTag: reservedTag, dataBytes };
    this.#queue.add(nopIn, fields, data, dataBytes);
    this.#queued();
  }

  /** Asks whether the initiator is there. Advances no StatSN (RFC 7143 §11.19.3). */
  ping(transferTag: number): void {
    const fields = { ...this.#unnumbered(), lun: zeroLun(), taskTag: reservedTag, transferTag, dataBytes: 0 };
    this.#queue.add(nopIn, fields);
    this.#queued();
  }

  reject(header: Uint8Array, reason: RejectReason): void {
    this.#queue.add(reject, { ...this.#numbers(), reason, dataBytes: headerBytes }, [header], headerBytes);
    this.#queued();
  }

  asyncEvent(event: number, parameter1: number, parameter2: number, parameter3: number): void {
    const fields = { ...this.#numbers(), event, parameter1, parameter2, parameter3, dataBytes: 0 };
    this.#queue.add(asyncMessage, fields);
    this.#queued();
  }

  #numbers(): { statSn: number; expCmdSn: number; maxCmdSn: number } {
    const numbers = this.#unnumbered();
    this.#statSn = serialAfter(this.#statSn, 1);
    return numbers;
  }

  #unnumbered(): { statSn: number; expCmdSn: number; maxCmdSn: number } {
    const { expCmdSn, maxCmdSn } = this.#window;
    return { statSn: this.#statSn, expCmdSn, maxCmdSn };
  }
}

export interface DataEnd {
  /** Last of its sequence. */
  readonly final: boolean;
  readonly status: number | undefined;
  readonly residual: Residual;
}

export const goesOn: DataEnd = { final: false, status: undefined, residual: noResidual };
export const sequenceEnds: DataEnd = { final: true, status: undefined, residual: noResidual };
