import type { Socket } from 'node:net';
import type { Clock, Timer } from '../ports/clock.ts';
import { encodeHello, type HelloMessage } from '../wire/peer/hello.ts';
import { dialSocket, type SocketTarget } from './fabric-address.ts';
import { Handshake } from './fabric-handshake.ts';
import { fabricLimits } from './fabric-limits.ts';

export interface DialListener {
  answered(socket: Socket, hello: HelloMessage, rest: Uint8Array): void;
  failed(): void;
}

/** One attempt to connect: socket, our hello, the answer. Ends in one of the listener's calls, or in `cancel`. */
export class Dial {
  readonly #socket: Socket;
  readonly #timer: Timer;
  readonly #listener: DialListener;
  #handshake: Handshake | undefined;
  #over = false;

  constructor(target: SocketTarget, clock: Clock, hello: HelloMessage, listener: DialListener) {
    this.#listener = listener;
    this.#timer = clock.after(fabricLimits.handshakeMs, this.#fail);
    const socket = dialSocket(target);
    this.#socket = socket;
    socket.on('error', this.#fail);
    socket.once('connect', () => {
      if (this.#over) return;
      this.#timer.cancel();
      socket.write(encodeHello(hello));
      this.#handshake = new Handshake(socket, clock, {
        hello: (answer, rest) => {
          this.#over = true;
          listener.answered(socket, answer, rest);
        },
        failed: this.#fail,
      });
    });
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer.cancel();
    this.#handshake?.cancel();
    this.#socket.destroy();
  }

  readonly #fail = (): void => {
    if (this.#over) return;
    this.cancel();
    this.#listener.failed();
  };
}
