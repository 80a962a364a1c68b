import type { Socket } from 'node:net';
import { RemoteProtocolError } from '../base/errors.ts';
import { FrameDecoder } from '../wire/peer/frame-decoder.ts';
import { FrameEncoder } from '../wire/peer/frame-encoder.ts';
import type { PeerMessage } from '../wire/peer/types.ts';

export interface ConnectionListener {
  message(message: PeerMessage): void;
  /** Once, and never after `destroy`. The socket is destroyed. */
  ended(reason: 'reset' | 'protocol'): void;
}

/** One lane to one peer, after the handshake: frames out, messages in. */
export class Connection {
  /** Waiting for the flush at the end of the turn; kept by the fabric. */
  dirty = false;
  readonly #socket: Socket;
  readonly #listener: ConnectionListener;
  readonly #encoder = new FrameEncoder();
  readonly #decoder: FrameDecoder;
  /** What came behind the hello, until `open`. */
  #rest: Uint8Array;
  /** The kernel took only part of the last write: what is added meanwhile leaves together, later. */
  #writing = false;
  #ended = false;

  constructor(socket: Socket, rest: Uint8Array, listener: ConnectionListener) {
    this.#socket = socket;
    this.#rest = rest;
    this.#listener = listener;
    this.#decoder = new FrameDecoder((message) => {
      if (!this.#ended) listener.message(message);
    });
    socket.on('end', this.#reset);
    socket.on('close', this.#reset);
    socket.on('error', this.#reset);
  }

  /** Begins to deliver. Until then the socket stays paused, so that no message comes before `peerUp`. */
  open(): void {
    if (this.#ended) return;
    const rest = this.#rest;
    this.#rest = new Uint8Array(0);
    if (rest.length > 0) this.#receive(rest);
    if (this.#ended) return;
    this.#socket.on('data', this.#data);
    this.#socket.resume();
  }

  /** Bytes on their way out of this process. */
  get queuedBytes(): number {
    return this.#encoder.bytes + this.#socket.writableLength;
  }

  add(message: PeerMessage): void {
    this.#encoder.add(message);
  }

  /** Everything added so far leaves in one write. */
  flush(): void {
    if (this.#ended || this.#writing || this.#encoder.empty) return;
    const socket = this.#socket;
    const parts = this.#encoder.take();
    const last = parts.length - 1;
    if (last > 0) socket.cork();
    for (let i = 0; i < last; i++) socket.write(parts[i] as Uint8Array);
    socket.write(parts[last] as Uint8Array, this.#written);
    if (last > 0) socket.uncork();
    // Mostly the kernel takes all at once; then nothing refers to the encoder's buffer any more.
    const free = socket.writableLength === 0;
    this.#writing = !free;
    this.#encoder.written(free);
  }

  /** Ends it without a word to the listener. */
  destroy(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#encoder.clear();
    this.#socket.destroy();
  }

  readonly #written = (): void => {
    this.#writing = false;
    this.flush();
  };

  readonly #reset = (): void => this.#end('reset');

  readonly #data = (chunk: Buffer): void => this.#receive(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));

  #receive(bytes: Uint8Array): void {
    if (this.#ended) return;
    try {
      this.#decoder.push(bytes);
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      this.#end('protocol');
    }
  }

  #end(reason: 'reset' | 'protocol'): void {
    if (this.#ended) return;
    this.destroy();
    this.#listener.ended(reason);
  }
}
