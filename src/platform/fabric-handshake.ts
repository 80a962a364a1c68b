import type { Socket } from 'node:net';
import type { Clock, Timer } from '../ports/clock.ts';
import { decodeHello, helloBytesMax, helloLength, type HelloMessage } from '../wire/peer/hello.ts';
import { fabricLimits } from './fabric-limits.ts';

export interface HandshakeListener {
  /** The other side's hello, and what came behind it. The socket is paused and has no listeners of the handshake left. */
  hello(hello: HelloMessage, rest: Uint8Array): void;
  /** Closed, too late, or not a hello. The socket is destroyed. */
  failed(): void;
}

const nothing = new Uint8Array(0);

/** Waits for the hello at the beginning of a connection, for a bounded time and number of bytes. */
export class Handshake {
  readonly #socket: Socket;
  readonly #listener: HandshakeListener;
  readonly #timer: Timer;
  #received = nothing;
  #over = false;

  constructor(socket: Socket, clock: Clock, listener: HandshakeListener) {
    this.#socket = socket;
    this.#listener = listener;
    this.#timer = clock.after(fabricLimits.handshakeMs, this.#fail);
    socket.on('data', this.#data);
    socket.on('end', this.#fail);
    socket.on('close', this.#fail);
    socket.on('error', this.#fail);
  }

  /** Ends it without a word to the listener. */
  cancel(): void {
    if (this.#over) return;
    this.#detach();
    this.#socket.destroy();
  }

  readonly #data = (chunk: Buffer): void => {
    const received = new Uint8Array(this.#received.length + chunk.length);
    received.set(this.#received);
    received.set(chunk, this.#received.length);
    this.#received = received;
    let hello: HelloMessage;
    let length: number | undefined;
    try {
      length = helloLength(received.subarray(0, helloBytesMax));
      if (length === undefined || length > received.length) return;
      hello = decodeHello(received.subarray(0, length));
    } catch {
      this.#fail();
      return;
    }
    this.#detach();
    this.#socket.pause();
    this.#listener.hello(hello, received.subarray(length));
  };

  readonly #fail = (): void => {
    if (this.#over) return;
    this.cancel();
    this.#listener.failed();
  };

  #detach(): void {
    this.#over = true;
    this.#timer.cancel();
    const socket = this.#socket;
    socket.off('data', this.#data);
    socket.off('end', this.#fail);
    socket.off('close', this.#fail);
    socket.off('error', this.#fail);
    socket.on('error', ignore); // an error event without a listener would end the process
  }
}

function ignore(): void {}
