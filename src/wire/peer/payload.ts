import { assert } from '../../base/assert.ts';
import { RemoteProtocolError } from '../../base/errors.ts';

const none: readonly Uint8Array[] = [];

/** Collects the payload pieces of a frame in the order in which heads mention them; pieces are kept, never copied. */
export class PayloadSink {
  pieces: Uint8Array[] = [];
  bytes = 0;

  /** `expectedBytes` is what the head announces: a difference would shift every later payload of the frame. */
  add(pieces: readonly Uint8Array[], expectedBytes: number): void {
    let bytes = 0;
    for (const piece of pieces) {
      if (piece.length > 0) this.pieces.push(piece);
      bytes += piece.length;
    }
    assert(bytes === expectedBytes, 'payload of other bytes than announced', bytes, expectedBytes);
    this.bytes += bytes;
  }

  addOne(piece: Uint8Array): void {
    if (piece.length > 0) this.pieces.push(piece);
    this.bytes += piece.length;
  }

  reset(): void {
    this.pieces = [];
    this.bytes = 0;
  }
}

/** Hands out views of a frame's payload, message after message. */
export class PayloadSource {
  readonly #bytes: Uint8Array;
  #at: number;
  #end: number;

  /** Open from `at` on; `open` sets how much belongs to the next message. */
  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = at;
  }

  /** The next message's share. */
  open(byteCount: number): void {
    if (byteCount > this.#bytes.length - this.#end) throw new RemoteProtocolError(`payload of ${byteCount} bytes`);
    this.#end += byteCount;
  }

  /** What the open message has not taken yet. */
  get left(): number {
    return this.#end - this.#at;
  }

  one(byteCount: number): Uint8Array {
    const at = this.#at;
    if (byteCount > this.#end - at) {
      throw new RemoteProtocolError(`${byteCount} payload bytes announced, ${this.#end - at} there`);
    }
    this.#at = at + byteCount;
    return this.#bytes.subarray(at, at + byteCount);
  }

  /** As a list of pieces: empty where nothing is announced. */
  pieces(byteCount: number): readonly Uint8Array[] {
    return byteCount === 0 ? none : [this.one(byteCount)];
  }

  /** Every byte of the open message must have been claimed by a field. */
  messageDone(): void {
    if (this.#at !== this.#end) throw new RemoteProtocolError(`${this.#end - this.#at} payload bytes unclaimed`);
  }

  /** Every byte of the frame must have been claimed by a message. */
  done(): void {
    if (this.#end !== this.#bytes.length) throw new RemoteProtocolError('payload bytes behind the last message');
  }
}
