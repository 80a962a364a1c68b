import { doNotRetry, ioOpcodes, statuses } from '../../wire/nvme/codes.ts';
import { fuseMask, fuses } from '../../wire/nvme/command.ts';
import type { Command } from './command.ts';
import type { Queue } from './queue.ts';

/**
 * Compare and Write (base §3.4.2): two commands, one right behind the other, that are done as one. The first that comes
 * without its second, or the second without its first, is refused; when one of them can't be done, neither is.
 */
export class FusedPair {
  readonly #queue: Queue;
  readonly #carryOut: (second: Command) => void;
  /** The command before was the first of a pair. */
  #first: Command | undefined;
  readonly #ready = new Set<Command>();

  constructor(queue: Queue, carryOut: (second: Command) => void) {
    this.#queue = queue;
    this.#carryOut = carryOut;
  }

  /** In the order of arrival. May refuse this command, or the one before. */
  planned(command: Command): void {
    const fuse = command.flags & fuseMask;
    const first = this.#first;
    this.#first = undefined;
    if (first !== undefined && fuse !== fuses.second) this.#abandon(first, statuses.abortedMissingFused);
    switch (fuse) {
      case fuses.none:
        return;
      case fuses.first:
        if (command.opcode !== ioOpcodes.compare) command.refusal = statuses.invalidField | doNotRetry;
        else this.#first = command;
        return;
      case fuses.second:
        if (first === undefined) command.refusal = statuses.abortedMissingFused | doNotRetry;
        else this.#pair(first, command);
        return;
      default:
        command.refusal = statuses.invalidField | doNotRetry;
    }
  }

  #pair(first: Command, second: Command): void {
    const isSame = second.opcode === ioOpcodes.write && samePlace(first, second);
    if (!isSame && second.refusal === statuses.success) second.refusal = statuses.invalidField | doNotRetry;
    first.partner = second;
    second.partner = first;
    if (first.refusal !== statuses.success && second.refusal === statuses.success)
      second.refusal = statuses.abortedFailedFused;
  }

  /** All its data is there. */
  ready(command: Command): void {
    this.#ready.add(command);
    const { partner } = command;
    if (partner === undefined || !this.#ready.has(partner)) {
      this.#queue.hold(command);
      return;
    }
    this.#ready.delete(command);
    this.#ready.delete(partner);
    const second = (command.flags & fuseMask) === fuses.second ? command : partner;
    if (partner.isHeld) this.#queue.unhold(partner);
    this.#carryOut(second);
  }

  /** It is answered with a refusal: its partner fails with it. */
  refused(command: Command): void {
    const { partner } = command;
    if (partner === undefined) return;
    command.partner = undefined;
    partner.partner = undefined;
    this.#abandon(partner, statuses.abortedFailedFused);
  }

  #abandon(command: Command, status: number): void {
    if (command.refusal === statuses.success) command.refusal = status;
    if (!this.#ready.delete(command)) return; // answered once its data has come
    this.#queue.complete(command, command.refusal);
  }

  succeed(second: Command): void {
    this.#queue.complete(second.partner as Command, statuses.success);
    this.#queue.complete(second, statuses.success);
  }

  /** The first is told why, the second that it was not done for it. */
  fail(second: Command, status: number): void {
    this.#queue.complete(second.partner as Command, status);
    this.#queue.complete(second, statuses.abortedFailedFused);
  }
}

function samePlace(a: Command, b: Command): boolean {
  return a.nsid === b.nsid && a.cdw10 === b.cdw10 && a.cdw11 === b.cdw11 && ((a.cdw12 ^ b.cdw12) & 0xffff) === 0;
}
