import { assert } from '../base/assert.ts';
import type { CoreletId } from '../base/ids.ts';
import type { Fabric, FabricAddress, FabricListener, Hello, SendResult } from '../ports/fabric.ts';
import { laneOf } from '../wire/peer/codes.ts';
import { laneBytesMax } from '../wire/peer/limits.ts';
import type { PeerMessage } from '../wire/peer/types.ts';
import type { SimNetwork } from './fabric.ts';
import type { SimHalf, SimLane } from './fabric-lane.ts';

export type DownReason = 'reset' | 'protocol' | 'replaced';

/** One Corelet's plug in the simulated network. */
export class SimFabric implements Fabric<PeerMessage> {
  readonly self: Hello;
  readonly address: FabricAddress;
  state: 'new' | 'started' | 'closed' = 'new';
  /** Named by `setPeers`: dialed until connected. */
  readonly peers = new Map<CoreletId, FabricAddress>();
  readonly halves = new Map<CoreletId, SimHalf>();
  /** The newest start ever heard of each peer. */
  readonly starts = new Map<CoreletId, number>();
  redialScheduled = false;
  redialFailures = 0;
  readonly #network: SimNetwork;
  #listener: FabricListener<PeerMessage> | undefined;
  readonly #dirty: SimLane[] = [];
  /** While paused: what it will hear. */
  #missed: (() => void)[] | undefined;

  constructor(network: SimNetwork, self: Hello, address: FabricAddress) {
    this.#network = network;
    this.self = self;
    this.address = address;
  }

  async start(listener: FabricListener<PeerMessage>, starts?: ReadonlyMap<CoreletId, number>): Promise<void> {
    assert(this.state !== 'started', 'a fabric starts once');
    if (this.state === 'closed') return;
    for (const [id, incarnation] of starts ?? []) this.starts.set(id, incarnation);
    this.state = 'started';
    this.#listener = listener;
    this.#network.dial(this);
  }

  setPeers(peers: ReadonlyMap<CoreletId, FabricAddress>): void {
    for (const id of this.peers.keys()) {
      if (peers.has(id)) continue;
      this.peers.delete(id);
      const half = this.halves.get(id);
      if (half !== undefined) this.#network.disconnect(half);
    }
    for (const [id, address] of peers) if (id !== this.self.id) this.peers.set(id, address);
    this.redialFailures = 0;
    this.#network.dial(this);
  }

  send(to: CoreletId, message: PeerMessage): SendResult {
    const half = this.halves.get(to);
    if (half === undefined || half.state !== 'up' || this.state !== 'started') return 'unreachable';
    const number = laneOf(message);
    const lane = half.lanes[number] as SimLane;
    if (lane.queuedBytes >= laneBytesMax[number]) return 'full';
    lane.add(message);
    if (!lane.dirty) {
      lane.dirty = true;
      if (this.#dirty.push(lane) === 1) this.#network.clock.soon(() => this.#flush());
    }
    return 'queued';
  }

  isUp(peer: CoreletId): boolean {
    return this.halves.get(peer)?.state === 'up';
  }

  async close(): Promise<void> {
    this.#flush();
    this.#network.end(this);
  }

  // ---- what the network tells --------------------------------------------------------------------------------------

  up(half: SimHalf): void {
    if (this.state !== 'started' || half.state !== 'opening') return;
    half.state = 'up';
    this.redialFailures = 0;
    const { self } = half.remote;
    this.#hear((listener) => listener.peerUp(self));
  }

  /** This end of the connection is over. */
  down(half: SimHalf, reason: DownReason): void {
    if (half.state === 'closed') return;
    const wasUp = half.state === 'up';
    half.state = 'closed';
    const peer = half.remote.self.id;
    if (this.halves.get(peer) === half) this.halves.delete(peer);
    if (this.state !== 'started') return;
    if (wasUp) this.#hear((listener) => listener.peerDown(peer, reason));
    this.#network.redialLater(this);
  }

  superseded(by: CoreletId): void {
    this.#hear((listener) => listener.superseded?.(by));
  }

  /** A later start of that Corelet was heard here: this one is over. */
  isOver({ id, incarnation }: Hello): boolean {
    return (this.starts.get(id) ?? 0) > incarnation;
  }

  receive(from: CoreletId, message: PeerMessage): void {
    this.#hear((listener) => listener.message(from, message));
  }

  pause(): void {
    this.#missed ??= [];
  }

  resume(): void {
    const missed = this.#missed;
    this.#missed = undefined;
    for (const run of missed ?? []) run();
  }

  #hear(tell: (listener: FabricListener<PeerMessage>) => void): void {
    const listener = this.#listener;
    if (this.state !== 'started' || listener === undefined) return;
    if (this.#missed === undefined) tell(listener);
    else {
      this.#missed.push(() => {
        if (this.state === 'started') tell(listener);
      });
    }
  }

  #flush(): void {
    for (const lane of this.#dirty) {
      lane.dirty = false;
      const frame = lane.half.state === 'up' && this.state === 'started' ? lane.take() : undefined;
      if (frame !== undefined) this.#network.transmit(frame);
    }
    this.#dirty.length = 0;
  }
}
