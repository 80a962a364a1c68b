import { assert } from '../../base/assert.ts';
import type { Clock } from '../../ports/clock.ts';
import { doNotRetry, fatalErrors, sglTypes, statuses } from '../../wire/nvme/codes.ts';
import { type CommandFields, fuseMask, fuses } from '../../wire/nvme/command.ts';
import { fieldOffsets } from '../../wire/nvme/pdu.ts';
import type { Budget } from '../budget.ts';
import { Command, type CommandOwner } from './command.ts';
import { FatalTransportError } from './fatal.ts';
import type { NvmeLimits } from './limits.ts';
import { silenceMsMax } from './limits.ts';
import type { ReplyQueue } from './replies.ts';
import type { NvmeOutput } from './output.ts';

/** What a queue's commands mean: of a queue not yet connected, of admin, of I/O. */
export interface Executor extends Omit<CommandOwner, 'arrivedAfterMs'> {
  /** Data that may come with a command. */
  readonly inCapsuleBytesMax: number;
  /** In the order of arrival, before any data: says what the command moves, or refuses it. */
  plan(command: Command): void;
  /** All its data is there: ends in `queue.complete`, now or later. */
  execute(command: Command): void;
  /** It was refused, and is answered so. */
  refused(command: Command): void;
}

/** Whom a queue tells about what happens later. */
export interface QueueListener {
  /** A reply was queued, and room may have been made. */
  replied(): void;
  /** The queue belongs to a controller now. */
  connected(): void;
  /** The connection has to end, unanswered. */
  drop(): void;
  /** The connection has to end, after what was answered. */
  finish(): void;
}

export interface QueueOptions {
  readonly clock: Clock;
  readonly output: NvmeOutput;
  readonly limits: NvmeLimits;
  readonly budget: Budget;
  readonly replies: ReplyQueue;
  readonly listener: QueueListener;
}

const depthBeforeConnect = 4;

/** Commands of one connection: from their arrival over the transfer of their data to their answer. */
export class Queue implements CommandOwner {
  /** Replaced when the connection becomes a queue of a controller. */
  executor!: Executor;
  /** 0 until connected, and for admin. */
  qid = 0;
  /** Entries, one more than SQSIZE says. */
  depth = depthBeforeConnect;
  hasFlowControl = true;
  /** Of the controller; 0: none. */
  katoMs = 0;
  /** What was received last had surely not arrived then. */
  receivedAfterMs = 0;
  isClosed = false;
  readonly listener: QueueListener;
  readonly #options: QueueOptions;
  readonly #idle: Command[] = [];
  readonly #byCid = new Map<number, Command>();
  readonly #byTag: (Command | undefined)[] = [];
  readonly #freeTags: number[] = [];
  readonly #waiting: Command[] = [];
  readonly #admitRun = (): void => {
    this.#admit();
    this.listener.replied();
  };
  #costBytes = 0;
  #sqHead = 0;
  /** With the executor, and not merely waiting there for an event. */
  #executing = 0;
  #whenSettled: (() => void)[] = [];

  constructor(options: QueueOptions) {
    this.#options = options;
    this.listener = options.listener;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  /** Commands that are carried out now. */
  get underWay(): number {
    return this.#executing;
  }

  /** When the host had surely given nothing up yet: it does so by closing the connection, or silently after long. */
  get arrivedAfterMs(): number {
    const heardMs = this.receivedAfterMs;
    const silenceMs = this.katoMs === 0 ? silenceMsMax : Math.max(0, Math.min(silenceMsMax, this.katoMs - 1000));
    return Math.max(heardMs, Math.min(this.#options.output.openMs, heardMs + silenceMs));
  }

  // ---- arrival ------------------------------------------------------------------------------------------------------

  /** A command with `dataBytes` behind it, to be given to `received`. @throws FatalTransportError */
  accept(fields: Readonly<CommandFields>, dataBytes: number): Command {
    if (this.#byCid.size >= this.depth)
      throw new FatalTransportError(fatalErrors.sequence, 0, `more than ${this.depth} commands in a queue`);
    if (this.#byCid.has(fields.cid))
      throw new FatalTransportError(fatalErrors.sequence, 0, `command id ${fields.cid} is in use`);
    this.#sqHead = this.#sqHead + 1 >= this.depth ? 0 : this.#sqHead + 1;
    const command = this.#idle.pop() ?? new Command(this);
    command.begin(fields);
    this.#byCid.set(command.cid, command);
    this.executor.plan(command);
    if (command.refusal === statuses.success) command.refusal = this.#sglRefusal(command, dataBytes);
    return command;
  }

  #sglRefusal(command: Command, dataBytes: number): number {
    const { toControllerBytes, toHostBytes, sglType, sglLengthBytes } = command;
    assert(toControllerBytes === 0 || toHostBytes === 0, 'data moves one way');
    const wantedBytes = toControllerBytes + toHostBytes;
    if (wantedBytes === 0 && dataBytes === 0) return statuses.success;
    if (command.flags >>> 6 !== 1) return statuses.invalidField | doNotRetry;
    if (sglType !== sglTypes.inCapsule && sglType !== sglTypes.transport)
      throw new FatalTransportError(fatalErrors.unsupported, fieldOffsets.sgl, `SGL of type ${sglType}`);
    if (sglType === sglTypes.inCapsule) {
      if (toHostBytes > 0) return statuses.sglTypeInvalid | doNotRetry;
      if (command.sglAddress !== 0) return statuses.invalidField | doNotRetry;
      const fits = sglLengthBytes === dataBytes && dataBytes === toControllerBytes;
      return fits ? statuses.success : statuses.sglLengthInvalid | doNotRetry;
    }
    if (dataBytes !== 0) return statuses.sglLengthInvalid | doNotRetry;
    const fits = toHostBytes > 0 ? sglLengthBytes >= toHostBytes : sglLengthBytes === toControllerBytes;
    return fits ? statuses.success : statuses.sglLengthInvalid | doNotRetry;
  }

  /** Everything that came with the command has arrived. */
  arrived(command: Command): void {
    const needsTransfer = command.toControllerBytes > command.receivedBytes;
    if (command.refusal !== statuses.success || (!needsTransfer && command.toHostBytes + command.weightBytes === 0)) {
      this.ready(command);
      return;
    }
    this.#waiting.push(command);
    this.#admit();
  }

  /** As many of those that wait as there is room for, in their order. */
  #admit(): void {
    const { budget, limits } = this.#options;
    for (let command = this.#waiting[0]; command !== undefined; command = this.#waiting[0]) {
      if (this.isClosed) return;
      // The two of a fused pair wait for each other: they are small, and must not wait for room as well.
      const isFused = (command.flags & fuseMask) !== fuses.none;
      const { toControllerBytes, toHostBytes, weightBytes } = command;
      const costBytes = isFused ? 0 : toControllerBytes + toHostBytes + weightBytes;
      const isFirst = this.#costBytes === 0;
      if (!isFirst && this.#costBytes + costBytes > limits.connectionBytesMax) return;
      if (!budget.take(costBytes, isFirst, this.#admitRun)) return;
      this.#waiting.shift();
      this.#costBytes += costBytes;
      command.costBytes = costBytes;
      if (toControllerBytes > command.receivedBytes) this.#ask(command);
      else this.ready(command);
    }
  }

  /** All data of the command at once: hosts take no more than one request at a time (MAXR2T 0). */
  #ask(command: Command): void {
    const tag = this.#freeTags.pop() ?? this.#byTag.length + 1;
    this.#byTag[tag - 1] = command;
    command.tag = tag;
    this.#options.replies.r2t({ cid: command.cid, tag, offset: 0, lengthBytes: command.toControllerBytes });
    this.listener.replied();
  }

  /** The command whose data comes with this tag; undefined when none was asked for. */
  byTag(tag: number, cid: number): Command | undefined {
    const command = this.#byTag[tag - 1];
    return command?.cid === cid ? command : undefined;
  }

  /** All data that was asked for is there. */
  transferred(command: Command): void {
    this.#freeTag(command);
    this.ready(command);
  }

  #freeTag(command: Command): void {
    if (command.tag === 0) return;
    this.#byTag[command.tag - 1] = undefined;
    this.#freeTags.push(command.tag);
    command.tag = 0;
  }

  ready(command: Command): void {
    this.#executing++;
    if (command.refusal === statuses.success) {
      this.executor.execute(command);
      return;
    }
    this.executor.refused(command);
    this.complete(command, command.refusal);
  }

  // ---- the end of a command -------------------------------------------------------------------------------------------

  /** Waits for something else than the device: an event, a partner. */
  hold(command: Command): void {
    command.isHeld = true;
    this.#ended();
  }

  /** Goes on. */
  unhold(command: Command): void {
    command.isHeld = false;
    this.#executing++;
  }

  /** `data`: as many bytes as were planned for the host; only with success. */
  complete(command: Command, status: number, dw0 = 0, dw1 = 0, data?: readonly Uint8Array[]): void {
    if (command.isHeld) this.unhold(command);
    this.#release(command);
    if (!this.isClosed) {
      const { replies } = this.#options;
      const isSuccess = data !== undefined && status === 0 && !this.hasFlowControl && dw0 === 0 && dw1 === 0;
      if (data !== undefined) replies.data(command.cid, data, command.toHostBytes, isSuccess);
      if (!isSuccess) replies.response({ dw0, dw1, sqHead: this.sqHead, cid: command.cid, status });
    }
    this.#ended();
    command.parts = noParts;
    command.abandonment = undefined;
    this.#idle.push(command);
    if (this.isClosed) return;
    this.#admit();
    this.listener.replied();
  }

  /** Ends without an answer: nobody waits for it. */
  #release(command: Command): void {
    this.#byCid.delete(command.cid);
    this.#freeTag(command);
    this.#costBytes -= command.costBytes;
    if (command.costBytes > 0) this.#options.budget.give(command.costBytes);
    command.costBytes = 0;
  }

  get sqHead(): number {
    return this.hasFlowControl ? this.#sqHead : 0xffff;
  }

  #ended(): void {
    this.#executing--;
    if (this.#executing > 0) return;
    const waiters = this.#whenSettled;
    this.#whenSettled = [];
    for (const settled of waiters) settled();
  }

  byCid(cid: number): Command | undefined {
    return this.#byCid.get(cid);
  }

  /** Nothing is answered any more; what can still be given up is. `settled` then tells when it is over. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#options.budget.forget(this.#admitRun);
    this.#waiting.length = 0;
    this.giveUp();
    this.#options.budget.give(this.#costBytes);
    this.#costBytes = 0;
    for (const command of this.#byCid.values()) command.costBytes = 0;
  }

  /** The host wants none of its commands any more (design §3). */
  giveUp(): void {
    for (const command of this.#byCid.values()) command.abandonment?.giveUp();
  }

  /** Resolves when every command that was carried out is done, or can't be done any more. */
  settled(): Promise<void> {
    if (this.#executing === 0) return Promise.resolve();
    return new Promise((resolve) => void this.#whenSettled.push(resolve));
  }

  // ---- the device's answers: to whoever gave it the command ------------------------------------------------------------

  readDone(...[command, result]: Parameters<CommandOwner['readDone']>): void {
    this.executor.readDone(command, result);
  }
  ioDone(...[command, result]: Parameters<CommandOwner['ioDone']>): void {
    this.executor.ioDone(command, result);
  }
  comparedDone(...[command, result]: Parameters<CommandOwner['comparedDone']>): void {
    this.executor.comparedDone(command, result);
  }
}

const noParts: Uint8Array[] = [];
