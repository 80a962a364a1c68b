import { Reader } from '../../base/bytes.ts';
import { crc32c } from '../../base/crc32c.ts';
import { RemoteProtocolError } from '../../base/errors.ts';
import { rowAt } from './codes.ts';
import { emptyFrameHeader, frameHeaderBytes, readFrameHeader } from './frame-header.ts';
import { PayloadSource } from './payload.ts';
import type { PeerMessage } from './types.ts';

const plainRoom = (bytes: number): Uint8Array => new Uint8Array(bytes);

/**
 * Turns a connection's bytes into messages. Each frame is copied out of what was received, into memory of exactly its
 * size: the messages' views point there, and the receive buffer is free again when `push` returns.
 */
export class FrameDecoder {
  readonly #deliver: (message: PeerMessage) => void;
  readonly #room: (bytes: number) => Uint8Array;
  readonly #header = emptyFrameHeader();
  /** A header cut by the end of a chunk. */
  readonly #headerBytes = new Uint8Array(frameHeaderBytes);
  #headerFilled = 0;
  /** Heads and payload of a frame that spans chunks. */
  #body: Uint8Array | undefined;
  #bodyFilled = 0;
  #failed = false;

  /** `deliver` gets each message in order, from within `push`. `room` gives memory that nobody else has. */
  constructor(deliver: (message: PeerMessage) => void, room: (bytes: number) => Uint8Array = plainRoom) {
    this.#deliver = deliver;
    this.#room = room;
  }

  /** True between frames: nothing is half received. */
  get atFrameStart(): boolean {
    return this.#headerFilled === 0 && this.#body === undefined;
  }

  /**
   * Takes what arrived; `chunk` may be written to again afterwards. Frames before a broken one are delivered.
   * @throws RemoteProtocolError where the stream can't be trusted any more: close the connection. Later pushes fail too.
   */
  push(chunk: Uint8Array): void {
    if (this.#failed) throw new RemoteProtocolError('the stream is broken already');
    try {
      let at = 0;
      while (at < chunk.length) at = this.#step(chunk, at);
    } catch (error) {
      this.#failed = true;
      this.#body = undefined;
      throw error;
    }
  }

  /** Consumes some of `chunk` from `at`; returns where it goes on. */
  #step(chunk: Uint8Array, at: number): number {
    if (this.#body !== undefined) return this.#gather(this.#body, chunk, at);
    if (this.#headerFilled > 0 || chunk.length - at < frameHeaderBytes) return this.#gatherHeader(chunk, at);
    readFrameHeader(chunk, at, this.#header);
    const start = at + frameHeaderBytes;
    const end = start + this.#header.headsBytes + this.#header.payloadBytes;
    if (end > chunk.length) {
      this.#beginBody();
      return start;
    }
    const body = this.#room(end - start);
    body.set(chunk.subarray(start, end));
    this.#frame(body, 0, body.length);
    return end;
  }

  #gatherHeader(chunk: Uint8Array, at: number): number {
    const count = Math.min(frameHeaderBytes - this.#headerFilled, chunk.length - at);
    this.#headerBytes.set(chunk.subarray(at, at + count), this.#headerFilled);
    this.#headerFilled += count;
    if (this.#headerFilled === frameHeaderBytes) {
      readFrameHeader(this.#headerBytes, 0, this.#header);
      this.#headerFilled = 0;
      this.#beginBody();
    }
    return at + count;
  }

  /** The header's lengths were checked against their bounds: memory may be taken for them. */
  #beginBody(): void {
    this.#body = this.#room(this.#header.headsBytes + this.#header.payloadBytes);
    this.#bodyFilled = 0;
  }

  #gather(body: Uint8Array, chunk: Uint8Array, at: number): number {
    const count = Math.min(body.length - this.#bodyFilled, chunk.length - at);
    body.set(chunk.subarray(at, at + count), this.#bodyFilled);
    this.#bodyFilled += count;
    if (this.#bodyFilled === body.length) {
      this.#body = undefined;
      this.#frame(body, 0, body.length);
    }
    return at + count;
  }

  #frame(bytes: Uint8Array, start: number, end: number): void {
    const { messages, headsBytes, headsCrc, payloadCrc } = this.#header;
    const headsEnd = start + headsBytes;
    if (crc32c(bytes.subarray(start, headsEnd)) !== headsCrc) throw new RemoteProtocolError('frame heads CRC');
    const payloadView = bytes.subarray(headsEnd, end);
    if (crc32c(payloadView) !== payloadCrc) throw new RemoteProtocolError('frame payload CRC');
    const heads = new Reader(bytes, start, headsEnd);
    const payload = new PayloadSource(payloadView);
    for (let i = 0; i < messages; i++) this.#message(heads, payload);
    heads.done();
    payload.done();
  }

  #message(heads: Reader, payload: PayloadSource): void {
    const code = heads.u8();
    const row = rowAt(code);
    if (row === undefined) throw new RemoteProtocolError(`message code ${code}`);
    payload.open(heads.u32());
    const message = row.codec.decode(heads, payload);
    payload.messageDone();
    this.#deliver(message);
  }
}
