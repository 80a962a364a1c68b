import { joined } from '../../base/bytes.ts';
import { doNotRetry, fabricsOpcode, fabricsTypes, statuses } from '../../wire/nvme/codes.ts';
import { authBytesMax } from '../../wire/nvme/authentication.ts';
import { authOf, authProtocol } from '../../wire/nvme/fabrics.ts';
import type { Authentication } from './authentication.ts';
import type { Command } from './command.ts';
import { adminInCapsuleBytesMax } from './limits.ts';
import type { Executor, Queue } from './queue.ts';

/** A queue whose host hasn't proved yet who it is: it is asked, and understands nothing else. */
export class Authenticating implements Executor {
  readonly inCapsuleBytesMax = adminInCapsuleBytesMax;
  readonly #queue: Queue;
  readonly #authentication: Authentication;
  readonly #proved: () => void;

  constructor(queue: Queue, authentication: Authentication, proved: () => void) {
    this.#queue = queue;
    this.#authentication = authentication;
    this.#proved = proved;
  }

  plan(command: Command): void {
    const type = command.nsid & 0xff;
    const isOurs = type === fabricsTypes.authSend || type === fabricsTypes.authReceive;
    if (command.opcode !== fabricsOpcode || !isOurs) {
      command.refusal = statuses.authenticationRequired | doNotRetry;
      return;
    }
    const { protocol, protocolSpecific, lengthBytes } = authOf(command);
    const isKnown = protocol === authProtocol.protocol && protocolSpecific === authProtocol.protocolSpecific;
    if (!isKnown || lengthBytes === 0 || lengthBytes > authBytesMax)
      command.refusal = statuses.invalidField | doNotRetry;
    else if (type === fabricsTypes.authSend) command.toControllerBytes = lengthBytes;
    else command.toHostBytes = lengthBytes;
  }

  execute(command: Command): void {
    const authentication = this.#authentication;
    if ((command.nsid & 0xff) === fabricsTypes.authSend) {
      authentication.receive(joined(command.parts));
      this.#queue.complete(command, statuses.success);
    } else {
      const message = authentication.next();
      const data = new Uint8Array(command.toHostBytes);
      data.set(message.subarray(0, data.length));
      this.#queue.complete(command, statuses.success, 0, 0, [data]);
    }
    if (authentication.isFailed) this.#queue.listener.finish();
    else if (authentication.isDone) this.#proved();
  }

  refused(): void {}
  readDone(): void {}
  ioDone(): void {}
  comparedDone(): void {}
}
