import { createServer, type Server, type Socket } from 'node:net';
import type { Clock, Timer } from '../ports/clock.ts';
import { ticketLifeMs } from '../wire/peer/limits.ts';
import { Arrivals, PollWatch, receiveBufferBytesMax } from './poll-watch.ts';
import { roomFor, type StreamListener, StreamSocket } from './stream-socket.ts';

/** What a session asks of its connection. */
export interface SocketOutput {
  /** As `HOST:PORT`, `[HOST]:PORT` for IPv6: where the client reached us, and where it is. */
  readonly localAddress: string;
  readonly remoteAddress: string;
  /** By the clock, a moment at which the client had surely not closed the connection. */
  readonly openMs: number;
  /** Of what was sent: bytes that the system hasn't taken yet. */
  readonly queuedBytes: number;
  send(pieces: readonly Uint8Array[]): boolean;
  pause(): void;
  resume(): void;
  end(): void;
  destroy(): void;
}

/** What the listener tells a session: the shape of the sessions in `targets/`, which this folder may not import. */
export interface SocketSession {
  start(): void;
  /** `arrivedAfterMs`: by the clock, a moment at which it had surely not arrived. */
  receive(chunk: Uint8Array, arrivedAfterMs: number): void;
  inputEnded(): void;
  drained(): void;
  stop(): void;
  closed(): void;
}

export interface ListenerLimits {
  /** Open connections; a further one is closed at once. */
  readonly connectionsMax: number;
  /** Unsent bytes of one connection above which its requests wait. */
  readonly outputBytesMax: number;
  /** How long a connection that was ended may take to close. */
  readonly lingerMsMax: number;
  /** How long `close` waits for what is in flight. */
  readonly drainMsMax: number;
}

export const defaultListenerLimits: ListenerLimits = {
  connectionsMax: 256,
  outputBytesMax: 4 * 1024 * 1024,
  lingerMsMax: 5_000,
  drainMsMax: 10_000,
};

export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly clock: Clock;
  readonly limits?: Partial<ListenerLimits>;
  /** Told how long the event loop's turns take while anyone is connected. */
  readonly turns?: { took(turnMs: number, endedMs: number): void };
  /** Told that this process stood still for so long that the connections here were closed: so many. */
  readonly onStalled?: (turnMs: number, connections: number) => void;
  /** Makes the session of a new connection; `start` follows. */
  readonly openSession: (output: SocketOutput) => SocketSession;
}

export interface TargetListener {
  readonly port: number;
  readonly sessionCount: number;
  /** Takes no more connections, lets sessions finish what is in flight, then closes them. Resolves when all are closed. */
  close(): Promise<void>;
}

/** Listens for the clients of one host protocol. @throws what `listen` throws, `EADDRINUSE` for one. */
export async function listenTarget(options: ListenOptions): Promise<TargetListener> {
  const limits = { ...defaultListenerLimits, ...options.limits };
  const connections = new Set<Connection>();
  // Whoever stood still for so long may hold commands that their hosts have sent elsewhere since (design §3).
  const dropAll = (): void => {
    for (const connection of connections) connection.destroy();
  };
  const stalled = (turnMs: number): void => {
    options.onStalled?.(turnMs, connections.size);
    dropAll();
  };
  const watch = new PollWatch(options.clock, ticketLifeMs, stalled, (turnMs, endedMs) =>
    options.turns?.took(turnMs, endedMs),
  );
  const bufferBytesMax = receiveBufferBytesMax();
  /** Set by `close`. */
  let noneLeft: (() => void) | undefined;
  const server = createServer({
    pauseOnConnect: true,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
  });
  server.on('connection', (socket) => {
    if (connections.size >= limits.connectionsMax) {
      socket.destroy();
      return;
    }
    const arrivals = new Arrivals(watch, bufferBytesMax);
    const connection: Connection = new Connection(socket, options, limits, arrivals, () => {
      watch.noticeStall();
      connections.delete(connection);
      if (connections.size > 0) return;
      watch.stop();
      noneLeft?.();
    });
    connections.add(connection);
    watch.start();
    connection.session.start();
  });
  const port = await listening(server, options);
  return {
    port,
    get sessionCount() {
      return connections.size;
    },
    async close() {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      const ended = new Promise<void>((resolve) => {
        noneLeft = resolve;
      });
      for (const connection of connections) connection.session.stop();
      const timer = options.clock.after(limits.drainMsMax, dropAll);
      if (connections.size > 0) await ended;
      await closed;
      timer.cancel();
    },
  };
}

function listening(server: Server, { host, port }: ListenOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      server.on('error', () => {}); // a failed accept (no descriptors left): that client goes elsewhere
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

function addressText(host = '', port = 0): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

class Connection implements SocketOutput, StreamListener {
  readonly session: SocketSession;
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly #stream: StreamSocket;
  readonly #whenClosed: () => void;
  readonly #clock: Clock;
  readonly #limits: ListenerLimits;
  readonly #arrivals: Arrivals;
  #linger: Timer | undefined;

  constructor(
    socket: Socket,
    options: ListenOptions,
    limits: ListenerLimits,
    arrivals: Arrivals,
    whenClosed: () => void,
  ) {
    this.#clock = options.clock;
    this.#arrivals = arrivals;
    this.#limits = limits;
    this.#whenClosed = whenClosed;
    this.localAddress = addressText(socket.localAddress, socket.localPort);
    this.remoteAddress = addressText(socket.remoteAddress, socket.remotePort);
    const session = options.openSession(this);
    this.session = session;
    this.#stream = new StreamSocket(socket, this);
  }

  /** Copied out of the receive buffer: the session keeps views. */
  received(bytes: Uint8Array, isHeld: boolean): void {
    const chunk = roomFor(bytes.length);
    chunk.set(bytes);
    this.session.receive(chunk, this.#arrivals.read(chunk.length, this.#clock.nowMs(), isHeld));
  }

  ended(): void {
    this.#arrivals.paused();
    this.session.inputEnded();
  }

  drained(): void {
    this.session.drained();
  }

  closed(): void {
    this.#linger?.cancel();
    this.session.closed();
    this.#whenClosed();
  }

  /** One system call for all pieces. */
  send(pieces: readonly Uint8Array[]): boolean {
    let lengthBytes = 0;
    for (const piece of pieces) lengthBytes += piece.length;
    this.#stream.write(pieces, lengthBytes);
    return this.#stream.queuedBytes <= this.#limits.outputBytesMax;
  }

  get openMs(): number {
    return this.#arrivals.openMs;
  }

  get queuedBytes(): number {
    return this.#stream.queuedBytes;
  }

  pause(): void {
    this.#arrivals.paused();
    this.#stream.pause();
  }

  resume(): void {
    this.#arrivals.resumed(this.#clock.nowMs());
    this.#stream.resume();
  }

  end(): void {
    this.#stream.end();
    this.#stream.resume(); // reads on to see the client's end; the session ignores it
    this.#linger = this.#clock.after(this.#limits.lingerMsMax, () => this.#stream.destroy());
  }

  destroy(): void {
    this.#stream.destroy();
  }
}
