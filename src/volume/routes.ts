import type { ArcId, CoreletId } from '../base/ids.ts';
import type { Route } from '../wire/peer/types.ts';

/** The full map, as gossiped by the arcs' leaders: one hop to any block. Stale is safe: a refusal corrects it. */
export class RouteTable {
  readonly arcs: number;
  readonly #routes = new Map<ArcId, Route>();
  /** Kept up to date with every route, since each heartbeat carries one and checks one. */
  readonly #digests = new Map<CoreletId, number>();

  constructor(arcs: number) {
    this.arcs = arcs;
  }

  get(arc: ArcId): Route | undefined {
    return this.#routes.get(arc);
  }

  all(): IterableIterator<Route> {
    return this.#routes.values();
  }

  /** Takes the route if it isn't older than what is known. True: leader or replicas differ from before. */
  update(route: Route): boolean {
    const known = this.#routes.get(route.arc);
    if (known !== undefined) {
      if (route.term < known.term) return false;
      if (route.term === known.term && route.configurationIndex < known.configurationIndex) return false;
    }
    this.#routes.set(route.arc, route);
    if (known !== undefined) this.#toggle(known);
    this.#toggle(route);
    return known?.term !== route.term || known.configurationIndex !== route.configurationIndex;
  }

  /** A digest over everything that `leader` announced of the arcs it leads, as far as known here; order-independent. */
  ledDigest(leader: CoreletId): number {
    return (this.#digests.get(leader) ?? 0) >>> 0;
  }

  #toggle(route: Route): void {
    let mixed = Math.imul(route.arc + 1, 0x9e3779b1);
    mixed = Math.imul(mixed ^ route.term, 0x85ebca6b);
    mixed = Math.imul(mixed ^ route.configurationIndex, 0xc2b2ae35);
    mixed = Math.imul(mixed ^ (route.complete + (route.waitsForRoom ? 256 : 0)), 0x27d4eb2f);
    this.#digests.set(route.leader, (this.#digests.get(route.leader) ?? 0) ^ mixed);
  }

  ledBy(leader: CoreletId): Route[] {
    return [...this.#routes.values()].filter((route) => route.leader === leader);
  }
}
