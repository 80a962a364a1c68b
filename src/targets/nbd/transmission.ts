import { assert, unreachable } from '../../base/assert.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { BlockDevice, ExtentsResult, IoErrorCode, IoResult, ReadResult } from '../../volume/block-device.ts';
import { commandFlags, commands, errors, type ErrorNumber } from '../../wire/nbd/codes.ts';
import { ticketLifeMs } from '../../wire/peer/limits.ts';
import { decodeRequest, requestBytes, type RequestFields } from '../../wire/nbd/request.ts';
import type { InputQueue } from '../input.ts';
import { blockStatusCostBytes, holeBytesMin, type NbdLimits, silenceMsMax, skippedPayloadBytesMax } from './limits.ts';
import type { NbdOutput } from './output.ts';
import type { ReplyQueue } from './replies.ts';
import { type Agreement, checkRequest, errorOf } from './request-check.ts';
import { Transaction, type TransactionOwner } from './transaction.ts';

/**
 * `starved`: bytes are missing. `full`: a bound is reached; step again after a reply. `disconnect`: the client said DISC.
 * `stale`: the request has waited so long that its host may have gone another way: it must stay unread (design §10.10).
 */
export type StepResult = 'progress' | 'starved' | 'full' | 'disconnect' | 'stale';

/** Whom the transmission tells about what happens later. */
export interface TransmissionListener {
  /** A reply was queued, and room may have been made. */
  replied(): void;
  /** NBD has no answer for how a request ended (not known, or: try again): the connection has to end unanswered (design §3). */
  unanswerable(): void;
}

export interface TransmissionOptions {
  readonly device: BlockDevice;
  readonly clock: Clock;
  readonly output: NbdOutput;
  readonly agreement: Agreement;
  readonly limits: NbdLimits;
  readonly replies: ReplyQueue;
  readonly listener: TransmissionListener;
}

/** The second phase: requests in, device calls, replies in the order in which the device is done. */
export class Transmission implements TransactionOwner {
  readonly #device: BlockDevice;
  readonly #clock: Clock;
  readonly #agreement: Agreement;
  readonly #limits: NbdLimits;
  readonly #replies: ReplyQueue;
  readonly #listener: TransmissionListener;
  readonly #idle: Transaction[] = [];
  readonly #request: RequestFields = {
    flags: 0,
    command: 0,
    cookieHigh: 0,
    cookieLow: 0,
    offset: 0,
    lengthBytes: 0,
  };
  /** What was received last had surely not arrived then. */
  receivedAfterMs = 0;
  readonly #output: NbdOutput;
  #inFlight = 0;
  #inFlightBytes = 0;
  #receiving: Transaction | undefined;
  #isStopping = false;
  #isClosed = false;

  constructor(options: TransmissionOptions) {
    this.#device = options.device;
    this.#clock = options.clock;
    this.#agreement = options.agreement;
    this.#limits = options.limits;
    this.#replies = options.replies;
    this.#listener = options.listener;
    this.#output = options.output;
  }

  /** When the client had surely given nothing up yet: NBD clients do so by closing the connection, or silently after long. */
  get arrivedAfterMs(): number {
    const heardMs = this.receivedAfterMs;
    return Math.max(heardMs, Math.min(this.#output.openMs, heardMs + silenceMsMax));
  }

  /** Requests whose payload is complete and that aren't answered. */
  get inFlight(): number {
    return this.#receiving === undefined ? this.#inFlight : this.#inFlight - 1;
  }

  /** Requests from now on are answered with ESHUTDOWN. */
  stop(): void {
    this.#isStopping = true;
  }

  /** The connection is gone: what the device still does is nobody's. */
  close(): void {
    if (this.#isClosed) return;
    this.#device.close();
    this.#isClosed = true;
    this.#receiving = undefined;
  }

  /** Consumes one request, or a part of its payload. @throws RemoteProtocolError when the connection must be dropped. */
  step(input: InputQueue): StepResult {
    if (this.#receiving !== undefined) return this.#receive(this.#receiving, input);
    if (!input.peek(requestBytes)) return 'starved';
    const request = this.#request;
    decodeRequest(input.bytes, input.at, request);
    const error = this.#check(request);
    const costBytes = error === errors.none ? costOf(request) : 0;
    if (!this.#hasRoom(costBytes)) return 'full';
    if (this.#clock.nowMs() - this.arrivedAfterMs > ticketLifeMs) return 'stale';
    input.skip(requestBytes);
    if (request.command === commands.disconnect) return 'disconnect';
    if (request.command === commands.write && request.lengthBytes > skippedPayloadBytesMax)
      throw new RemoteProtocolError(`write of ${request.lengthBytes} bytes`);
    const transaction = this.#idle.pop() ?? new Transaction(this);
    transaction.begin(request, error, costBytes);
    this.#inFlight++;
    this.#inFlightBytes += costBytes;
    if (request.command === commands.write && request.lengthBytes > 0) this.#receiving = transaction;
    else this.#carryOut(transaction);
    return 'progress';
  }

  readDone(transaction: Transaction, result: ReadResult): void {
    if (this.#isClosed) return;
    if (!result.ok) return this.#fail(transaction, result.code);
    const { offset, lengthBytes } = transaction;
    let partsBytes = 0;
    for (const part of result.parts) partsBytes += part.length;
    assert(partsBytes === lengthBytes, 'INV-4: a read returns exactly the bytes asked for');
    if (!this.#agreement.structuredReplies) this.#replies.simpleData(transaction, result.parts);
    else if (lengthBytes < 2 * holeBytesMin || (transaction.flags & commandFlags.df) !== 0)
      this.#replies.data(transaction, offset, lengthBytes, result.parts);
    else this.#replies.sparseData(transaction, offset, result.parts);
    this.#release(transaction);
  }

  ioDone(transaction: Transaction, result: IoResult): void {
    if (this.#isClosed) return;
    if (!result.ok) return this.#fail(transaction, result.code);
    this.#replies.simple(transaction, errors.none);
    this.#release(transaction);
  }

  extentsDone(transaction: Transaction, result: ExtentsResult): void {
    if (this.#isClosed) return;
    if (!result.ok) return this.#fail(transaction, result.code);
    assert(result.extents.length > 0, 'a device tells at least one extent');
    const isOne = (transaction.flags & commandFlags.reqOne) !== 0;
    this.#replies.extents(transaction, result.extents, isOne ? 1 : result.extents.length);
    this.#release(transaction);
  }

  #check(request: RequestFields): ErrorNumber {
    if (this.#isStopping) return errors.shutdown;
    return checkRequest(request, this.#device, this.#agreement, this.#limits.payloadBytesMax);
  }

  #hasRoom(costBytes: number): boolean {
    if (this.#inFlight === 0) return true;
    const { requestsMax, inFlightBytesMax } = this.#limits;
    return this.#inFlight < requestsMax && this.#inFlightBytes + costBytes <= inFlightBytesMax;
  }

  #receive(transaction: Transaction, input: InputQueue): StepResult {
    const missingBytes = transaction.lengthBytes - transaction.receivedBytes;
    if (input.available === 0) return 'starved';
    if (transaction.error !== errors.none) transaction.receivedBytes += input.skip(missingBytes);
    else if (transaction.parts.length < partsMax(transaction.lengthBytes)) {
      const view = input.take(missingBytes);
      transaction.parts.push(view);
      transaction.receivedBytes += view.length;
    } else this.#gather(transaction, missingBytes, input);
    if (transaction.receivedBytes < transaction.lengthBytes) return 'progress';
    this.#receiving = undefined;
    this.#carryOut(transaction);
    return 'progress';
  }

  /** A client that sends its payload in crumbs: copied into one buffer, because a view of each would cost more memory than it holds. */
  #gather(transaction: Transaction, missingBytes: number, input: InputQueue): void {
    const piecesMax = partsMax(transaction.lengthBytes);
    if (transaction.parts.length === piecesMax) transaction.parts.push(new Uint8Array(missingBytes));
    const rest = transaction.parts[piecesMax] as Uint8Array;
    const count = Math.min(missingBytes, input.available);
    input.copy(count, rest, rest.length - missingBytes);
    transaction.receivedBytes += count;
  }

  #carryOut(transaction: Transaction): void {
    const { offset, lengthBytes } = transaction;
    if (transaction.error !== errors.none) return this.#refuse(transaction, transaction.error);
    switch (transaction.command) {
      case commands.read:
        if (lengthBytes === 0) return this.#nothingToDo(transaction);
        void this.#device.read(offset, lengthBytes).then(transaction.whenRead);
        return;
      case commands.write:
        if (lengthBytes === 0) return this.#nothingToDo(transaction);
        void this.#device.write(offset, transaction.parts, transaction).then(transaction.whenDone);
        return;
      case commands.flush:
        void this.#device.flush().then(transaction.whenDone);
        return;
      case commands.trim:
        if (lengthBytes === 0) return this.#nothingToDo(transaction);
        void this.#device.trim(offset, lengthBytes, transaction).then(transaction.whenDone);
        return;
      case commands.writeZeroes: {
        if (lengthBytes === 0) return this.#nothingToDo(transaction);
        const mayPunch = (transaction.flags & commandFlags.noHole) === 0;
        void this.#device.zero(offset, lengthBytes, { mayPunch }, transaction).then(transaction.whenDone);
        return;
      }
      case commands.cache: // a hint
        return this.#nothingToDo(transaction);
      case commands.blockStatus:
        void this.#device.extents(offset, lengthBytes).then(transaction.whenExtents);
        return;
      default:
        unreachable(transaction.command as never);
    }
  }

  #nothingToDo(transaction: Transaction): void {
    const isRead = transaction.command === commands.read;
    if (isRead && this.#agreement.structuredReplies) this.#replies.done(transaction);
    else this.#replies.simple(transaction, errors.none);
    this.#release(transaction);
  }

  #fail(transaction: Transaction, code: IoErrorCode): void {
    if (code === 'UNKNOWN' || code === 'RETRYABLE') return this.#listener.unanswerable();
    this.#refuse(transaction, errorOf(code, transaction.command));
  }

  #refuse(transaction: Transaction, error: ErrorNumber): void {
    if (this.#agreement.structuredReplies) this.#replies.failed(transaction, error);
    else this.#replies.simple(transaction, error);
    this.#release(transaction);
  }

  #release(transaction: Transaction): void {
    this.#inFlight--;
    this.#inFlightBytes -= transaction.costBytes;
    transaction.parts = noParts;
    this.#idle.push(transaction);
    this.#listener.replied();
  }
}

const noParts: Uint8Array[] = [];

function costOf(request: RequestFields): number {
  switch (request.command) {
    case commands.read:
    case commands.write:
      return request.lengthBytes;
    case commands.blockStatus:
      return blockStatusCostBytes;
    default:
      return 0;
  }
}

/** Views kept of a payload before the rest is copied together: sockets deliver far larger pieces than 4 KiB when there is much to deliver. */
function partsMax(lengthBytes: number): number {
  return 8 + (lengthBytes >>> 12);
}
