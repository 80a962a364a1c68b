import type { Socket } from 'node:net';
import { assert } from '../base/assert.ts';
import type { CoreletId } from '../base/ids.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import { type FabricListener, type Hello, type Lane, laneCount, lanes } from '../ports/fabric.ts';
import type { Random } from '../ports/random.ts';
import type { HelloMessage, Refusal } from '../wire/peer/hello.ts';
import type { PeerMessage } from '../wire/peer/types.ts';
import type { SocketTarget } from './fabric-address.ts';
import { Connection, type FabricCounts } from './fabric-connection.ts';
import { Dial } from './fabric-dial.ts';
import { fabricLimits } from './fabric-limits.ts';

/** What a link asks of the fabric that it belongs to. */
export interface LinkOwner {
  readonly self: Hello;
  readonly clock: Clock;
  readonly random: Random;
  readonly listener: FabricListener<PeerMessage>;
  readonly counts: FabricCounts;
  ourHello(lane: Lane, refusal: Refusal): HelloMessage;
  /** Why an answer can't be accepted, whoever gave it; `none` if it can. */
  objection(hello: HelloMessage): Refusal;
  /** A connection with that start of a peer was taken. */
  heard(id: CoreletId, incarnation: number): void;
  refused(link: PeerLink, reason: Refusal, who: 'us' | 'them'): void;
  /** All its lanes are closed. */
  down(link: PeerLink): void;
}

export type DownReason = 'reset' | 'protocol' | 'replaced';

const allLanes: readonly Lane[] = Object.values(lanes);

/**
 * Everything with one peer: a connection per lane, and the attempts to get one. Both sides may dial; the one with the
 * smaller id decides: while it dials itself or has a connection, it refuses the other's. So there is never a second
 * connection whose messages could get lost unnoticed.
 */
export class PeerLink {
  readonly id: CoreletId;
  /** Where to dial; undefined for a peer that came by itself. */
  target: SocketTarget | undefined;
  incarnation = 0;
  up = false;
  readonly #owner: LinkOwner;
  readonly #connections: (Connection | undefined)[] = Array.from({ length: laneCount });
  readonly #dials: (Dial | undefined)[] = Array.from({ length: laneCount });
  #retry: Timer | undefined;
  #failures = 0;
  /** A peer that opened one lane must open all soon. */
  #incomplete: Timer | undefined;
  #closed = false;

  constructor(id: CoreletId, owner: LinkOwner) {
    this.id = id;
    this.#owner = owner;
  }

  connection(lane: Lane): Connection | undefined {
    return this.#connections[lane];
  }

  get #decides(): boolean {
    return this.#owner.self.id < this.id;
  }

  get #anyOpen(): boolean {
    return this.#connections.some((connection) => connection !== undefined);
  }

  /** Dials every lane that has neither a connection nor an attempt. */
  dial(): void {
    const { target } = this;
    if (this.#closed || target === undefined) return;
    this.#retry?.cancel();
    this.#retry = undefined;
    for (const lane of allLanes) {
      if (this.#connections[lane] === undefined && this.#dials[lane] === undefined) this.#dialLane(lane, target);
    }
  }

  #dialLane(lane: Lane, target: SocketTarget): void {
    const { clock } = this.#owner;
    this.#dials[lane] = new Dial(target, clock, this.#owner.ourHello(lane, 'none'), {
      answered: (socket, hello, rest) => {
        this.#dials[lane] = undefined;
        this.#answered(lane, socket, hello, rest);
      },
      failed: () => {
        this.#dials[lane] = undefined;
        this.#failed();
      },
    });
  }

  #answered(lane: Lane, socket: Socket, hello: HelloMessage, rest: Uint8Array): void {
    if (hello.refusal === 'duplicate') {
      socket.destroy();
      this.#retryLater(); // its own attempt is under way; ours is for the case that it fails
      return;
    }
    let refusal = this.#owner.objection(hello);
    if (refusal === 'none' && (hello.id !== this.id || hello.lane !== lane)) refusal = 'identity';
    if (hello.refusal !== 'none' || refusal !== 'none') {
      socket.destroy();
      if (hello.refusal !== 'none') this.#owner.refused(this, hello.refusal, 'them');
      else this.#owner.refused(this, refusal, 'us');
      this.#failed();
      return;
    }
    this.#adopt(socket, hello, rest);
  }

  /** A connection from the peer: why not, or `none` and it is taken. `consent` is called before anything is sent on it. */
  accept(socket: Socket, hello: HelloMessage, rest: Uint8Array, consent: () => void): Refusal {
    const { lane } = hello;
    const open = this.#connections[lane];
    if (this.#decides) {
      if (this.#dials[lane] !== undefined) return 'duplicate';
      if (open !== undefined && hello.incarnation === this.incarnation) return 'duplicate';
    } else {
      this.#dials[lane]?.cancel();
      this.#dials[lane] = undefined;
      // The other side decides and has none: ours is dead, we only haven't heard of it yet.
      if (open !== undefined && hello.incarnation === this.incarnation) this.end('reset');
    }
    if (this.#closed) return 'duplicate';
    consent();
    this.#adopt(socket, hello, rest);
    return 'none';
  }

  #adopt(socket: Socket, hello: HelloMessage, rest: Uint8Array): void {
    if (this.#anyOpen && hello.incarnation !== this.incarnation) this.end('replaced');
    if (this.#closed) {
      socket.destroy();
      return;
    }
    this.incarnation = hello.incarnation;
    this.#owner.heard(this.id, hello.incarnation);
    const connection = new Connection(socket, rest, this.#owner.counts, {
      message: (message) => this.#owner.listener.message(this.id, message),
      ended: (reason) => this.end(reason),
    });
    assert(this.#connections[hello.lane] === undefined, 'one connection per lane');
    this.#connections[hello.lane] = connection;
    const complete = this.#connections.every((each) => each !== undefined);
    if (!complete) {
      const { clock } = this.#owner;
      this.#incomplete ??= clock.after(fabricLimits.handshakeMs, () => this.end('reset'));
      this.dial();
      return;
    }
    this.#complete();
  }

  #complete(): void {
    this.#incomplete?.cancel();
    this.#incomplete = undefined;
    this.#failures = 0;
    this.up = true;
    const { self, listener } = this.#owner;
    const connections = [...this.#connections];
    listener.peerUp({ cluster: self.cluster, id: this.id, incarnation: this.incarnation });
    for (const connection of connections) connection?.open();
  }

  /** One lane's end is the end of all: what was under way is lost, and the peer must learn that it is. */
  end(reason: DownReason): void {
    const wasUp = this.up;
    this.#disconnect();
    if (this.#closed) return;
    if (reason !== 'replaced') this.#retryLater();
    if (wasUp) this.#owner.listener.peerDown(this.id, reason);
    if (!this.#closed && !this.#anyOpen && reason !== 'replaced') this.#owner.down(this);
  }

  /** For good, without a word. */
  close(): void {
    this.#closed = true;
    this.#retry?.cancel();
    for (const dial of this.#dials) dial?.cancel();
    this.#disconnect();
  }

  #disconnect(): void {
    this.up = false;
    this.#incomplete?.cancel();
    this.#incomplete = undefined;
    for (const lane of allLanes) {
      this.#connections[lane]?.destroy();
      this.#connections[lane] = undefined;
    }
  }

  /** An attempt failed. A peer that died between two lanes shows here first: paused sockets don't tell. */
  #failed(): void {
    if (this.#closed) return;
    if (this.#anyOpen && !this.up) this.end('reset');
    else this.#retryLater();
  }

  #retryLater(): void {
    if (this.#closed || this.target === undefined || this.#retry !== undefined) return;
    const { clock, random } = this.#owner;
    const delayMs = Math.min(fabricLimits.redialMaxMs, fabricLimits.redialMinMs * 2 ** Math.min(this.#failures++, 10));
    this.#retry = clock.after(delayMs * (0.75 + random.fraction() / 2), () => {
      this.#retry = undefined;
      this.dial();
    });
  }
}
