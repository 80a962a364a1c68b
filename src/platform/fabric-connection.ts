import type { Socket } from 'node:net';
import { RemoteProtocolError } from '../base/errors.ts';
import { FrameDecoder } from '../wire/peer/frame-decoder.ts';
import { FrameEncoder } from '../wire/peer/frame-encoder.ts';
import type { PeerMessage } from '../wire/peer/types.ts';
import { roomFor, type StreamListener, StreamSocket } from './stream-socket.ts';

/** What went over all connections of this process since it started. A write or read carries the messages of a turn. */
export interface FabricCounts {
  messagesSent: number;
  messagesReceived: number;
  writes: number;
  reads: number;
}

export interface ConnectionListener {
  message(message: PeerMessage): void;
  /** Once, and never after `destroy`. The socket is destroyed. */
  ended(reason: 'reset' | 'protocol'): void;
}

/** One lane to one peer, after the handshake: frames out, messages in. */
export class Connection implements StreamListener {
  /** Waiting for the flush at the end of the turn; kept by the fabric. */
  dirty = false;
  /** Until `open`; then `#stream` has it. */
  readonly #socket: Socket;
  #stream: StreamSocket | undefined;
  readonly #listener: ConnectionListener;
  readonly #encoder = new FrameEncoder();
  readonly #decoder: FrameDecoder;
  readonly #counts: FabricCounts;
  /** What came behind the hello, until `open`. */
  #rest: Uint8Array;
  /** The kernel took only part of the last write: what is added meanwhile leaves together, later. */
  #writing = false;
  #ended = false;

  constructor(socket: Socket, rest: Uint8Array, counts: FabricCounts, listener: ConnectionListener) {
    this.#socket = socket;
    this.#rest = rest;
    this.#counts = counts;
    this.#listener = listener;
    this.#decoder = new FrameDecoder((message) => {
      if (this.#ended) return;
      counts.messagesReceived++;
      listener.message(message);
    }, roomFor);
    socket.on('end', this.#reset);
    socket.on('close', this.#reset);
    socket.on('error', this.#reset);
  }

  /** Begins to deliver. Until then the socket stays paused, so that no message comes before `peerUp`. */
  open(): void {
    if (this.#ended) return;
    const rest = this.#rest;
    this.#rest = new Uint8Array(0);
    if (rest.length > 0) this.received(rest);
    if (this.#ended) return;
    this.#socket.off('end', this.#reset);
    this.#socket.off('close', this.#reset);
    this.#stream = new StreamSocket(this.#socket, this);
    if (this.#ended) this.#stream.destroy();
    else this.flush();
  }

  /** Bytes on their way out of this process. */
  get queuedBytes(): number {
    return this.#encoder.bytes + (this.#stream?.queuedBytes ?? 0);
  }

  add(message: PeerMessage): void {
    this.#encoder.add(message);
    this.#counts.messagesSent++;
  }

  /** Everything added so far leaves in one write. */
  flush(): void {
    const stream = this.#stream;
    if (stream === undefined || this.#ended || this.#writing || this.#encoder.empty) return;
    const parts = this.#encoder.take();
    let lengthBytes = 0;
    for (const part of parts) lengthBytes += part.length;
    this.#counts.writes++;
    // Mostly the kernel takes all at once; then nothing refers to the encoder's buffer any more.
    const free = stream.write(parts, lengthBytes, this.#written);
    this.#writing = !free;
    this.#encoder.written(free);
  }

  /** Ends it without a word to the listener. */
  destroy(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#encoder.clear();
    if (this.#stream === undefined) this.#socket.destroy();
    else this.#stream.destroy();
  }

  readonly #written = (): void => {
    this.#writing = false;
    this.flush();
  };

  readonly #reset = (): void => this.#end('reset');

  ended(): void {
    this.#end('reset');
  }

  closed(): void {
    this.#end('reset');
  }

  received(bytes: Uint8Array): void {
    if (this.#ended) return;
    this.#counts.reads++;
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
