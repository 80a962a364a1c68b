import { crc32c } from '../../base/crc32c.ts';
import { readU32 } from '../../wire/little-endian.ts';
import { statuses } from '../../wire/nvme/codes.ts';
import { digestBytes } from '../../wire/nvme/pdu.ts';
import type { InputQueue } from '../input.ts';
import type { Command } from './command.ts';
import type { Queue } from './queue.ts';

/** What follows a PDU's header: padding, data for a command, a digest. One at a time; kept as views of what the socket gave. */
export class Payload {
  readonly #input: InputQueue;
  readonly #queue: Queue;
  #command: Command | undefined;
  #padBytes = 0;
  #dataBytes = 0;
  #hasDigest = false;
  #crc = 0;
  /** It was asked for, and may be a part of what was. */
  #isTransfer = false;

  constructor(input: InputQueue, queue: Queue) {
    this.#input = input;
    this.#queue = queue;
  }

  get isPending(): boolean {
    return this.#command !== undefined;
  }

  /** `dataBytes` behind `padBytes`, for that command. */
  begin(command: Command, padBytes: number, dataBytes: number, hasDigest: boolean, isTransfer: boolean): void {
    this.#command = command;
    this.#padBytes = padBytes;
    this.#dataBytes = dataBytes;
    this.#hasDigest = hasDigest;
    this.#crc = 0;
    this.#isTransfer = isTransfer;
  }

  clear(): void {
    this.#command = undefined;
  }

  /** Consumes a part of it; at its end the queue is told. */
  step(): 'progress' | 'starved' {
    const command = this.#command as Command;
    if (this.#padBytes > 0) {
      this.#padBytes -= this.#input.skip(this.#padBytes);
      return this.#padBytes > 0 ? 'starved' : 'progress';
    }
    if (this.#dataBytes > 0) return this.#readData(command);
    if (this.#hasDigest) return this.#readDigest(command);
    this.#command = undefined;
    if (!this.#isTransfer) this.#queue.arrived(command);
    else if (command.receivedBytes === command.toControllerBytes) this.#queue.transferred(command);
    return 'progress';
  }

  #readData(command: Command): 'progress' | 'starved' {
    const input = this.#input;
    if (input.available === 0) return 'starved';
    if (command.refusal !== statuses.success) {
      const skipped = input.skip(this.#dataBytes);
      this.#dataBytes -= skipped;
      command.receivedBytes += skipped;
      if (this.#dataBytes === 0 && this.#hasDigest) {
        this.#hasDigest = false; // of data that was skipped nobody knows it
        this.#padBytes = digestBytes;
      }
      return 'progress';
    }
    const view = this.#take(command);
    if (this.#hasDigest) this.#crc = crc32c(view, this.#crc);
    this.#dataBytes -= view.length;
    command.receivedBytes += view.length;
    return 'progress';
  }

  #take(command: Command): Uint8Array {
    if (command.parts.length >= partsMax(command.toControllerBytes)) return this.#gather(command);
    const view = this.#input.take(this.#dataBytes);
    command.parts.push(view);
    return view;
  }

  /** Data in crumbs: copied into one buffer, because a view of each would cost more memory than it holds. */
  #gather(command: Command): Uint8Array {
    const last = partsMax(command.toControllerBytes);
    const missingBytes = command.toControllerBytes - command.receivedBytes;
    if (command.parts.length === last) command.parts.push(new Uint8Array(missingBytes));
    const rest = command.parts[last] as Uint8Array;
    const count = Math.min(this.#dataBytes, this.#input.available);
    const at = rest.length - missingBytes;
    this.#input.copy(count, rest, at);
    return rest.subarray(at, at + count);
  }

  #readDigest(command: Command): 'progress' | 'starved' {
    const input = this.#input;
    if (!input.peek(digestBytes)) return 'starved';
    const told = readU32(input.bytes, input.at);
    input.skip(digestBytes);
    this.#hasDigest = false;
    // Only this command fails (TCP transport §3.4.1.4); the stream is in step.
    if (told !== this.#crc) command.refusal = statuses.transientTransportError;
    return 'progress';
  }
}

/** Views kept of data before the rest is copied together: sockets deliver far larger pieces when there is much to deliver. */
function partsMax(lengthBytes: number): number {
  return 8 + (lengthBytes >>> 12);
}
