import { assert } from '../../base/assert.ts';
import type { Admission, ExecuteResult, ScsiNexus, ScsiResponse } from '../scsi/types.ts';
import type { DataOut } from '../../wire/iscsi/data-out.ts';
import { rejectReasons } from '../../wire/iscsi/codes.ts';
import type { ScsiCommandPdu } from '../../wire/iscsi/scsi-command.ts';
import { DataInSender, residualFor } from './data-in-sender.ts';
import type { IscsiLimits } from './limits.ts';
import type { SessionParameters } from './negotiation.ts';
import type { Responder } from './responder.ts';
import { type Hearing, Task, type TaskFailure, taskFailures } from './task.ts';
import type { CommandWindow } from './window.ts';

export interface TasksOptions {
  readonly nexus: ScsiNexus;
  readonly responder: Responder;
  readonly parameters: SessionParameters;
  readonly window: CommandWindow;
  readonly limits: IscsiLimits;
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
  /** Replies pile up: nothing new is begun. */
  isSaturated = false;

  constructor(options: TasksOptions) {
    this.#options = options;
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

  all(): readonly Task[] {
    return [...this.#byTag.values()];
  }

  /** Command numbers in use by commands that the window counts. */
  get countedByWindow(): number {
    return this.#byTag.size - this.#immediate;
  }

  /** A command has come, perhaps ahead of its turn: its data are collected from now on. */
  begin(pdu: ScsiCommandPdu, data: readonly Uint8Array[], isDamaged: boolean): Task {
    const { parameters, hearing } = this.#options;
    const task = new Task(pdu, hearing, parameters.firstBurstBytes);
    this.#byTag.set(task.taskTag, task);
    if (task.isImmediate) this.#immediate += 1;
    if (isDamaged) task.fail(taskFailures.digest);
    else if (pdu.dataBytes > 0) task.take(data, pdu.dataBytes);
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
    const verdict = task.receive(pdu, data, isDamaged);
    if (verdict === 'pastEnd') responder.reject(header, rejectReasons.invalidField);
    if (verdict !== 'stray' && task.state !== 'held') this.#proceed(task);
  }

  /** Room was made, or what was sent has left. */
  resume(): void {
    while (this.#waiting.length > 0 && this.#hasRoom(this.#waiting[0] as Task)) {
      const task = this.#waiting.shift() as Task;
      this.#charge(task);
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

  async abortAll(tasks: readonly Task[] = this.all()): Promise<void> {
    await Promise.all(tasks.map((task) => this.abort(task)));
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
      if (this.#waiting.length > 0 || !this.#hasRoom(task)) {
        task.state = 'waiting';
        this.#waiting.push(task);
        return;
      }
      this.#charge(task);
    }
    if (task.receivedBytes < task.wantedBytes) this.#solicit(task);
    else this.#execute(task);
  }

  #hasRoom(task: Task): boolean {
    if (this.isSaturated) return false;
    return this.#charged === 0 || this.#inFlightBytes + task.costBytes <= this.#options.limits.inFlightBytesMax;
  }

  #charge(task: Task): void {
    task.state = 'receiving';
    task.isCharged = true;
    this.#charged += 1;
    this.#inFlightBytes += task.costBytes;
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
    if (task.isCharged) {
      this.#charged -= 1;
      this.#inFlightBytes -= task.costBytes;
    }
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
