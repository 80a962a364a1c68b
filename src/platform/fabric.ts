import { createServer, type Server, type Socket } from 'node:net';
import { assert } from '../base/assert.ts';
import type { CoreletId } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Fabric, FabricAddress, FabricListener, Hello, Lane, SendResult } from '../ports/fabric.ts';
import type { Random } from '../ports/random.ts';
import { laneOf } from '../wire/peer/codes.ts';
import { peerFormatVersion, peerFormatVersionOldest } from '../wire/peer/frame-header.ts';
import { encodeHello, type HelloMessage, type Refusal } from '../wire/peer/hello.ts';
import { laneBytesMax } from '../wire/peer/limits.ts';
import type { PeerMessage } from '../wire/peer/types.ts';
import { createClock } from './clock.ts';
import { listenAt, listeningAddress, parseFabricAddress, type SocketTarget } from './fabric-address.ts';
import type { Connection, FabricCounts } from './fabric-connection.ts';
import { Handshake } from './fabric-handshake.ts';
import { fabricLimits } from './fabric-limits.ts';
import { type LinkOwner, PeerLink } from './fabric-link.ts';
import { createRandom } from './random.ts';

export interface FabricOptions {
  readonly self: Hello;
  /** Where peers reach this Corelet. Port 0: any free one, told by `address` once started. */
  readonly listen: FabricAddress;
  /** The Corelet's own: what it asks for at the end of a batch then leaves in that batch's write. */
  readonly clock?: Clock;
  readonly random?: Random;
  /** Hears of refused peers, once each. */
  readonly events?: Events;
}

const nobody: FabricListener<PeerMessage> = { message() {}, peerUp() {}, peerDown() {} };
const noAuthentication = new Uint8Array(0);

const refusalTexts: Readonly<Record<Refusal, string>> = {
  none: '',
  cluster: 'it belongs to another cluster',
  version: 'the two speak no common format version',
  self: 'it has the id of the one that it called',
  identity: 'another Corelet answers at that address',
  duplicate: 'there is a connection already',
  stale: 'a newer start of the same Corelet was heard',
  crowded: 'too many unknown Corelets are connected',
};

/** The fabric over Unix sockets or TCP: a connection per peer and lane. See docs/formats/fabric.md. */
export class SocketFabric implements Fabric<PeerMessage>, LinkOwner {
  readonly self: Hello;
  readonly clock: Clock;
  readonly random: Random;
  listener = nobody;
  readonly counts: FabricCounts = { messagesSent: 0, messagesReceived: 0, writes: 0, reads: 0 };
  /** Where it listens; final once started. */
  address: FabricAddress;
  readonly #events: Events | undefined;
  readonly #target: SocketTarget;
  readonly #server: Server;
  readonly #links = new Map<CoreletId, PeerLink>();
  /** Named by `setPeers`. */
  readonly #named = new Set<CoreletId>();
  readonly #handshakes = new Set<Handshake>();
  readonly #refusals = new Set<string>();
  /** The newest start ever heard of each peer. */
  readonly #starts = new Map<CoreletId, number>();
  #dirty: Connection[] = [];
  #flushing: Connection[] = [];
  #state: 'new' | 'started' | 'closed' = 'new';

  constructor(options: FabricOptions, target: SocketTarget) {
    this.self = options.self;
    this.address = options.listen;
    this.clock = options.clock ?? createClock();
    this.random = options.random ?? createRandom();
    this.#events = options.events;
    this.#target = target;
    this.#server = createServer({ noDelay: true }, (socket) => this.#incoming(socket));
  }

  /** Rejects with the system's error where it can't listen (EADDRINUSE: another process answers there). */
  async start(listener: FabricListener<PeerMessage>, starts?: ReadonlyMap<CoreletId, number>): Promise<void> {
    assert(this.#state === 'new', 'a fabric starts once');
    for (const [id, incarnation] of starts ?? []) this.#starts.set(id, incarnation);
    this.listener = listener;
    await listenAt(this.#server, this.#target);
    this.#server.on('error', () => {}); // a failed accept (out of descriptors) leaves the caller to try again
    this.address = listeningAddress(this.#server, this.address);
    this.#state = 'started';
    for (const link of this.#links.values()) link.dial();
  }

  setPeers(peers: ReadonlyMap<CoreletId, FabricAddress>): void {
    for (const id of this.#named) if (!peers.has(id)) this.#forget(id);
    for (const [id, address] of peers) {
      if (id === this.self.id) continue;
      const link = this.#link(id);
      link.target = parseFabricAddress(address);
      this.#named.add(id);
      if (this.#state === 'started') link.dial();
    }
  }

  send(to: CoreletId, message: PeerMessage): SendResult {
    const link = this.#links.get(to);
    if (link === undefined || !link.up) return 'unreachable';
    const lane = laneOf(message);
    const connection = link.connection(lane);
    if (connection === undefined) return 'unreachable';
    if (connection.queuedBytes >= laneBytesMax[lane]) return 'full';
    connection.add(message);
    if (!connection.dirty) {
      connection.dirty = true;
      if (this.#dirty.push(connection) === 1) this.clock.soon(this.#flush);
    }
    return 'queued';
  }

  isUp(peer: CoreletId): boolean {
    return this.#links.get(peer)?.up ?? false;
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#flush();
    const listening = this.#server.listening;
    this.#state = 'closed';
    this.listener = nobody;
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    for (const handshake of this.#handshakes) handshake.cancel();
    this.#handshakes.clear();
    if (listening) await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  // ---- what links ask ----------------------------------------------------------------------------------------------

  ourHello(lane: Lane, refusal: Refusal): HelloMessage {
    const { cluster, id, incarnation } = this.self;
    const versions = { version: peerFormatVersion, versionOldest: peerFormatVersionOldest };
    return { ...versions, lane, refusal, cluster, id, incarnation, authentication: noAuthentication };
  }

  objection(hello: HelloMessage): Refusal {
    if (hello.versionOldest > peerFormatVersion || hello.version < peerFormatVersionOldest) return 'version';
    if (hello.cluster !== this.self.cluster) return 'cluster';
    if (hello.id === this.self.id) return 'self';
    if (hello.incarnation < (this.#starts.get(hello.id) ?? 0)) return 'stale';
    return 'none';
  }

  heard(id: CoreletId, incarnation: number): void {
    if (this.#starts.get(id) === incarnation) return;
    this.#starts.delete(id);
    this.#starts.set(id, incarnation);
    const oldest = this.#starts.keys().next().value;
    if (this.#starts.size > fabricLimits.startsKnownMax && oldest !== undefined) this.#starts.delete(oldest);
  }

  refused(link: PeerLink, reason: Refusal, who: 'us' | 'them'): void {
    this.#recordRefusal(link.id, reason, who === 'us' ? 'refused' : 'was refused by');
    if (reason === 'stale' && who === 'them') this.listener.superseded?.(link.id);
  }

  down(link: PeerLink): void {
    // Who came unnamed and went is forgotten: it dials again if it still wants something.
    if (!this.#named.has(link.id)) this.#drop(link);
  }

  // ---- inside --------------------------------------------------------------------------------------------------------

  readonly #flush = (): void => {
    const connections = this.#dirty;
    this.#dirty = this.#flushing;
    this.#flushing = connections;
    for (const connection of connections) {
      connection.dirty = false;
      connection.flush();
    }
    connections.length = 0;
  };

  #link(id: CoreletId): PeerLink {
    let link = this.#links.get(id);
    if (link === undefined) {
      link = new PeerLink(id, this);
      this.#links.set(id, link);
    }
    return link;
  }

  #drop(link: PeerLink): void {
    link.close();
    this.#links.delete(link.id);
  }

  #forget(id: CoreletId): void {
    this.#named.delete(id);
    const link = this.#links.get(id);
    if (link === undefined) return;
    const wasUp = link.up;
    this.#drop(link);
    // Not from within the owner's call.
    if (wasUp) this.clock.soon(() => this.listener.peerDown(id, 'reset'));
  }

  #incoming(socket: Socket): void {
    if (this.#state === 'closed' || this.#handshakes.size >= fabricLimits.handshakesMax) {
      socket.destroy();
      return;
    }
    const handshake = new Handshake(socket, this.clock, {
      hello: (hello, rest) => {
        this.#handshakes.delete(handshake);
        this.#greet(socket, hello, rest);
      },
      failed: () => this.#handshakes.delete(handshake),
    });
    this.#handshakes.add(handshake);
  }

  #greet(socket: Socket, hello: HelloMessage, rest: Uint8Array): void {
    let refusal = this.objection(hello);
    if (refusal === 'none' && !this.#links.has(hello.id)) {
      const unnamed = this.#links.size - this.#named.size;
      if (unnamed >= fabricLimits.unnamedPeersMax) refusal = 'crowded';
    }
    if (refusal === 'none') {
      const link = this.#link(hello.id);
      const consent = () => void socket.write(encodeHello(this.ourHello(hello.lane, 'none')));
      refusal = link.accept(socket, hello, rest, consent);
    }
    if (refusal === 'none') return;
    socket.end(encodeHello(this.ourHello(hello.lane, refusal)), () => socket.destroy());
    if (refusal !== 'duplicate') this.#recordRefusal(hello.id, refusal, 'refused');
  }

  #recordRefusal(peer: CoreletId, reason: Refusal, verb: string): void {
    const key = `${peer} ${reason} ${verb}`;
    if (this.#refusals.has(key) || this.#refusals.size >= fabricLimits.refusalsKnownMax) return;
    this.#refusals.add(key);
    const text = `${this.self.id} ${verb} ${peer}: ${refusalTexts[reason]}.`;
    this.#events?.record({ kind: 'fabric.refused', corelet: peer, text, data: { reason } });
  }
}

/** The fabric of one Corelet on this machine. Throws where the address is neither `unix:PATH` nor `tcp:HOST:PORT`. */
export function createFabric(options: FabricOptions): SocketFabric {
  const target = parseFabricAddress(options.listen);
  if (target === undefined) throw new TypeError(`not a fabric address: ${options.listen}`);
  return new SocketFabric(options, target);
}
