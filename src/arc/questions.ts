import type { ArcId, CoreletId } from '../base/ids.ts';
import { hasQuorum, memberIds } from '../consensus/quorum.ts';
import type { Answer, AnswerArc, Question, QuestionArc } from '../wire/peer/question.ts';
import type { ReplicaContext } from './context.ts';
import { type MemberId, memberId, replicaOf } from './members.ts';
import type { Positions } from './positions.ts';
import type { Replica } from './replica.ts';

/** A question that wasn't answered is asked again after this. */
const askAgainMs = 250;
/** A replica that waits to be added under its new generation says so again after this. */
const tellAgainMs = 2000;
/** A leader speaks to it, and those that it remembers don't: the arc went on without them, and it begins anew. */
const forsakenMs = 5000;

export interface QuestionsOwner {
  replicas(): Iterable<Replica>;
  replica(arc: ArcId): Replica | undefined;
  /** It told what it doesn't know any more: its life is over. */
  lost(replica: Replica, why: string): void;
  /** That life of a member of an arc here is over. */
  ended(replica: Replica, member: MemberId): void;
  /** The life of which this replica kept blocks, and nothing else; undefined where it is no such replica. */
  formerLife(replica: Replica): MemberId | undefined;
}

/**
 * Questions at restart (design §10.12): what a replica told may be more than its device still knows: a device put back to an
 * earlier state looks whole. Until a majority of the arc's voters, itself included, has told what they saw of it, it neither
 * votes nor campaigns nor acknowledges. Answers are given at once, from what is known: all may restart together.
 */
export class Questions {
  readonly #context: ReplicaContext;
  readonly #owner: QuestionsOwner;
  readonly #askedMs = new Map<CoreletId, number>();
  /** Replicas that the device told of at this start, and who has answered for each: also late answers count. */
  readonly #answered = new WeakMap<Replica, Set<CoreletId>>();
  readonly #positions: Positions;
  #ticking = false;
  #stopped = false;

  constructor(context: ReplicaContext, owner: QuestionsOwner, positions: Positions) {
    this.#positions = positions;
    this.#context = context;
    this.#owner = owner;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** All replicas that the device told of are here. */
  start(): void {
    for (const replica of this.#owner.replicas()) {
      if (replica.reticence === undefined) continue;
      this.#answered.set(replica, new Set());
      this.#settle(replica);
    }
    this.#tick();
  }

  /** A connection is up, or a peer that didn't answer is heard again. */
  ask(peer: CoreletId): void {
    const arcs: QuestionArc[] = [];
    for (const replica of this.#owner.replicas()) {
      const { arc } = replica;
      const former = this.#owner.formerLife(replica);
      if (former === undefined && this.#answered.get(replica)?.has(peer) !== false) continue;
      if (!concerns(replica, peer)) continue;
      arcs.push({ arc, generation: replicaOf(former ?? replica.member).generation, lost: former !== undefined });
    }
    this.#askedMs.set(peer, this.#context.clock.nowMs());
    if (arcs.length > 0) this.#context.send(peer, { type: 'question', arcs });
    this.#keepTicking();
  }

  #keepTicking(): void {
    if (this.#ticking || this.#stopped || !this.#isWaiting()) return;
    this.#ticking = true;
    this.#context.clock.after(askAgainMs, () => {
      this.#ticking = false;
      this.#tick();
    });
  }

  #isWaiting(): boolean {
    for (const replica of this.#owner.replicas()) {
      if (replica.reticence !== undefined || this.#owner.formerLife(replica) !== undefined) return true;
    }
    return false;
  }

  #tick(): void {
    if (this.#stopped) return;
    const now = this.#context.clock.nowMs();
    const peers = new Map<CoreletId, number>();
    for (const replica of this.#owner.replicas()) {
      const { reticence } = replica;
      if (reticence !== undefined && now - reticence.addressedSinceMs > forsakenMs) {
        this.#lose(replica, 'those that could tell what it told are gone');
      } else if (reticence !== undefined || this.#owner.formerLife(replica) !== undefined) {
        for (const peer of peersOf(replica)) {
          const againMs = reticence === undefined ? tellAgainMs : askAgainMs;
          peers.set(peer, Math.min(againMs, peers.get(peer) ?? againMs));
        }
      }
    }
    for (const [peer, againMs] of peers) {
      const asked = this.#askedMs.get(peer) ?? Number.NEGATIVE_INFINITY;
      if (peer !== this.#context.self && this.#context.isAlive(peer) && now - asked >= againMs) this.ask(peer);
    }
    this.#keepTicking();
  }

  /** Answered at once, whatever is not known here yet. */
  question(from: CoreletId, question: Question): void {
    const arcs: AnswerArc[] = [];
    for (const { arc, generation, lost } of question.arcs) {
      const replica = this.#owner.replica(arc);
      const member = memberId(from, generation);
      const told = replica?.standing.toldBy(member) ?? { term: 0, index: 0, voteTerm: 0 };
      arcs.push({ arc, generation, ...told, lost: replica !== undefined && !!this.#owner.formerLife(replica) });
      if (lost && replica !== undefined) this.#owner.ended(replica, member);
    }
    this.#context.send(from, { type: 'answer', syncedSequence: this.#positions.before(from), arcs });
  }

  answer(from: CoreletId, answer: Answer): void {
    const { sequenceAtOpen } = this.#context.store;
    const positions = this.#positions;
    // All that was told rested on what was durable: more was than there is, so any of it may be forgotten.
    const putBack =
      answer.syncedSequence > Math.max(sequenceAtOpen, positions.putBackFrom)
        ? `its device was durable up to ${answer.syncedSequence}, and came back with ${sequenceAtOpen}`
        : undefined;
    if (putBack !== undefined) {
      for (const replica of Array.from(this.#owner.replicas()))
        if (this.#answered.has(replica)) this.#lose(replica, putBack);
      positions.endedUpTo(answer.syncedSequence);
    }
    for (const told of answer.arcs) {
      const replica = this.#owner.replica(told.arc);
      if (replica === undefined) continue;
      if (told.lost) {
        const former = peerIn(replica, from);
        if (former !== undefined) this.#owner.ended(replica, former);
      }
      const answered = this.#answered.get(replica);
      if (answered === undefined || replica.generation !== told.generation) continue;
      const forgotten = forgottenBy(replica, from, told);
      answered.add(from);
      if (forgotten === undefined) this.#settle(replica);
      else this.#lose(replica, forgotten);
    }
  }

  #lose(replica: Replica, why: string): void {
    this.#answered.delete(replica);
    this.#owner.lost(replica, why);
  }

  /** Speaks again if it may. */
  #settle(replica: Replica): void {
    const answered = this.#answered.get(replica);
    if (answered === undefined || replica.reticence === undefined) return;
    const knows = (member: MemberId) => member === replica.member || answered.has(replicaOf(member).id);
    if (!replica.installed || hasQuorum(replica.core.configuration, knows)) replica.speak();
  }
}

function peersOf(replica: Replica): CoreletId[] {
  return memberIds(replica.core.configuration).map((member) => replicaOf(member).id);
}

function concerns(replica: Replica, peer: CoreletId): boolean {
  return peersOf(replica).includes(peer);
}

function peerIn(replica: Replica, id: CoreletId): MemberId | undefined {
  return memberIds(replica.core.configuration).find((member) => replicaOf(member).id === id);
}

/**
 * What the replica told and doesn't know any more, if anything. A log may be shorter than what was acknowledged if a leader
 * of a later term replaced its end: then that term is known here.
 */
function forgottenBy(replica: Replica, from: CoreletId, told: AnswerArc): string | undefined {
  const { core, hardState } = replica;
  if (told.term > core.term) return `it acknowledged in term ${told.term}, and knows only of term ${core.term}`;
  if (told.term === core.term && told.index > core.lastIndex) {
    return `it acknowledged entry ${told.index}, and its log ends at ${core.lastIndex}`;
  }
  if (told.voteTerm > core.term) return `it voted in term ${told.voteTerm}, and knows only of term ${core.term}`;
  const votedOtherwise = hardState.vote === undefined || replicaOf(hardState.vote).id !== from;
  if (told.voteTerm > 0 && told.voteTerm === core.term && votedOtherwise)
    return `it forgot its vote in term ${core.term}`;
  return undefined;
}
