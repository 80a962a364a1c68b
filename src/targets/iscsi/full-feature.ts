import type { Clock } from '../../ports/clock.ts';
import type { ScsiNexus } from '../scsi/types.ts';
import {
  initiatorOpcodes,
  logoutReasons,
  logoutResponses,
  rejectReasons,
  type RejectReason,
  reservedTag,
  taskFunctions,
} from '../../wire/iscsi/codes.ts';
import { dataOut } from '../../wire/iscsi/data-out.ts';
import { opcodeOf } from '../../wire/iscsi/header.ts';
import { logoutRequest } from '../../wire/iscsi/logout.ts';
import { nopOut } from '../../wire/iscsi/nop.ts';
import { scsiCommand } from '../../wire/iscsi/scsi-command.ts';
import { serialDistance } from '../../wire/iscsi/serial.ts';
import { taskRequest } from '../../wire/iscsi/task-management.ts';
import { textRequest } from '../../wire/iscsi/text-pdu.ts';
import { checkCommand } from './command-check.ts';
import type { IscsiLimits } from './limits.ts';
import { Liveness } from './liveness.ts';
import { manageTasks } from './management.ts';
import type { SessionParameters } from './negotiation.ts';
import type { Pdu } from './pdu-reader.ts';
import type { Responder } from './responder.ts';
import type { Share } from './share.ts';
import type { Hearing } from './task.ts';
import { Tasks } from './tasks.ts';
import { type TargetsText, TextExchange } from './text-exchange.ts';
import { CommandWindow } from './window.ts';

/** How the phase tells its connection that it is over. */
export interface PhaseListener {
  /** Logged out, answer and all: close when it is sent. */
  loggedOut(): void;
  /** Close at once, without a word. */
  broken(): void;
  /** A target cold reset has been answered: every session of the volume ends (RFC 7143 §11.5.1). */
  coldReset(): void;
}

export interface FullFeatureOptions {
  /** Undefined: a discovery session. */
  readonly nexus: ScsiNexus | undefined;
  readonly parameters: SessionParameters;
  readonly firstCmdSn: number;
  readonly connectionId: number;
  readonly responder: Responder;
  readonly limits: IscsiLimits;
  readonly clock: Clock;
  readonly hearing: Hearing;
  readonly share: Share;
  readonly targets: TargetsText;
  readonly listener: PhaseListener;
}

/** The full-feature phase of one session: takes its PDUs, keeps their order (CmdSN), and answers. */
export class FullFeature {
  readonly #options: FullFeatureOptions;
  readonly #window: CommandWindow;
  readonly #tasks: Tasks | undefined;
  readonly #text: TextExchange;
  readonly #liveness: Liveness;
  /** Requests whose number is ahead of its turn: at most as many as the window offers. */
  readonly #ahead = new Map<number, () => void>();
  #managing = 0;
  #saturatedMs: number | undefined;
  #pingTag = 0;
  #isLeaving = false;
  #ended: Promise<void> | undefined;

  constructor(options: FullFeatureOptions) {
    const { nexus, parameters, responder, limits, hearing, share, clock, listener } = options;
    this.#options = options;
    const window = new CommandWindow(options.firstCmdSn, limits.commandsMax);
    this.#window = window;
    responder.window = window;
    const unanswerable = () => listener.broken();
    if (nexus !== undefined)
      this.#tasks = new Tasks({ nexus, responder, parameters, window, limits, clock, share, hearing, unanswerable });
    this.#text = new TextExchange(responder, parameters.initiatorSegmentBytes, options.targets);
    this.#liveness = new Liveness({
      clock,
      limits,
      isBusy: () => this.commandCount > 0,
      isStuck: (nowMs) => this.#isStuck(nowMs),
      ping: () => this.#ping(),
      dead: () => listener.broken(),
    });
  }

  get commandCount(): number {
    return this.#tasks?.size ?? 0;
  }

  heard(): void {
    this.#liveness.heard();
  }

  /** Replies pile up, or have left. */
  set saturated(isSaturated: boolean) {
    const tasks = this.#tasks;
    if (tasks === undefined) return;
    this.#saturatedMs = isSaturated ? this.#options.clock.nowMs() : undefined;
    tasks.isSaturated = isSaturated;
    if (!isSaturated) tasks.resume();
  }

  /** Memory is short, and what comes next isn't needed for what it is held for. */
  get isHoldingBack(): boolean {
    return this.#tasks?.isHoldingBack ?? false;
  }

  /** There may be memory again. */
  resume(): void {
    this.#tasks?.resume();
  }

  #isStuck(nowMs: number): boolean {
    const takesNothing =
      this.#saturatedMs !== undefined && nowMs - this.#saturatedMs >= this.#options.limits.stuckMsMax;
    return takesNothing || (this.#tasks?.isStuck(nowMs) ?? false);
  }

  /** Takes every task away from the initiator. Settles when each is applied or can't be any more. */
  abortTasks(): Promise<void> {
    return this.#tasks?.abortAll() ?? Promise.resolve();
  }

  /** Nothing is received or sent any more. Settles when its tasks are over and the device server knows that it has gone. */
  end(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    this.#isLeaving = true;
    this.#liveness.stop();
    this.#ahead.clear();
    await this.abortTasks();
    await this.#options.nexus?.close();
  }

  /** @throws RemoteProtocolError where the initiator can't be understood any more. */
  receive(pdu: Pdu): void {
    if (this.#isLeaving) return;
    const opcode = opcodeOf(pdu.header, 0);
    if (pdu.fault !== 'none' && opcode !== initiatorOpcodes.scsiCommand && opcode !== initiatorOpcodes.dataOut)
      return this.#rejectNumbered(pdu, faultReason(pdu));
    switch (opcode) {
      case initiatorOpcodes.scsiCommand:
        return this.#command(pdu);
      case initiatorOpcodes.dataOut:
        return this.#data(pdu);
      case initiatorOpcodes.nopOut:
        return this.#nop(pdu);
      case initiatorOpcodes.taskRequest:
        return this.#manage(pdu);
      case initiatorOpcodes.textRequest: {
        const request = textRequest.decode(pdu.header, 0);
        return this.#inTurn(request, () => this.#text.receive(request, pdu.header, pdu.data));
      }
      case initiatorOpcodes.logoutRequest:
        return this.#logout(pdu);
      case initiatorOpcodes.snackRequest: // ERL 0 has nothing to send again
        return this.#options.responder.reject(pdu.header, rejectReasons.snack);
      case initiatorOpcodes.loginRequest:
        return this.#options.responder.reject(pdu.header, rejectReasons.protocolError);
      default:
        return this.#options.responder.reject(pdu.header, rejectReasons.unsupported);
    }
  }

  /** Runs a request when its number is due: at once, after those before it, or never where nobody offered that number. */
  #inTurn(request: { readonly immediate: boolean; readonly cmdSn: number }, run: () => void): void {
    if (request.immediate) return run();
    const window = this.#window;
    const place = window.place(request.cmdSn);
    if (place === 'outside') return;
    if (place === 'ahead') {
      if (!this.#ahead.has(request.cmdSn)) this.#ahead.set(request.cmdSn, run);
      return;
    }
    window.advance();
    run();
    this.#followUp();
  }

  #followUp(): void {
    const window = this.#window;
    for (;;) {
      const run = this.#ahead.get(window.expCmdSn);
      if (run === undefined) break;
      this.#ahead.delete(window.expCmdSn);
      window.advance();
      run();
    }
    window.offer(this.#tasks?.countedByWindow ?? 0);
  }

  /** A command that wasn't received counts as such, unless it can't come any more. */
  #forestall(cmdSn: number, beforeCmdSn: number): boolean {
    const isDue = this.#window.place(cmdSn) !== 'outside' && !this.#ahead.has(cmdSn);
    if (!isDue || serialDistance(beforeCmdSn, cmdSn) <= 0) return false;
    this.#inTurn({ immediate: false, cmdSn }, () => {});
    return true;
  }

  /** Refused, and its number counts as used (RFC 7143 §11.17.1). */
  #rejectNumbered(pdu: Pdu, reason: RejectReason): void {
    const { header } = pdu;
    const isNumbered = opcodeOf(header, 0) !== initiatorOpcodes.snackRequest;
    if (isNumbered) this.#inTurn(nopOut.decode(asNop(header), 0), () => {});
    this.#options.responder.reject(header, reason);
  }

  #command(pdu: Pdu): void {
    const tasks = this.#tasks;
    const { parameters, limits, responder } = this.#options;
    if (tasks === undefined) return this.#rejectNumbered(pdu, rejectReasons.protocolError);
    const command = scsiCommand.decode(pdu.header, 0);
    const isKnown = this.#window.place(command.cmdSn) === 'outside' || this.#ahead.has(command.cmdSn);
    if (!command.immediate && isKnown) return;
    const isFlood = command.immediate && tasks.immediateCount + this.#managing >= limits.immediateMax;
    const wrong =
      pdu.fault === 'tooLong'
        ? rejectReasons.protocolError
        : tasks.get(command.taskTag) !== undefined
          ? rejectReasons.taskInProgress
          : isFlood
            ? rejectReasons.immediateCommand
            : checkCommand(command, parameters);
    if (wrong !== undefined) return this.#rejectNumbered(pdu, wrong);
    const isDamaged = pdu.fault === 'dataDigest';
    if (isDamaged) responder.reject(pdu.header, rejectReasons.dataDigest);
    const task = tasks.begin(command, pdu.data, isDamaged);
    this.#liveness.busy();
    this.#inTurn(command, () => tasks.ready(task));
  }

  #data(pdu: Pdu): void {
    if (pdu.fault === 'tooLong') return this.#options.responder.reject(pdu.header, rejectReasons.protocolError);
    this.#tasks?.data(dataOut.decode(pdu.header, 0), pdu.data, pdu.header, pdu.fault === 'dataDigest');
  }

  #nop(pdu: Pdu): void {
    const request = nopOut.decode(pdu.header, 0);
    if (request.transferTag !== reservedTag && request.transferTag === this.#pingTag) this.#liveness.answered();
    if (request.taskTag === reservedTag) return; // wants no answer, and its number isn't used
    const dataBytes = Math.min(request.dataBytes, this.#options.parameters.initiatorSegmentBytes);
    this.#inTurn(request, () => this.#options.responder.nop(request.taskTag, cut(pdu.data, dataBytes), dataBytes));
  }

  #ping(): void {
    this.#pingTag = (this.#pingTag + 1) & 0x7fff_ffff;
    this.#options.responder.ping(this.#pingTag);
  }

  #manage(pdu: Pdu): void {
    const request = taskRequest.decode(pdu.header, 0);
    const tasks = this.#tasks;
    const { nexus, responder, limits, listener } = this.#options;
    if (nexus === undefined || tasks === undefined) return this.#rejectNumbered(pdu, rejectReasons.protocolError);
    if (this.#managing + tasks.immediateCount >= limits.immediateMax)
      return this.#rejectNumbered(pdu, rejectReasons.immediateCommand);
    this.#inTurn(request, () => {
      this.#managing += 1;
      const forestall = (cmdSn: number, before: number): boolean => this.#forestall(cmdSn, before);
      void manageTasks(request, { nexus, tasks, forestall }).then((response) => {
        this.#managing -= 1;
        if (this.#isLeaving) return;
        responder.task(request.taskTag, response);
        if (request.function === taskFunctions.targetColdReset) listener.coldReset();
      });
    });
  }

  #logout(pdu: Pdu): void {
    const request = logoutRequest.decode(pdu.header, 0);
    const { responder, listener, connectionId } = this.#options;
    const { reason, taskTag } = request;
    const isClosing = reason === logoutReasons.closeSession || reason === logoutReasons.closeConnection;
    if (!isClosing && reason !== logoutReasons.recovery) return this.#rejectNumbered(pdu, rejectReasons.invalidField);
    this.#inTurn(request, () => {
      if (reason === logoutReasons.recovery) return responder.logout(taskTag, logoutResponses.recoveryUnsupported);
      if (reason === logoutReasons.closeConnection && request.connectionId !== connectionId)
        return responder.logout(taskTag, logoutResponses.noConnection);
      // What is under way ends first: the answer says that nothing of it can land any more.
      void this.end().then(() => {
        responder.logout(taskTag, logoutResponses.closed);
        listener.loggedOut();
      });
    });
  }
}

function faultReason({ fault }: Pdu): RejectReason {
  return fault === 'dataDigest' ? rejectReasons.dataDigest : rejectReasons.protocolError;
}

/** Where every request has its number and its immediate bit, under an opcode whose codec reads just these. */
function asNop(header: Uint8Array): Uint8Array {
  const copy = header.slice();
  copy[0] = ((copy[0] as number) & 0x40) | initiatorOpcodes.nopOut;
  return copy;
}

/** The first `bytes` of the data. */
function cut(data: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  const parts: Uint8Array[] = [];
  let left = bytes;
  for (const part of data) {
    if (left === 0) break;
    parts.push(part.length <= left ? part : part.subarray(0, left));
    left -= Math.min(left, part.length);
  }
  return parts;
}
