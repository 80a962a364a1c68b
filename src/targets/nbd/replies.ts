import { utf8Bytes } from '../../base/bytes.ts';
import type { Extent } from '../../volume/block-device.ts';
import { allocationContextId, allocationStates, chunkFlags, chunkTypes, errors } from '../../wire/nbd/codes.ts';
import {
  blockStatusBytes,
  chunkHeadBytes,
  type Cookie,
  encodeBlockStatus,
  encodeChunkHead,
  encodeError,
  encodeExtent,
  encodeOffsetData,
  encodeOffsetHole,
  encodeSimpleReply,
  errorBytes,
  extentBytes,
  offsetDataBytes,
  offsetHoleBytes,
  simpleReplyBytes,
} from '../../wire/nbd/reply.ts';
import { extentsMax, holeBytesMin } from './limits.ts';
import { isZero } from './zeros.ts';

const slabBytes = 16 * 1024; // about a thousand heads

const messages = new Map<number, Uint8Array>([
  [errors.permission, utf8Bytes('the volume is read-only')],
  [errors.io, utf8Bytes('the I/O could not be done')],
  [errors.invalid, utf8Bytes('the request is invalid')],
  [errors.noSpace, utf8Bytes('past the end, or no space left')],
  [errors.unsupported, utf8Bytes('not faster than a write')],
  [errors.shutdown, utf8Bytes('the volume is going away')],
]);
const noMessage = new Uint8Array(0);

/**
 * The replies of one turn, as pieces for one socket write. Heads are written next to each other into a slab that is used
 * up and replaced (the socket owns what it was given), so that acknowledgements of a turn leave as a single piece.
 */
export class ReplyQueue {
  readonly pieces: Uint8Array[] = [];
  #slab = new Uint8Array(slabBytes);
  #used = 0;
  #runStart = 0;

  get isEmpty(): boolean {
    return this.pieces.length === 0 && this.#used === this.#runStart;
  }

  /** Ends the run of heads: `pieces` is then complete. Forget it with `pieces.length = 0`. */
  close(): void {
    if (this.#used === this.#runStart) return;
    this.pieces.push(this.#slab.subarray(this.#runStart, this.#used));
    this.#runStart = this.#used;
  }

  /** Whole messages, as of the handshake. */
  message(bytes: Uint8Array): void {
    this.close();
    this.pieces.push(bytes);
  }

  simple(cookie: Cookie, error: number): void {
    const at = this.#reserve(simpleReplyBytes);
    encodeSimpleReply(this.#slab, at, error, cookie);
  }

  simpleData(cookie: Cookie, parts: readonly Uint8Array[]): void {
    this.simple(cookie, errors.none);
    this.#payload(parts, 0, parts.length);
  }

  /** A structured reply without content. */
  done(cookie: Cookie): void {
    const at = this.#reserve(chunkHeadBytes);
    encodeChunkHead(this.#slab, at, chunkFlags.done, chunkTypes.none, cookie, 0);
  }

  failed(cookie: Cookie, error: number): void {
    const message = messages.get(error) ?? noMessage;
    const at = this.#reserve(chunkHeadBytes + errorBytes + message.length);
    encodeChunkHead(this.#slab, at, chunkFlags.done, chunkTypes.error, cookie, errorBytes + message.length);
    encodeError(this.#slab, at + chunkHeadBytes, error, message);
  }

  /** `parts` as one chunk, the last of its reply. `lengthBytes` is their sum, not 0. */
  data(cookie: Cookie, offset: number, lengthBytes: number, parts: readonly Uint8Array[]): void {
    this.#dataHead(cookie, offset, lengthBytes, chunkFlags.done);
    this.#payload(parts, 0, parts.length);
  }

  /** `parts` with their long runs of zeros told as holes. */
  sparseData(cookie: Cookie, offset: number, parts: readonly Uint8Array[]): void {
    let runFirst = 0; // a run of data collects the parts before the next hole
    let runBytes = 0;
    let at = offset;
    for (let i = 0; i < parts.length; ) {
      let end = i;
      let zeroBytes = 0;
      while (end < parts.length && isZero(parts[end] as Uint8Array)) zeroBytes += (parts[end++] as Uint8Array).length;
      if (zeroBytes >= holeBytesMin) {
        if (runBytes > 0) {
          this.#dataHead(cookie, at, runBytes, 0);
          this.#payload(parts, runFirst, i);
          at += runBytes;
        }
        this.#hole(cookie, at, zeroBytes, end === parts.length);
        at += zeroBytes;
        runFirst = end;
        runBytes = 0;
      } else {
        if (end < parts.length) zeroBytes += (parts[end++] as Uint8Array).length; // the part that isn't zero
        runBytes += zeroBytes;
      }
      i = end;
    }
    if (runBytes === 0) return;
    this.#dataHead(cookie, at, runBytes, chunkFlags.done);
    this.#payload(parts, runFirst, parts.length);
  }

  /** One BLOCK_STATUS chunk; `countMax` extents at most. There must be one. */
  extents(cookie: Cookie, extents: readonly Extent[], countMax: number): void {
    const count = Math.min(extents.length, countMax, extentsMax);
    const payloadBytes = blockStatusBytes + count * extentBytes;
    const bytes = new Uint8Array(chunkHeadBytes + payloadBytes);
    encodeChunkHead(bytes, 0, chunkFlags.done, chunkTypes.blockStatus, cookie, payloadBytes);
    encodeBlockStatus(bytes, chunkHeadBytes, allocationContextId);
    for (let i = 0, at = chunkHeadBytes + blockStatusBytes; i < count; i++, at += extentBytes) {
      const extent = extents[i] as Extent;
      const state = extent.kind === 'hole' ? allocationStates.hole | allocationStates.zero : allocationStates.data;
      encodeExtent(bytes, at, extent.lengthBytes, state);
    }
    this.message(bytes);
  }

  #hole(cookie: Cookie, offset: number, lengthBytes: number, isLast: boolean): void {
    const at = this.#reserve(chunkHeadBytes + offsetHoleBytes);
    const flags = isLast ? chunkFlags.done : 0;
    encodeChunkHead(this.#slab, at, flags, chunkTypes.offsetHole, cookie, offsetHoleBytes);
    encodeOffsetHole(this.#slab, at + chunkHeadBytes, offset, lengthBytes);
  }

  #dataHead(cookie: Cookie, offset: number, lengthBytes: number, flags: number): void {
    const at = this.#reserve(chunkHeadBytes + offsetDataBytes);
    encodeChunkHead(this.#slab, at, flags, chunkTypes.offsetData, cookie, offsetDataBytes + lengthBytes);
    encodeOffsetData(this.#slab, at + chunkHeadBytes, offset);
  }

  #payload(parts: readonly Uint8Array[], first: number, end: number): void {
    this.close();
    for (let i = first; i < end; i++) this.pieces.push(parts[i] as Uint8Array);
  }

  #reserve(count: number): number {
    if (this.#used + count > slabBytes) {
      this.close();
      this.#slab = new Uint8Array(slabBytes);
      this.#used = 0;
      this.#runStart = 0;
    }
    const at = this.#used;
    this.#used = at + count;
    return at;
  }
}
