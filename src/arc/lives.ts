import type { ArcId, LogIndex } from '../base/ids.ts';
import { hasQuorum } from '../consensus/quorum.ts';
import { placeOf } from '../ports/events.ts';
import type { ArcMap } from '../store/map.ts';
import type { ReplicaContext } from './context.ts';
import type { EndedLives } from './ended-lives.ts';
import { holdsMember, type MemberId, membersOf, replicaOf } from './members.ts';
import { originOf, type ReplicaOrigin } from './origin.ts';
import type { Replica } from './replica.ts';
import { encodeSnapshot, type ReplicaSnapshot } from './snapshot.ts';
import { snapshotOf } from './store-owner.ts';

/** The newest version in a map: what is copied into it may be ahead of a log up to there. */
export function newestOf(map: ArcMap): LogIndex {
  let newest = 0;
  for (const key of map.keys()) newest = Math.max(newest, map.newestOf(key));
  return newest;
}

/** What a life after `former` begins with: nothing that could vote or answer, and blocks to be compared with the leader's. */
export function anew(former: ReplicaSnapshot, generation: number, map: ArcMap): ReplicaSnapshot {
  const completeIndex = Math.max(former.completeIndex, former.index, newestOf(map));
  return { ...former, status: 'copying', generation, index: 0, term: 0, completeIndex, configurationIndex: 0 };
}

/** The host, for what lives ask of it. */
interface LifeKeeper {
  add(arc: ArcId, origin: ReplicaOrigin): Replica;
  drop(replica: Replica): void;
}

/** Generations that end and begin while a Corelet runs (INV-10). */
export class Lives {
  readonly #context: ReplicaContext;
  readonly #ended: EndedLives;
  readonly #keeper: LifeKeeper;

  constructor(context: ReplicaContext, ended: EndedLives, keeper: LifeKeeper) {
    this.#context = context;
    this.#ended = ended;
    this.#keeper = keeper;
  }

  /** It told more than it knows: that life is over. Its blocks stay, under a generation that nobody has heard of. */
  lose(replica: Replica, why: string): void {
    const { arc, map } = replica;
    const snapshot = anew(snapshotOf(replica), this.#context.random.u32() || 1, map);
    this.#keeper.drop(replica);
    this.#ended.add(arc, replica.generation);
    // In the log before anything that is said from here on, so durable before any of it is answered for.
    this.#context.store.appendArcState(arc, encodeSnapshot(snapshot));
    const text = `The copy of arc ${arc} in ${placeOf(this.#context.self)} forgot what it had told: ${why}. It begins anew and waits to be added.`;
    this.#context.events.record({ kind: 'arc.copy-doubted', arc, corelet: this.#context.self, text });
    const begun = this.#keeper.add(arc, originOf(snapshot));
    this.#tellIfStopped(begun);
  }

  /** The life that ended here and is still named in the configuration that was known then; undefined where there is none. */
  formerLife(replica: Replica): MemberId | undefined {
    if (replica.installed) return undefined;
    const own = membersOf(replica.core.configuration, this.#context.self);
    return own.find((member) => this.#ended.has(replica.arc, replicaOf(member).generation));
  }

  /** That Corelet says that this life of a member is over. */
  memberEnded(replica: Replica, member: MemberId): void {
    if (!replica.memberEnded(member)) return;
    const { arc } = replica;
    const { id } = replicaOf(member);
    // A life that the arc went on without long ago: nobody lost anything.
    if (!holdsMember(replica.core.configuration, member)) return;
    const text = `The copy of arc ${arc} in ${placeOf(id)} lost what it had told; it counts no more, and is replaced.`;
    this.#context.events.record({ kind: 'arc.copy-lost', arc, corelet: id, text });
    this.#context.changed(replica);
    this.#tellIfStopped(replica);
  }

  /** Design §10.12: what the others told may be nowhere any more. Nobody may guess: the arc stands, and says so. */
  #tellIfStopped(replica: Replica): void {
    const former = this.formerLife(replica);
    const { voters, votersOutgoing } = replica.core.configuration;
    const lives = (member: MemberId) => member !== former && !replica.standing.isEnded(member);
    if (voters.length === 0 || hasQuorum({ voters, votersOutgoing, learners: [] }, lives)) return;
    const text = `Arc ${replica.arc} stands still: of its voters, a majority lost what it had told. No leader will be elected.`;
    this.#context.events.record({ kind: 'arc.majority-lost', arc: replica.arc, corelet: this.#context.self, text });
  }
}
