import { assert } from '../../base/assert.ts';
import { Writer } from '../../base/bytes.ts';
import { crc32c } from '../../base/crc32c.ts';
import { rowFor } from './codes.ts';
import { emptyFrameHeader, frameHeaderBytes, peerFormatVersion, writeFrameHeader } from './frame-header.ts';
import { peerLimits } from './limits.ts';
import { PayloadSink } from './payload.ts';
import type { PeerMessage } from './types.ts';

const none: Uint8Array[] = [];
/** A buffer that one large table has grown isn't kept for the small messages after it. */
const keptBytesMax = 512 * 1024;

/**
 * Gathers the messages of one turn for one peer and lane into a frame: their heads in one reused buffer, their payload
 * pieces behind it, uncopied. Pieces must not change until the frame is on its way, which is after `take` and the
 * write that follows it.
 */
export class FrameEncoder {
  /** Bytes added and not yet taken, payload included. */
  bytes = 0;
  #out = new Writer(4096);
  readonly #payload = new PayloadSink();
  #messages = 0;
  #sealed: Uint8Array[] = none;
  readonly #header = emptyFrameHeader();

  get empty(): boolean {
    return this.bytes === 0;
  }

  // message: code u8 · payloadBytes u32 · the message's own fields
  add(message: PeerMessage): void {
    const out = this.#out;
    const payload = this.#payload;
    if (this.#messages === 0) out.length = frameHeaderBytes;
    const row = rowFor(message);
    const start = out.length;
    const payloadStart = payload.bytes;
    out.u8(row.code);
    out.u32(0);
    row.codec.encode(out, message, payload);
    const payloadBytes = payload.bytes - payloadStart;
    const headBytes = out.length - start;
    assert(headBytes <= peerLimits.messageHeadBytesMax, 'a message too large', message.type, headBytes);
    assert(payloadBytes <= peerLimits.messagePayloadBytesMax, 'a payload too large', message.type, payloadBytes);
    out.patchU32(start + 1, payloadBytes);
    this.#messages++;
    this.bytes += headBytes + payloadBytes;
    if (
      out.length >= peerLimits.frameHeadsBytesFull ||
      payload.bytes >= peerLimits.framePayloadBytesFull ||
      this.#messages === peerLimits.frameMessagesMax
    ) {
      this.#seal();
    }
  }

  /**
   * Everything added, as frames ready to be written one part after the other. The first part may lie in the reused
   * buffer: nothing may be added until `written` tells whether that buffer is free again.
   */
  take(): Uint8Array[] {
    if (this.#messages > 0 && this.#sealed.length === 0) {
      this.bytes = 0;
      return this.#finish();
    }
    if (this.#messages > 0) this.#seal();
    const parts = this.#sealed;
    this.#sealed = none;
    this.bytes = 0;
    return parts;
  }

  /** After `take`: `bufferFree` when what it returned has left this process, so that the buffer may be used again. */
  written(bufferFree: boolean): void {
    if (!bufferFree || this.#out.bytes.length > keptBytesMax) this.#out = new Writer(4096);
  }

  /** Forgets everything added: the connection ended. */
  clear(): void {
    this.bytes = 0;
    this.#messages = 0;
    this.#sealed = none;
    this.#payload.reset();
    this.#out = new Writer(4096);
  }

  /** Closes a frame that is full; the next message begins another in a buffer of its own. */
  #seal(): void {
    const parts = this.#finish();
    if (this.#sealed.length === 0) this.#sealed = parts;
    else for (const part of parts) this.#sealed.push(part);
    this.#out = new Writer(4096);
  }

  #finish(): Uint8Array[] {
    const front = this.#out.written();
    const pieces = this.#payload.pieces;
    let payloadCrc = 0;
    for (const piece of pieces) payloadCrc = crc32c(piece, payloadCrc);
    const header = this.#header;
    header.version = peerFormatVersion;
    header.messages = this.#messages;
    header.headsBytes = front.length - frameHeaderBytes;
    header.payloadBytes = this.#payload.bytes;
    header.headsCrc = crc32c(front.subarray(frameHeaderBytes));
    header.payloadCrc = payloadCrc;
    writeFrameHeader(front, header);
    pieces.unshift(front);
    this.#payload.reset();
    this.#messages = 0;
    return pieces;
  }
}
