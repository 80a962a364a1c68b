import type { ArcId, CoreletId } from '../base/ids.ts';
import { placeOf } from '../ports/events.ts';
import type { StoreOwner } from '../store/types.ts';
import type { CopyReply } from '../wire/peer/copy.ts';
import type { Complaint, PeerMessage, Retire } from '../wire/peer/types.ts';
import type { ReplicaContext } from './context.ts';
import { Copies } from './copies.ts';
import { copyReply } from './copy-receiver.ts';
import { EndedLives } from './ended-lives.ts';
import { isForgotten } from './forgotten.ts';
import { Lives } from './lives.ts';
import { holdsMember, memberId } from './members.ts';
import { opReply } from './operations.ts';
import type { RaftWireMessage } from './raft-wire.ts';
import { keyRefusal, readRefusal } from './reads.ts';
import { Positions } from './positions.ts';
import { Quarantine } from './quarantine.ts';
import { Questions } from './questions.ts';
import type { ReplicaOrigin } from './origin.ts';
import { Replica } from './replica.ts';
import { completeVoters, RouteNews, type RouteWatch } from './route.ts';
import { emptySnapshot, encodeSnapshot } from './snapshot.ts';
import { storeOwnerOf } from './store-owner.ts';
import { Wheel } from './wheel.ts';

/** Messages between Corelets that arcs understand. */
export type ArcMessage = Exclude<
  PeerMessage,
  { type: 'liveness' | 'membership' | 'routes' | 'opReply' | 'readReply' | 'keyReply' | 'relay' }
>;

/** Of its Corelet, the host needs what its replicas need, and someone to tell. */
export interface ArcHostOptions
  extends Pick<
      ReplicaContext,
      'self' | 'incarnation' | 'clock' | 'random' | 'store' | 'events' | 'limits' | 'send' | 'isFull'
    >,
    RouteWatch {
  /** What the device kept beside the arcs' logs. */
  readonly registers: ReadonlyMap<string, Uint8Array>;
}

/** Of a lease: rounds of renewals are at least so far apart. */
const leaseRoundShare = 0.1;

/** All replicas of one Corelet: who gets which message, one timer wheel, copies, and what the others are told. */
export class ArcHost {
  readonly #options: ArcHostOptions;
  readonly #context: ReplicaContext;
  readonly #replicas = new Map<ArcId, Replica>();
  readonly #dead = new Set<CoreletId>();
  readonly #wheel: Wheel;
  readonly #changed = new Set<Replica>();
  readonly #news: RouteNews;
  /** Since when a replica was seen to be in no configuration. */
  readonly #forgottenSinceMs = new WeakMap<Replica, number>();
  readonly #ended: EndedLives;
  readonly copies: Copies;
  readonly quarantine: Quarantine;
  readonly #lives: Lives;
  readonly #positions: Positions;
  readonly #questions: Questions;
  #leasesRenewedMs = Number.NEGATIVE_INFINITY;
  #stopped = false;

  constructor(options: ArcHostOptions) {
    this.#options = options;
    this.#news = new RouteNews(options, options.limits.completeLagMax);
    this.#ended = new EndedLives(options.store, options.registers);
    this.quarantine = new Quarantine(options.store, options.registers);
    const { self, incarnation, clock, random, store, events, limits } = options;
    this.#wheel = new Wheel(clock, limits.wheelStepMs);
    this.#context = {
      self,
      incarnation,
      clock,
      random,
      store,
      events,
      limits,
      quarantine: this.quarantine,
      send: (to, message) => options.send(to, message),
      isFull: (id) => options.isFull(id),
      isAlive: (id) => id === self || !this.#dead.has(id),
      served: (tookMs) => this.copies.pace.served(tookMs, clock.nowMs()),
      arm: (replica, deadlineMs) => this.#wheel.arm(replica, deadlineMs),
      leaseEnding: () => this.#renewLeases(),
      changed: (replica) => this.#noteChange(replica),
      retired: (replica) => this.#retire(replica, 'a committed configuration goes without it'),
    };
    this.copies = new Copies(this.#context, this.#ended, {
      add: (arc, origin) => this.#add(arc, origin),
      drop: (replica) => this.#drop(replica),
      retire: (replica, why) => this.#retire(replica, why),
      lost: (replica, why) => this.#lives.lose(replica, why),
      ended: (replica, member) => this.#lives.memberEnded(replica, member),
    });
    this.#lives = new Lives(this.#context, this.#ended, {
      add: (arc, origin) => this.#add(arc, origin),
      drop: (replica) => this.#drop(replica),
    });
    this.#positions = new Positions(store, clock, options.registers);
    this.#questions = new Questions(
      this.#context,
      {
        replicas: () => this.#replicas.values(),
        replica: (arc) => this.#replicas.get(arc),
        lost: (replica, why) => this.#lives.lose(replica, why),
        ended: (replica, member) => this.#lives.memberEnded(replica, member),
        formerLife: (replica) => this.#lives.formerLife(replica),
      },
      this.#positions,
    );
  }

  // ---- life -------------------------------------------------------------------------------------------------------

  /** A replica that the device told of. */
  restore(arc: ArcId, origin: ReplicaOrigin): void {
    this.#add(arc, origin).keepSilent();
  }

  /** Starts elections where no leader is known. Call when the fabric is up. */
  start(): void {
    this.#questions.start();
    for (const replica of this.#replicas.values()) {
      replica.core.cause('no-leader', this.#context.clock.nowMs());
      replica.flush();
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#wheel.stop();
    this.#questions.stop();
    for (const replica of this.#replicas.values()) replica.stop();
    this.#replicas.clear();
  }

  /** What the store asks for its checkpoints, and before it gives space back. */
  storeOwner(): StoreOwner {
    return storeOwnerOf(this.#replicas);
  }

  replicas(): IterableIterator<Replica> {
    return this.#replicas.values();
  }

  replica(arc: ArcId): Replica | undefined {
    return this.#replicas.get(arc);
  }

  isAlive(id: CoreletId): boolean {
    return this.#context.isAlive(id);
  }

  setAlive(id: CoreletId, alive: boolean): void {
    if (alive === !this.#dead.has(id)) return;
    if (alive) this.#dead.delete(id);
    else this.#dead.add(id);
    for (const replica of this.#replicas.values()) replica.setAlive(id, alive);
    if (alive) this.#questions.ask(id);
  }

  /** That device's log was durable up to there, in that start of its Corelet. */
  position(id: CoreletId, incarnation: number, syncedSequence: number): void {
    this.#positions.saw(id, incarnation, syncedSequence);
  }

  /** A connection to it is up. */
  peerUp(id: CoreletId): void {
    this.#questions.ask(id);
  }

  peerReset(id: CoreletId): void {
    for (const replica of this.#replicas.values()) replica.peerReset(id);
  }

  #add(arc: ArcId, origin: ReplicaOrigin): Replica {
    const replica = new Replica(this.#context, arc, origin);
    replica.onCopyNeeded = (member) => {
      this.copies.want(replica, member);
      this.#options.onProgress();
    };
    this.#replicas.set(arc, replica);
    for (const id of this.#dead) replica.setAlive(id, false);
    return replica;
  }

  // ---- messages ---------------------------------------------------------------------------------------------------

  receive(from: CoreletId, message: ArcMessage): void {
    if (this.#stopped) return;
    if (message.type === 'question') return this.#questions.question(from, message);
    if (message.type === 'answer') return this.#questions.answer(from, message);
    const replica = this.#replicas.get(message.arc);
    switch (message.type) {
      case 'op':
        if (replica === undefined) this.#options.send(from, opReply(message.request, 'notLeader', undefined, 0));
        else replica.operations.receive(from, message);
        return;
      case 'read':
        if (replica === undefined) this.#options.send(from, readRefusal(message, 'notLeader', undefined));
        else replica.reads.receive(from, message);
        return;
      case 'keyRead':
        if (replica === undefined) this.#options.send(from, keyRefusal(message, 'notLeader', undefined));
        else replica.reads.receive(from, message);
        return;
      case 'complaint':
        this.#complaint(replica, message);
        return;
      case 'retire':
        this.#retireOrder(replica, message);
        return;
      case 'copyOffer':
        this.copies.offered(from, replica, message);
        return;
      case 'copyChunk':
      case 'copyFinish':
        this.copies.part(from, replica, message);
        return;
      case 'copyReply':
        if (message.code === 'ended') this.#memberEnded(from, replica, message);
        else this.copies.reply(from, replica, message);
        return;
      case 'copyCheck':
        this.copies.check(from, replica, message);
        return;
      case 'fetch':
      case 'fetchReply':
        if (replica?.generation === message.toGeneration) replica.mending.receive(from, message);
        return;
      case 'scrub':
      case 'scrubReply':
      case 'quarantine':
        if (replica?.generation === message.toGeneration) replica.comparing.receive(from, message);
        return;
      default:
        this.#consensus(from, replica, message);
    }
  }

  #consensus(from: CoreletId, replica: Replica | undefined, message: RaftWireMessage): void {
    const known = replica?.generation === message.toGeneration;
    if (!known && this.#ended.has(message.arc, message.toGeneration)) {
      this.#options.send(from, copyReply({ ...message, copy: 0 }, 'ended', 0));
      return;
    }
    if (message.type === 'append' && !(known && replica.installed)) {
      // Not there, or without a state: entries would be taken for a log to continue. The leader is told to copy instead.
      this.#options.send(from, copyReply({ ...message, copy: 0 }, 'refused', 0));
      return;
    }
    if (replica === undefined || !known) return;
    if (message.type === 'vote' && !replica.installed) {
      // INV-10: voters are asked, and who became one had a state: it was put back to before that, and knows none of its votes.
      this.#lives.lose(replica, 'it is asked for its vote, and has no state');
      this.#options.send(from, copyReply({ ...message, copy: 0 }, 'ended', 0));
      return;
    }
    const { core } = replica;
    const sender = replica.memberFrom(from, message.fromGeneration);
    if (replica.isLeader && !holdsMember(core.configuration, sender) && !core.configurationPending) {
      const configurationIndex = core.configurationIndex;
      this.#options.send(from, {
        type: 'retire',
        arc: replica.arc,
        generation: message.fromGeneration,
        configurationIndex,
      });
      // Who still leads an earlier term takes no such order: from the newer term it learns that it was overtaken.
      if (message.type !== 'append' || message.term >= core.term) return;
    }
    replica.receive(from, message);
  }

  /** Costs a good leader nothing: the others refuse the pre-vote while it shows itself. */
  #complaint(replica: Replica | undefined, message: Complaint): void {
    if (replica === undefined || replica.leaderCorelet !== message.leader) return;
    replica.core.cause('complaint', replica.now);
    replica.flush();
  }

  #memberEnded(from: CoreletId, replica: Replica | undefined, message: CopyReply): void {
    if (replica?.generation !== message.toGeneration) return;
    this.#lives.memberEnded(replica, memberId(from, message.fromGeneration));
  }

  #retireOrder(replica: Replica | undefined, message: Retire): void {
    if (replica === undefined || replica.isLeader) return;
    const former = this.#lives.formerLife(replica);
    const means =
      replica.generation === message.generation || former === memberId(this.#options.self, message.generation);
    if (!means || message.configurationIndex <= replica.core.configurationIndex) return;
    this.#retire(replica, 'the arc goes on without it');
  }

  #retire(replica: Replica, why: string): void {
    if (this.#replicas.get(replica.arc) !== replica) return;
    this.#drop(replica);
    replica.map.dropAll();
    this.#ended.add(replica.arc, replica.generation);
    this.#options.store.appendArcState(replica.arc, encodeSnapshot(emptySnapshot('retired', replica.generation)));
    this.#options.events.record({
      kind: 'arc.copy-dropped',
      arc: replica.arc,
      corelet: this.#options.self,
      text: `Dropped the copy of arc ${replica.arc} in ${placeOf(this.#options.self)}: ${why}.`,
    });
  }

  /**
   * Copies that nobody tells any more that their arc goes on without them: a learner doesn't campaign, and who was away may know
   * none of today's voters. They go on the word of a committed configuration, as when a leader sends it, once it has stood for a
   * while: a copy just begun may be older than the entry that names it.
   */
  retireForgotten(): void {
    const { clock, limits } = this.#context;
    const now = clock.nowMs();
    for (const replica of Array.from(this.#replicas.values())) {
      if (!isForgotten(replica, this.#options.routeTo(replica.arc), this.#options.self)) {
        this.#forgottenSinceMs.delete(replica);
        continue;
      }
      const sinceMs = this.#forgottenSinceMs.get(replica) ?? now;
      this.#forgottenSinceMs.set(replica, sinceMs);
      if (now - sinceMs >= limits.forgottenMs) this.#retire(replica, 'the arc went on without it while it was away');
    }
  }

  /** Its blocks stay. */
  #drop(replica: Replica): void {
    replica.stop();
    this.#wheel.forget(replica);
    this.#replicas.delete(replica.arc);
    this.copies.forget(replica.arc);
  }

  completeVoters(replica: Replica): number {
    return completeVoters(replica, this.#options.limits.completeLagMax);
  }

  // ---- time and news ------------------------------------------------------------------------------------------------

  /** All that are read and grow old, in one turn: a message to each peer, instead of one for each arc. */
  #renewLeases(): void {
    const { clock, limits } = this.#context;
    if (clock.nowMs() - this.#leasesRenewedMs < leaseRoundShare * limits.raft.leaseMs) return;
    this.#leasesRenewedMs = clock.nowMs();
    clock.soon(() => {
      if (this.#stopped) return;
      for (const replica of this.#replicas.values()) {
        if (replica.isLeader && replica.reticence === undefined) replica.renewLease();
      }
    });
  }

  #noteChange(replica: Replica): void {
    if (this.#changed.size === 0) this.#context.clock.soon(() => this.#tellChanges());
    this.#changed.add(replica);
  }

  #tellChanges(): void {
    const changed = [...this.#changed];
    this.#changed.clear();
    if (this.#stopped) return;
    let progress = false;
    for (const replica of changed) {
      this.announce(replica, 0);
      if (this.#news.isProgress(replica)) progress = true;
    }
    if (progress) this.#options.onProgress();
  }

  /** Tells the others about an arc led here, if anything about it is new: only what is committed is told. */
  announce(replica: Replica, healBytesLeft: number): void {
    const { core } = replica;
    if (!replica.isLeader || !core.ownTermCommitted || core.configurationIndex > core.commitIndex) return;
    this.#news.tell(replica, { healBytesLeft, waitsForRoom: this.copies.waitForRoom.has(replica.arc) });
  }

  /** Leaders whose oldest operation waits too long give the leadership away (design §10.13). */
  abdicateWhereStuck(): void {
    const now = this.#context.clock.nowMs();
    for (const replica of this.#replicas.values()) {
      if (!replica.isLeader || replica.operations.oldestWaitMs(now) < this.#options.limits.stuckLeaderMs) continue;
      this.#options.events.record({
        kind: 'arc.leader-stuck',
        arc: replica.arc,
        corelet: this.#options.self,
        text: `The leader of arc ${replica.arc} in ${placeOf(this.#options.self)} gave up leading: an operation waited over ${this.#options.limits.stuckLeaderMs} ms.`,
      });
      replica.core.abdicate(now);
      replica.flush();
    }
  }
}
