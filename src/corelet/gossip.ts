import type { CoreletId } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { RouteTable } from '../volume/routes.ts';
import type { PeerMessage, Route, Routes } from '../wire/peer/types.ts';

/** Digests that differ this often in a row: a route was lost on the way, so the peer is asked for all of its. */
const mismatchesMax = 3;

export interface GossipOptions {
  readonly self: CoreletId;
  readonly clock: Clock;
  readonly table: RouteTable;
  peers(): Iterable<CoreletId>;
  send(to: CoreletId, message: PeerMessage): void;
  /** A route with another leader or other replicas. */
  onChange(route: Route): void;
}

/** Spreads what leaders know of their arcs to everyone, at once and again where digests show that something is missing. */
export class Gossip {
  readonly #options: GossipOptions;
  readonly #fresh = new Map<number, Route>();
  readonly #mismatches = new Map<CoreletId, number>();

  constructor(options: GossipOptions) {
    this.#options = options;
  }

  /** A leader here has news. Everything of one turn leaves together. */
  announce(route: Route): void {
    this.#take(route);
    if (this.#fresh.size === 0) this.#options.clock.soon(() => this.#spread());
    this.#fresh.set(route.arc, route);
  }

  #spread(): void {
    const message: Routes = { type: 'routes', ask: false, routes: [...this.#fresh.values()] };
    this.#fresh.clear();
    for (const peer of this.#options.peers()) if (peer !== this.#options.self) this.#options.send(peer, message);
  }

  peerUp(id: CoreletId): void {
    this.#mismatches.delete(id);
    this.#tellMine(id);
  }

  receive(from: CoreletId, message: Routes): void {
    for (const route of message.routes) this.#take(route);
    if (message.ask) this.#tellMine(from);
  }

  /** The peer's digest over what it leads, from its liveness message. */
  compare(from: CoreletId, digest: number): void {
    if (this.#options.table.ledDigest(from) === digest) {
      this.#mismatches.delete(from);
      return;
    }
    const count = (this.#mismatches.get(from) ?? 0) + 1;
    if (count < mismatchesMax) this.#mismatches.set(from, count);
    else {
      this.#mismatches.delete(from);
      this.#options.send(from, { type: 'routes', ask: true, routes: [] });
    }
  }

  #tellMine(to: CoreletId): void {
    const routes = this.#options.table.ledBy(this.#options.self);
    if (routes.length > 0) this.#options.send(to, { type: 'routes', ask: false, routes });
  }

  #take(route: Route): void {
    if (this.#options.table.update(route)) this.#options.onChange(route);
  }
}
