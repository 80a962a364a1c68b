import type { ExtentsResult, HostCommand, IoResult, ReadResult } from '../../volume/block-device.ts';
import { errors, type ErrorNumber } from '../../wire/nbd/codes.ts';
import type { RequestFields } from '../../wire/nbd/request.ts';

/** Who is told when the device has done a request. */
export interface TransactionOwner {
  /** What the client sent last had not arrived by then: whoever still sends has given nothing up (docs/decisions/0020). */
  readonly arrivedAfterMs: number;
  readDone(transaction: Transaction, result: ReadResult): void;
  ioDone(transaction: Transaction, result: IoResult): void;
  extentsDone(transaction: Transaction, result: ExtentsResult): void;
}

/**
 * One request on its way. Used again for later requests: its callbacks are made once, so that an I/O costs no closure.
 * A promise that rejects is a bug of the device and deliberately not caught: the Corelet stops.
 */
export class Transaction implements HostCommand {
  flags = 0;
  command = 0;
  cookieHigh = 0;
  cookieLow = 0;
  offset = 0;
  lengthBytes = 0;
  /** Not `none`: the request is refused once its payload has been skipped. */
  error: ErrorNumber = errors.none;
  /** A WRITE's payload so far; a new array for every request, because the device may keep it. */
  parts: Uint8Array[] = [];
  receivedBytes = 0;
  /** Counted against the connection's bound. */
  costBytes = 0;
  readonly whenRead: (result: ReadResult) => void;
  readonly whenDone: (result: IoResult) => void;
  readonly whenExtents: (result: ExtentsResult) => void;

  readonly #owner: TransactionOwner;

  constructor(owner: TransactionOwner) {
    this.#owner = owner;
    this.whenRead = (result) => owner.readDone(this, result);
    this.whenDone = (result) => owner.ioDone(this, result);
    this.whenExtents = (result) => owner.extentsDone(this, result);
  }

  get arrivedAfterMs(): number {
    return this.#owner.arrivedAfterMs;
  }

  begin(request: RequestFields, error: ErrorNumber, costBytes: number): void {
    this.flags = request.flags;
    this.command = request.command;
    this.cookieHigh = request.cookieHigh;
    this.cookieLow = request.cookieLow;
    this.offset = request.offset;
    this.lengthBytes = request.lengthBytes;
    this.error = error;
    this.receivedBytes = 0;
    this.costBytes = costBytes;
    this.parts = [];
  }
}
