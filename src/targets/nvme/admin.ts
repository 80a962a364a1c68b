import { adminOpcodes, doNotRetry, fabricsOpcode, fabricsTypes, statuses } from '../../wire/nvme/codes.ts';
import { propertyOf } from '../../wire/nvme/fabrics.ts';
import { identifyBytes } from '../../wire/nvme/identify.ts';
import type { Command } from './command.ts';
import type { Controller } from './controller.ts';
import type { DiscoveryLog } from './discovery.ts';
import { FeatureValues, featureDataBytes } from './feature-values.ts';
import { identify } from './identities.ts';
import { adminInCapsuleBytesMax, transferBytesMax } from './limits.ts';
import { readLog, sliceOf } from './log-pages.ts';
import type { NvmeOutput } from './output.ts';
import type { Executor, Queue } from './queue.ts';

const two32 = 0x1_0000_0000;

/** Commands of a controller's admin queue. */
export class AdminExecutor implements Executor {
  readonly inCapsuleBytesMax = adminInCapsuleBytesMax;
  readonly #queue: Queue;
  readonly #controller: Controller;
  readonly #discovery: DiscoveryLog;
  readonly #output: NvmeOutput;
  readonly #features: FeatureValues;

  constructor(queue: Queue, controller: Controller, discovery: DiscoveryLog, output: NvmeOutput) {
    this.#queue = queue;
    this.#controller = controller;
    this.#discovery = discovery;
    this.#output = output;
    this.#features = new FeatureValues(controller);
  }

  plan(command: Command): void {
    const controller = this.#controller;
    if (command.opcode === fabricsOpcode) {
      command.refusal = fabricsRefusal(command.nsid & 0xff);
      return;
    }
    if (controller.isOver) command.refusal = statuses.commandInterrupted;
    else if (!controller.isReady) command.refusal = statuses.commandSequenceError | doNotRetry;
    else if (controller.isDiscovery && !discoveryOpcodes.has(command.opcode))
      command.refusal = statuses.invalidOpcode | doNotRetry;
    else this.#planData(command);
  }

  #planData(command: Command): void {
    switch (command.opcode) {
      case adminOpcodes.identify:
        command.toHostBytes = identifyBytes;
        return;
      case adminOpcodes.getLogPage:
        command.toHostBytes = logLengthBytes(command);
        if (command.toHostBytes > transferBytesMax) command.refusal = statuses.invalidField | doNotRetry;
        return;
      case adminOpcodes.getFeatures:
        // Capabilities come without the feature's data.
        if (((command.cdw10 >>> 8) & 7) !== 3) command.toHostBytes = featureDataBytes(command.cdw10 & 0xff, false);
        return;
      case adminOpcodes.setFeatures:
        command.toControllerBytes = featureDataBytes(command.cdw10 & 0xff, true);
        return;
      case adminOpcodes.abort:
      case adminOpcodes.asyncEvent:
      case adminOpcodes.keepAlive:
        return;
      default:
        command.refusal = statuses.invalidOpcode | doNotRetry;
    }
  }

  execute(command: Command): void {
    switch (command.opcode) {
      case fabricsOpcode:
        return this.#property(command);
      case adminOpcodes.identify: {
        const data = identify(this.#controller, command.nsid, command.cdw10 & 0xff, command.cdw11 >>> 24);
        return this.#answer(command, data);
      }
      case adminOpcodes.getLogPage:
        return this.#log(command);
      case adminOpcodes.getFeatures: {
        const result = this.#features.get(command.cdw10 & 0xff, (command.cdw10 >>> 8) & 7, command.nsid);
        if (!result.ok) return this.#fail(command, result.status);
        const { value, data } = result;
        return this.#queue.complete(command, statuses.success, value, 0, data === undefined ? undefined : [data]);
      }
      case adminOpcodes.setFeatures: {
        const result = this.#features.set(command);
        if (!result.ok) return this.#fail(command, result.status);
        return this.#queue.complete(command, statuses.success, result.value);
      }
      case adminOpcodes.abort:
        return this.#abort(command);
      case adminOpcodes.asyncEvent:
        return this.#controller.events.request(command);
      default: // Keep Alive: its arrival is what counts
        return this.#queue.complete(command, statuses.success);
    }
  }

  #property(command: Command): void {
    const { is64Bit, offset, value } = propertyOf(command);
    if ((command.nsid & 0xff) === fabricsTypes.propertySet) {
      const isSet = this.#controller.setProperty(offset, is64Bit, value);
      return isSet
        ? this.#queue.complete(command, statuses.success)
        : this.#fail(command, statuses.invalidField | doNotRetry);
    }
    const result = this.#controller.getProperty(offset, is64Bit);
    if (!result.ok) return this.#fail(command, statuses.invalidField | doNotRetry);
    return this.#queue.complete(command, statuses.success, result.low, result.high);
  }

  #log(command: Command): void {
    const request = {
      page: command.cdw10 & 0xff,
      specific: (command.cdw10 >>> 8) & 0x7f,
      keepsEvent: ((command.cdw10 >>> 15) & 1) === 1,
    };
    const offset = command.cdw13 * two32 + command.cdw12;
    // Offsets by index are not offered (base §5.16, bit 23 of cdw14).
    if (((command.cdw14 >>> 23) & 1) === 1) return this.#fail(command, statuses.invalidField | doNotRetry);
    const log = readLog(this.#controller, this.#discovery, request, this.#output.localAddress);
    const answer = (whole: Uint8Array | number): void => {
      this.#answer(command, typeof whole === 'number' ? whole : sliceOf(whole, offset, command.toHostBytes));
    };
    if (log instanceof Promise) void log.then(answer);
    else answer(log);
  }

  /** Data, or the status to fail with. */
  #answer(command: Command, data: Uint8Array | number): void {
    if (typeof data === 'number') this.#fail(command, data === statuses.commandInterrupted ? data : data | doNotRetry);
    else this.#queue.complete(command, statuses.success, 0, 0, [data]);
  }

  /**
   * A command that is being carried out is given up, and answered when it can't be done any more (design §3); this one is
   * answered after it. Bit 0 of the result: it was not aborted.
   */
  #abort(command: Command): void {
    const queueId = command.cdw10 & 0xffff;
    const queue = queueId === 0 ? this.#queue : this.#controller.ioQueues.get(queueId);
    const target = queue?.byCid(command.cdw10 >>> 16);
    if (target === undefined || target === command) return this.#queue.complete(command, statuses.success, 1);
    if (queueId === 0) {
      const isAborted = this.#controller.events.abort(target);
      return this.#queue.complete(command, statuses.success, isAborted ? 0 : 1);
    }
    // What it comes to is told by its own answer: it may have been applied already.
    target.abandonment?.giveUp();
    return this.#queue.complete(command, statuses.success, 1);
  }

  #fail(command: Command, status: number): void {
    this.#controller.errors.add(0, command, status);
    this.#queue.complete(command, status);
  }

  refused(command: Command): void {
    this.#controller.errors.add(0, command, command.refusal);
  }
  readDone(): void {}
  ioDone(): void {}
  comparedDone(): void {}
}

const discoveryOpcodes = new Set<number>(Object.values(adminOpcodes).filter((opcode) => opcode !== adminOpcodes.abort));

function fabricsRefusal(type: number): number {
  switch (type) {
    case fabricsTypes.propertyGet:
    case fabricsTypes.propertySet:
      return statuses.success;
    case fabricsTypes.connect:
      return statuses.commandSequenceError | doNotRetry;
    default:
      return statuses.invalidOpcode | doNotRetry;
  }
}

function logLengthBytes({ cdw10, cdw11 }: Command): number {
  return 4 * ((cdw11 & 0xffff) * 0x1_0000 + (cdw10 >>> 16) + 1);
}
