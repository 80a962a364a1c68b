import { assert } from '../../base/assert.ts';
import type { Admission, ExecuteResult, ScsiNexus, ScsiResponse } from '../scsi/types.ts';
import type { DataOut } from '../../wire/iscsi/data-out.ts';
import { rejectReasons } from '../../wire/iscsi/codes.ts';
import type { ScsiCommandPdu } from '../../wire/iscsi/scsi-command.ts';
import type { Clock } from '../../ports/clock.ts';
import { DataInSender, residualFor } from './data-in-sender.ts';
import type { IscsiLimits } from './limits.ts';
import type { SessionParameters } from './negotiation.ts';
import type { Responder } from './responder.ts';
import type { Share } from './share.ts';
import { type Hearing, Task, type TaskFailure, taskFailures } from './task.ts';
import type { CommandWindow } from './window.ts';

export interface TasksOptions {
  readonly nexus: ScsiNexus;
  readonly responder: Responder;
  readonly parameters: SessionParameters;
  readonly window: CommandWindow;
  readonly limits: IscsiLimits;
  readonly clock: Clock;
  readonly share: Share;
  readonly hearing: Hearing;
  /** No answer would be true: the connection has to end unanswered (design §3, "Once"). */
  readonly unanswerable: () => void;
}

const checkCondition = 0x02;
const good = 0x00;
const noSense = new Uint8Array(0);
const noParts: readonly Uint8Array[] = [];

/** The SCSI commands of one session: collects their data, hands them to the device server, answers. */
export class Tasks {
  readonly #options: TasksOptions;
  readonly #byTag = new Map<number, Task>();
  readonly #waiting: Task[] = [];
  readonly #sender: DataInSender;
  #inFlightBytes = 0;
  #charged = 0;
  #immediate = 0;
  #transferTag = 0;
  #isAborting = false;
  /** When the initiator last did what a task waits for. */
  #progressMs: number;
  /** Replies pile up: nothing new is begun. */
  isSaturated = false;

  constructor(options: TasksOptions) {
    this.#options = options;
    this.#progressMs = options.clock.nowMs();
    this.#sender = new DataInSender(options.responder, options.parameters);
  }

  get size(): number {
    return this.#byTag.size;
  }

  get immediateCount(): number {
    return this.#immediate;
  }

  get(taskTag: number): Task | undefined {
    return this.#byTag.get(taskTag);
  }

  /** Command numbers in use by commands that the window counts. */
  get countedByWindow(): number {
    return this.#byTag.size - this.#immediate;
  }

  /** A command has come, perhaps ahead of its turn: its data are collected from now on. */
  begin(pdu: ScsiCommandPdu, data: readonly Uint8Array[], isDamaged: boolean): Task {
    const { parameters, hearing } = this.#options;
    const task = new Task(pdu, hearing, parameters.firstBurstBytes);
    if (this.#byTag.size === 0) this.#progressMs = this.#options.clock.nowMs();
    this.#byTag.set(task.taskTag, task);
    if (task.isImmediate) this.#immediate += 1;
    if (isDamaged) task.fail(taskFailures.digest);
    else if (pdu.dataBytes > 0) {
      task.take(data, pdu.dataBytes);
      this.#collect(task, pdu.dataBytes);
    }
    if (pdu.write && !pdu.final && parameters.initialR2t) task.fail(taskFailures.unexpectedUnsolicited);
    return task;
  }

  /** Its turn has come, in CmdSN order. */
  ready(task: Task): void {
    if (task.state === 'over') return; // aborted while it was held
    task.state = 'receiving';
    const admission: Admission = this.#options.nexus.admit(task.lun, task.cdb, task.isWrite ? task.expectedBytes : 0);
    if (admission.kind === 'refused') {
      task.refusal = admission.response;
    } else {
      task.wantedBytes = task.isWrite ? Math.min(admission.dataOutBytes, task.expectedBytes) : 0;
      const dataInBytes = task.isRead ? Math.min(admission.dataInBytesMax, task.expectedBytes) : 0;
      task.costBytes = Math.max(task.wantedBytes, dataInBytes, task.receivedBytes);
    }
    this.#proceed(task);
  }

  data(pdu: DataOut, data: readonly Uint8Array[], header: Uint8Array, isDamaged: boolean): void {
    const { responder } = this.#options;
    if (isDamaged) responder.reject(header, rejectReasons.dataDigest);
    const task = this.#byTag.get(pdu.taskTag);
    if (task === undefined || task.state === 'executing') return; // nobody's: discarded
    const before = task.receivedBytes;
    const verdict = task.receive(pdu, data, isDamaged);
    if (verdict !== 'stray') this.#progressMs = this.#options.clock.nowMs();
    if (!task.isCharged) this.#collect(task, task.receivedBytes - before);
    if (verdict === 'pastEnd') responder.reject(header, rejectReasons.invalidField);
    if (verdict !== 'stray' && task.state !== 'held') this.#proceed(task);
  }

  /** Room was made, or what was sent has left. */
  resume(): void {
    while (!this.#isAborting && this.#waiting.length > 0 && this.#charge(this.#waiting[0] as Task)) {
      const task = this.#waiting.shift() as Task;
      task.state = 'receiving';
      this.#proceed(task);
    }
  }

  /** Ends a task unanswered. Settles when it is applied, or can't be any more (design §10.1). */
  abort(task: Task): Promise<void> {
    const over = task.whenOver();
    if (task.state === 'executing') task.abandonment.giveUp();
    else this.#end(task);
    return over;
  }

  async abortAll(): Promise<void> {
    // What one leaves isn't for another that ends next.
    this.#isAborting = true;
    const over = [...this.#byTag.values()].map((task) => this.abort(task));
    this.#isAborting = false;
    this.resume();
    await Promise.all(over);
  }

  /** What the task is ready for now. */
  #proceed(task: Task): void {
    if (task.state === 'over' || task.state === 'executing') return;
    if (task.failure !== undefined) {
      if (task.isQuiet) this.#failed(task, task.failure);
      return;
    }
    if (task.refusal !== undefined) {
      if (task.isQuiet) this.#respond(task, task.refusal);
      return;
    }
    if (!task.isQuiet && task.outstandingR2t === 0) return; // unsolicited data first
    if (!task.isCharged) {
      if (task.state === 'waiting') return;
      if (this.#waiting.length > 0 || !this.#charge(task)) {
        task.state = 'waiting';
        this.#waiting.push(task);
        return;
      }
    }
    if (task.receivedBytes < task.wantedBytes) this.#solicit(task);
    else this.#execute(task);
  }

  /** @returns whether there is room for it, which is then taken. */
  #charge(task: Task): boolean {
    if (this.isSaturated) return false;
    const { limits, share } = this.#options;
    const { costBytes } = task;
    const isFirst = this.#charged === 0;
    if (!isFirst && this.#inFlightBytes + costBytes > limits.inFlightBytesMax) return false;
    if (!share.take(costBytes, costBytes === 0 || (isFirst && costBytes <= limits.floorBytes))) return false;
    this.#letGo(task);
    task.isCharged = true;
    this.#charged += 1;
    this.#inFlightBytes += costBytes;
    return true;
  }

  #collect(task: Task, bytes: number): void {
    task.looseBytes += bytes;
    this.#options.share.collected(bytes);
  }

  #letGo(task: Task): void {
    this.#options.share.collected(-task.looseBytes);
    task.looseBytes = 0;
  }

  /**
   * What came unasked is more than memory allows now, and no task needs what comes next. False again: when there is room, which is told.
   */
  get isHoldingBack(): boolean {
    const { share, limits } = this.#options;
    if (share.looseBytes <= limits.floorBytes || !share.isOver) return false;
    for (const task of this.#byTag.values()) if (!task.isQuiet) return false;
    return !share.take(0, false);
  }

  /** The initiator owes data, or a command before those that it sent, and for long has done nothing about it. */
  isStuck(nowMs: number): boolean {
    if (nowMs - this.#progressMs < this.#options.limits.stuckMsMax) return false;
    for (const task of this.#byTag.values()) if (task.state === 'held' || !task.isQuiet) return true;
    return false;
  }

  #solicit(task: Task): void {
    const { parameters, responder } = this.#options;
    while (task.askedBytes < task.wantedBytes && task.outstandingR2t < parameters.outstandingR2t) {
      const offset = task.askedBytes;
      const lengthBytes = Math.min(parameters.maxBurstBytes, task.wantedBytes - offset);
      // Never the reserved tag: 31 bits go round long before a task is that old.
      this.#transferTag = (this.#transferTag + 1) & 0x7fff_ffff;
      task.solicit(this.#transferTag, lengthBytes);
      responder.readyToTransfer(task, this.#transferTag, offset, lengthBytes);
    }
  }

  #execute(task: Task): void {
    task.state = 'executing';
    void this.#options.nexus.execute(task).then((result) => this.#executed(task, result));
  }

  #executed(task: Task, result: ExecuteResult): void {
    if (task.abandonment.isGivenUp) this.#end(task);
    else if (result === 'UNKNOWN') {
      this.#end(task);
      this.#options.unanswerable();
    } else this.#respond(task, result);
  }

  #failed(task: Task, failure: TaskFailure): void {
    this.#respond(task, {
      status: checkCondition,
      sense: abortedCommandSense(failure),
      dataIn: noParts,
      transferBytes: 0,
    });
  }

  #respond(task: Task, response: ScsiResponse): void {
    this.#end(task); // first: the window that the answer carries has its place already
    const residual = residualFor(task, response);
    const isAnswered = task.isRead && response.dataIn.length > 0 && this.#sender.send(task, response, residual);
    if (isAnswered) return;
    const sense = response.status === good ? noSense : response.sense;
    this.#options.responder.scsi(task.taskTag, response.status, sense, residual, task.dataSn + task.r2tSn);
  }

  #end(task: Task): void {
    assert(this.#byTag.get(task.taskTag) === task, 'a task ends once');
    this.#byTag.delete(task.taskTag);
    if (task.isImmediate) this.#immediate -= 1;
    if (task.state === 'waiting') this.#waiting.splice(this.#waiting.indexOf(task), 1);
    this.#letGo(task);
    if (task.isCharged) {
      this.#charged -= 1;
      this.#inFlightBytes -= task.costBytes;
      this.#options.share.give(task.costBytes);
    }
    this.#progressMs = this.#options.clock.nowMs();
    task.end();
    this.#options.window.offer(this.countedByWindow);
    this.resume();
  }
}

/** Fixed format (SPC-4 §4.5.3). */
function abortedCommandSense(code: TaskFailure): Uint8Array {
  const sense = new Uint8Array(18);
  sense[0] = 0x70;
  sense[2] = 0x0b;
  sense[7] = sense.length - 8;
  sense[12] = code >>> 8;
  sense[13] = code & 0xff;
  return sense;
}
