import type { ArcId, CoreletId, LogIndex } from '../base/ids.ts';
import type { Route } from '../wire/peer/types.ts';
import { replicaOf } from './members.ts';
import type { Replica } from './replica.ts';

/** So long after it began, a leader goes by nothing but the answers it has. */
const askedMs = 1000;

/** Voters that have what is committed, or are behind by little, and are alive. Only the leader knows. */
export function completeVoters(replica: Replica, lagMax: number): number {
  const { core } = replica;
  let complete = 0;
  const floor = Math.max(1, core.commitIndex - lagMax);
  const progress = core.progress();
  for (const member of core.configuration.voters) {
    if (member === replica.member) complete += 1;
    else if (replica.isLive(member) && (progress.get(member)?.matchIndex ?? 0) >= floor) complete += 1;
  }
  return complete;
}

type HealingLeft = Pick<Route, 'healBytesLeft' | 'waitsForRoom'>;

/** What a leader tells everybody of its arc. */
function routeOf(replica: Replica, self: CoreletId, complete: number, left: HealingLeft): Route {
  const { arc, core } = replica;
  const { voters, votersOutgoing, learners } = core.configuration;
  return {
    arc,
    term: core.term,
    leader: self,
    configurationIndex: core.configurationIndex,
    voters: voters.map(replicaOf),
    votersOutgoing: votersOutgoing.map(replicaOf),
    learners: learners.map(replicaOf),
    complete,
    ...left,
  };
}

/** Who hears what leaders here tell, and knows what others told. */
export interface RouteWatch {
  readonly self: CoreletId;
  /** A leader here has news of its arc. */
  onRoute(route: Route): void;
  /** Something of an arc led here is new, or a copy waits to begin: healing may take its next step. */
  onProgress(): void;
  /** What leaders told of an arc last. */
  routeTo(arc: ArcId): Route | undefined;
}

/** What leaders here tell of their arcs: what is new, and of completeness never less than is true. */
export class RouteNews {
  readonly #watch: RouteWatch;
  readonly #lagMax: number;
  readonly #told = new Map<ArcId, string>();
  /** What the leader before told last. */
  readonly #former = new WeakMap<Replica, Route>();
  /** Index of the configuration that an arc had when something about it changed last. */
  readonly #configured = new WeakMap<Replica, LogIndex>();

  constructor(watch: RouteWatch, lagMax: number) {
    this.#watch = watch;
    this.#lagMax = lagMax;
  }

  tell(replica: Replica, left: HealingLeft): void {
    const { arc, core } = replica;
    const known = this.#watch.routeTo(arc);
    if (known !== undefined && known.term < core.term) this.#former.set(replica, known);
    const complete = this.#complete(replica);
    const summary = [core.term, core.configurationIndex, complete, left.healBytesLeft, left.waitsForRoom].join(' ');
    if (this.#told.get(arc) === summary) return;
    this.#told.set(arc, summary);
    this.#watch.onRoute(routeOf(replica, this.#watch.self, complete, left));
  }

  /**
   * Something about it changed: whether its leader may take the next step of a change of members. There is another configuration than
   * at the last change, or a newcomer in it; an election alone is nothing to plan for, and in an election time is short.
   */
  isProgress(replica: Replica): boolean {
    const { configuration, configurationIndex } = replica.core;
    const before = this.#configured.get(replica) ?? configurationIndex;
    this.#configured.set(replica, configurationIndex);
    return replica.isLeader && (before !== configurationIndex || configuration.learners.length > 0);
  }

  /**
   * A leader that has just begun hasn't asked every voter yet. Where the one before told that all copies were complete, those
   * that live still are, but for what was written since: it says so until they have answered. Also where that was told of an older
   * configuration: whoever came in since had everything, or didn't come in.
   */
  #complete(replica: Replica): number {
    const { core, leadingMs } = replica;
    const { voters } = core.configuration;
    const former = this.#former.get(replica);
    const complete = completeVoters(replica, this.#lagMax);
    const wasWhole = former !== undefined && former.term < core.term && former.complete >= former.voters.length;
    if (!wasWhole || leadingMs > askedMs) return complete;
    const unasked = voters.filter((voter) => {
      const progress = core.progress().get(voter);
      return progress?.state === 'probe' && progress.matchIndex === 0 && replica.isLive(voter);
    });
    return complete + unasked.length;
  }
}
