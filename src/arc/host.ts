import type { ArcId, CoreletId } from '../base/ids.ts';
import type { MemberId } from '../consensus/types.ts';
import type { StoreOwner } from '../store/types.ts';
import type {
  Complaint,
  CopyChunk,
  CopyFinish,
  CopyOffer,
  CopyReply,
  PeerMessage,
  Retire,
  Route,
} from '../wire/peer/types.ts';
import type { ReplicaContext } from './context.ts';
import { CopyReceiver, copyReply } from './copy-receiver.ts';
import { type CopyResult, CopySender } from './copy-sender.ts';
import { EndedLives } from './ended-lives.ts';
import { holdsMember, memberId } from './members.ts';
import { opReply } from './operations.ts';
import type { RaftWireMessage } from './raft-wire.ts';
import { keyRefusal, readRefusal } from './reads.ts';
import { Replica, type ReplicaOrigin } from './replica.ts';
import { emptySnapshot, encodeSnapshot } from './snapshot.ts';
import { storeOwnerOf } from './store-owner.ts';

/** Messages between Corelets that arcs understand. */
export type ArcMessage = Exclude<
  PeerMessage,
  { type: 'liveness' | 'membership' | 'routes' | 'opReply' | 'readReply' | 'keyReply' }
>;

/** Of its Corelet, the host needs what its replicas need, and someone to tell. */
export interface ArcHostOptions
  extends Pick<ReplicaContext, 'self' | 'clock' | 'random' | 'store' | 'events' | 'limits' | 'send' | 'isFull'> {
  /** What the device kept beside the arcs' logs. */
  readonly registers: ReadonlyMap<string, Uint8Array>;
  /** A leader here has news of its arc. */
  onRoute(route: Route): void;
}

/** All replicas of one Corelet: who gets which message, one timer wheel, copies, and what the others are told. */
export class ArcHost {
  readonly #options: ArcHostOptions;
  readonly #context: ReplicaContext;
  readonly #replicas = new Map<ArcId, Replica>();
  readonly #dead = new Set<CoreletId>();
  readonly #armed = new Set<Replica>();
  readonly #changed = new Set<Replica>();
  readonly #receivers = new Map<ArcId, CopyReceiver>();
  readonly #senders = new Map<ArcId, CopySender>();
  readonly #copiesWanted = new Map<ArcId, Set<MemberId>>();
  readonly #announced = new Map<ArcId, string>();
  readonly #ended: EndedLives;
  #wheelRuns = false;
  #stopped = false;

  constructor(options: ArcHostOptions) {
    this.#options = options;
    this.#ended = new EndedLives(options.store, options.registers);
    const { self, clock, random, store, events, limits } = options;
    this.#context = {
      self,
      clock,
      random,
      store,
      events,
      limits,
      send: (to, message) => options.send(to, message),
      isFull: (id) => options.isFull(id),
      isAlive: (id) => id === self || !this.#dead.has(id),
      arm: (replica) => this.#arm(replica),
      changed: (replica) => this.#noteChange(replica),
      retired: (replica) => this.#retire(replica, 'a committed configuration goes without it'),
    };
  }

  // ---- life -------------------------------------------------------------------------------------------------------

  /** A replica that the device told of. */
  restore(arc: ArcId, origin: ReplicaOrigin): void {
    this.#add(arc, origin);
  }

  /** Starts elections where no leader is known. Call when the fabric is up. */
  start(): void {
    for (const replica of this.#replicas.values()) {
      replica.core.cause('no-leader', this.#context.clock.nowMs());
      replica.flush();
    }
  }

  stop(): void {
    this.#stopped = true;
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
  }

  peerReset(id: CoreletId): void {
    for (const replica of this.#replicas.values()) replica.peerReset(id);
  }

  #add(arc: ArcId, origin: ReplicaOrigin): Replica {
    const replica = new Replica(this.#context, arc, origin);
    replica.onCopyNeeded = (member) => this.#wantCopy(replica, member);
    this.#replicas.set(arc, replica);
    for (const id of this.#dead) replica.setAlive(id, false);
    return replica;
  }

  // ---- messages ---------------------------------------------------------------------------------------------------

  receive(from: CoreletId, message: ArcMessage): void {
    if (this.#stopped) return;
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
        this.#copyOffer(from, replica, message);
        return;
      case 'copyChunk':
      case 'copyFinish':
        this.#copyPart(from, replica, message);
        return;
      case 'copyReply':
        this.#copyReply(from, replica, message);
        return;
      default:
        this.#consensus(from, replica, message);
    }
  }

  #consensus(from: CoreletId, replica: Replica | undefined, message: RaftWireMessage): void {
    const known = replica?.generation === message.toGeneration;
    if (message.type === 'append' && !(known && replica.installed)) {
      // Not there, or without a state: entries would be taken for a log to continue. The leader is told to copy instead.
      this.#options.send(from, copyReply({ ...message, type: 'copyOffer', copy: 0, index: 0 }, 'refused', 0));
      return;
    }
    if (replica === undefined || !known) return;
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
      return;
    }
    replica.receive(from, message);
  }

  /** Costs a good leader nothing: the others refuse the pre-vote while it shows itself. */
  #complaint(replica: Replica | undefined, message: Complaint): void {
    if (replica === undefined || replica.leaderCorelet !== message.leader) return;
    replica.core.cause('complaint', replica.now);
    replica.flush();
  }

  #retireOrder(replica: Replica | undefined, message: Retire): void {
    if (replica === undefined || replica.generation !== message.generation || replica.isLeader) return;
    if (message.configurationIndex <= replica.core.configurationIndex) return;
    this.#retire(replica, 'the arc went on without it while it was away');
  }

  #retire(replica: Replica, why: string): void {
    if (this.#replicas.get(replica.arc) !== replica) return;
    replica.stop();
    replica.map.dropAll();
    this.#replicas.delete(replica.arc);
    this.#receivers.delete(replica.arc);
    this.#ended.add(replica.arc, replica.generation);
    this.#options.store.appendArcState(replica.arc, encodeSnapshot(emptySnapshot('retired', replica.generation)));
    this.#options.events.record({
      kind: 'arc.copy-dropped',
      arc: replica.arc,
      corelet: this.#options.self,
      text: `Dropped the copy of arc ${replica.arc}: ${why}.`,
    });
  }

  // ---- copies -----------------------------------------------------------------------------------------------------

  #copyOffer(from: CoreletId, present: Replica | undefined, message: CopyOffer): void {
    let replica = present;
    if (this.#ended.has(message.arc, message.toGeneration)) {
      this.#options.send(from, copyReply(message, 'refused', 0));
      return;
    }
    if (replica !== undefined && replica.generation !== message.toGeneration) {
      // INV-10: a leader that was replaced while it slept may still mean a life of this replica that is over. What a true
      // leader offers under a new generation lies behind everything that the present one knows to be committed.
      if (message.index < replica.core.commitIndex) {
        this.#options.send(from, copyReply(message, 'refused', 0));
        return;
      }
      this.#retire(replica, 'it comes back under a new generation');
      replica = undefined;
    }
    if (replica === undefined) {
      const snapshot = emptySnapshot('copying', message.toGeneration);
      this.#options.store.appendArcState(message.arc, encodeSnapshot(snapshot));
      replica = this.#add(message.arc, {
        generation: message.toGeneration,
        installed: false,
        completeIndex: 0,
        hardState: { term: 0, vote: undefined },
        configuration: snapshot.configuration,
        compactedIndex: 0,
        compactedTerm: 0,
        entries: [],
        commitIndex: 0,
        appliedIndex: 0,
        state: snapshot.state,
      });
    }
    if (message.term < replica.core.term) {
      // The leader must get beyond this replica's term before it can lead it.
      const { arc, toGeneration: fromGeneration, fromGeneration: toGeneration } = message;
      const reply = { matched: false, index: 0, hintTerm: 0, term: replica.core.term };
      this.#options.send(from, { type: 'appendReply', arc, fromGeneration, toGeneration, ...reply });
      return;
    }
    this.#receivers.set(message.arc, new CopyReceiver(replica, this.#context, from, message));
  }

  #copyPart(from: CoreletId, replica: Replica | undefined, message: CopyChunk | CopyFinish): void {
    const receiver = this.#receivers.get(message.arc);
    const valid = replica?.generation === message.toGeneration && receiver?.matches(from, message.copy);
    if (receiver === undefined || !valid) this.#options.send(from, copyReply(message, 'refused', 0));
    else if (message.type === 'copyChunk') receiver.chunk(message);
    else {
      this.#receivers.delete(message.arc);
      receiver.finish(message);
    }
  }

  #copyReply(from: CoreletId, replica: Replica | undefined, message: CopyReply): void {
    if (replica === undefined || replica.generation !== message.toGeneration || !replica.isLeader) return;
    const member = memberId(from, message.fromGeneration);
    const sender = this.#senders.get(message.arc);
    if (message.copy === 0) replica.core.requireCopy(member);
    else if (sender?.member === member) sender.receive(message);
    replica.flush();
  }

  /** Asks that a new learner of an arc led here be copied to: it has no log that could be continued. */
  copyTo(replica: Replica, member: MemberId): void {
    replica.core.requireCopy(member);
    replica.flush();
  }

  #wantCopy(replica: Replica, member: MemberId): void {
    const wanted = this.#copiesWanted.get(replica.arc) ?? new Set();
    wanted.add(member);
    this.#copiesWanted.set(replica.arc, wanted);
  }

  /** Starts copies that wait, as many as may run. Called by healing, in the order of danger. */
  startCopies(order: readonly Replica[]): void {
    const now = this.#context.clock.nowMs();
    for (const sender of this.#senders.values()) sender.tick(now);
    for (const replica of order) {
      if (this.#senders.size >= this.#options.limits.copiesSentMax) return;
      const { core } = replica;
      const wanted = this.#copiesWanted.get(replica.arc);
      if (wanted === undefined || this.#senders.has(replica.arc)) continue;
      if (!replica.isLeader) {
        this.#copiesWanted.delete(replica.arc);
        continue;
      }
      // The state that is sent must name a configuration that is committed and applied.
      if (!core.ownTermCommitted || core.configurationIndex > core.appliedIndex) continue;
      for (const member of wanted) {
        const copying = core.progress().get(member)?.state === 'copying';
        if (!copying || !holdsMember(core.configuration, member)) wanted.delete(member);
        else if (this.isAlive(member.slice(0, 32) as CoreletId)) {
          this.#startCopy(replica, member);
          break;
        }
      }
      if (wanted.size === 0) this.#copiesWanted.delete(replica.arc);
    }
  }

  #startCopy(replica: Replica, member: MemberId): void {
    const sender = new CopySender(replica, this.#context, member, (result) => this.#copyEnded(replica, sender, result));
    replica.pinnedIndex = sender.index;
    this.#senders.set(replica.arc, sender);
  }

  #copyEnded(replica: Replica, sender: CopySender, result: CopyResult): void {
    this.#senders.delete(replica.arc);
    replica.pinnedIndex = Number.MAX_SAFE_INTEGER;
    const to = result.member.slice(0, 32);
    if (result.ok) {
      this.#copiesWanted.get(replica.arc)?.delete(result.member);
      replica.core.copied(result.member, sender.index, replica.now);
      replica.flush();
    }
    this.#options.events.record({
      kind: result.ok ? 'arc.copied' : 'arc.copy-failed',
      arc: replica.arc,
      corelet: to,
      text: result.ok
        ? `Copied arc ${replica.arc} to this Corelet: ${result.blocks} blocks, checksums verified, in ${Math.round(result.durationMs)} ms.`
        : `A copy of arc ${replica.arc} to this Corelet stopped: ${result.reason}. It will be tried again.`,
      data: { blocks: result.blocks, durationMs: Math.round(result.durationMs), from: this.#options.self },
    });
  }

  /** Bytes that a running or waiting copy of this arc still has to move. */
  copyBytesLeft(replica: Replica): number {
    const sender = this.#senders.get(replica.arc);
    const waiting = (this.#copiesWanted.get(replica.arc)?.size ?? 0) - (sender === undefined ? 0 : 1);
    return (sender?.bytesLeft ?? 0) + Math.max(0, waiting) * replica.dataBytes;
  }

  // ---- time and news ------------------------------------------------------------------------------------------------

  #arm(replica: Replica): void {
    this.#armed.add(replica);
    if (this.#wheelRuns) return;
    this.#wheelRuns = true;
    this.#context.clock.after(this.#options.limits.tickMs, () => this.#wheel());
  }

  /** Visits only replicas whose core waits for time; stops turning when none does, so that idle arcs cost nothing. */
  #wheel(): void {
    this.#wheelRuns = false;
    if (this.#stopped) return;
    const now = this.#context.clock.nowMs();
    for (const replica of this.#armed) {
      if (replica.core.deadlineMs === Number.POSITIVE_INFINITY || this.#replicas.get(replica.arc) !== replica) {
        this.#armed.delete(replica);
      } else {
        if (replica.core.deadlineMs <= now) replica.tick();
        this.#arm(replica);
      }
    }
  }

  #noteChange(replica: Replica): void {
    if (this.#changed.size === 0) this.#context.clock.soon(() => this.#tellChanges());
    this.#changed.add(replica);
  }

  #tellChanges(): void {
    const changed = [...this.#changed];
    this.#changed.clear();
    if (this.#stopped) return;
    for (const replica of changed) this.announce(replica, 0);
  }

  /** Tells the others about an arc led here, if anything about it is new: only what is committed is told. */
  announce(replica: Replica, healBytesLeft: number): void {
    const { core } = replica;
    if (!replica.isLeader || !core.ownTermCommitted || core.configurationIndex > core.commitIndex) return;
    const route = replica.route(healBytesLeft);
    const summary = `${route.term} ${route.configurationIndex} ${route.complete} ${route.healBytesLeft}`;
    if (this.#announced.get(replica.arc) === summary) return;
    this.#announced.set(replica.arc, summary);
    this.#options.onRoute(route);
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
        text: `Gave up leading arc ${replica.arc}: an operation waited over ${this.#options.limits.stuckLeaderMs} ms.`,
      });
      replica.core.abdicate(now);
      replica.flush();
    }
  }
}
