import { assert } from '../base/assert.ts';
import { type ArcId, blockBytes, type CoreletId, type Generation, type LogIndex, type Term } from '../base/ids.ts';
import { memberIds } from '../consensus/quorum.ts';
import { RaftCore } from '../consensus/raft.ts';
import { type Effects, entryKinds, type HardState, type MemberId, type Outgoing } from '../consensus/types.ts';
import type { ArcMap } from '../store/map.ts';
import type { StoredChunkCopy } from '../store/types.ts';
import type { PeerMessage } from '../wire/peer/types.ts';
import type { ReplicaContext } from './context.ts';
import { compact } from './compaction.ts';
import { Comparing } from './comparing.ts';
import { applyToMap, newestIn } from './apply.ts';
import { type ArcEntry, bodyIn, type EntryBody, ensureBody, forgetPayload, headOf } from './entry.ts';
import { Intake } from './intake.ts';
import { holdsMember, memberId, membersOf, replicaOf } from './members.ts';
import { Mending } from './mending.ts';
import { Operations } from './operations.ts';
import type { ReplicaOrigin } from './origin.ts';
import { raftFromWire, type RaftWireMessage, raftToWire } from './raft-wire.ts';
import { Reads } from './reads.ts';
import { Resender } from './resender.ts';
import { Reticence } from './reticence.ts';
import { encodeHardState, type ReplicaSnapshot } from './snapshot.ts';
import { Standing } from './standing.ts';
import type { ArcState } from './state.ts';
import { Traffic } from './traffic.ts';

/**
 * One replica of one arc: the consensus core, its state machine, and the order between flash, network and answers.
 * Every event ends in `flush`, which carries out the core's effects in the order that types.ts of consensus asks for.
 */
export class Replica {
  readonly arc: ArcId;
  readonly generation: Generation;
  readonly member: MemberId;
  readonly core: RaftCore<EntryBody>;
  readonly map: ArcMap;
  readonly operations: Operations;
  readonly reads: Reads;
  readonly mending: Mending;
  readonly comparing: Comparing;
  readonly traffic = new Traffic();
  state: ArcState;
  /** False until a first copy has brought a state: applies nothing, takes no entries. */
  installed: boolean;
  /** Copied blocks may be as new as this. */
  #completeIndex: LogIndex;
  /** As it was given to the store last. */
  hardState: HardState;
  /** Of what is sure to be found after a crash. */
  durableTerm: Term;
  /** How often copied blocks were taken: they may change a chunk without making it newer. */
  copiesTaken = 0;
  /** Set while the questions at restart are open: nothing is told as a voter meanwhile. */
  reticence: Reticence | undefined;
  readonly standing = new Standing();
  /** Copies under way from here keep the log from this index on. */
  pinnedIndex = Number.MAX_SAFE_INTEGER;
  /** Set by the host: a follower needs more than the log holds. */
  onCopyNeeded: ((member: MemberId) => void) | undefined;
  readonly #context: ReplicaContext;
  readonly #resender: Resender;
  readonly #intake: Intake;
  readonly #peers = new Map<CoreletId, { readonly generation: Generation; readonly member: MemberId }>();
  #flushing = false;
  #stopped = false;
  #wasLeader = false;
  #leaderSinceMs = 0;

  constructor(context: ReplicaContext, arc: ArcId, origin: ReplicaOrigin) {
    this.#context = context;
    this.arc = arc;
    this.generation = origin.generation;
    this.member = memberId(context.self, origin.generation);
    this.state = origin.state;
    this.hardState = origin.hardState;
    this.durableTerm = origin.hardState.term;
    this.map = context.store.map(arc);
    this.installed = origin.installed;
    this.#completeIndex = origin.completeIndex;
    this.core = new RaftCore<EntryBody>({
      self: this.member,
      limits: context.limits.raft,
      random: context.random,
      restored: {
        hardState: origin.hardState,
        configuration: origin.configuration,
        compactedIndex: origin.compactedIndex,
        compactedTerm: origin.compactedTerm,
        entries: origin.entries,
        commitIndex: origin.commitIndex,
        appliedIndex: origin.appliedIndex,
      },
    });
    this.#updateEligible();
    this.operations = new Operations(this, context);
    this.reads = new Reads(this, context);
    this.mending = new Mending(this, context);
    this.comparing = new Comparing(this, context);
    this.map.onDamaged = (key) => this.mending.damaged(key);
    this.#resender = new Resender(this, context);
    this.#intake = new Intake(context, (from, append) => this.#deliver(from, append));
  }

  get isLeader(): boolean {
    return this.core.role === 'leader';
  }

  /** How long this replica has led without a break; 0 when it doesn't lead. */
  get leadingMs(): number {
    return this.isLeader ? this.now - this.#leaderSinceMs : 0;
  }

  get leaderCorelet(): CoreletId | undefined {
    return this.core.leader === undefined ? undefined : replicaOf(this.core.leader).id;
  }

  get now(): number {
    return this.#context.clock.nowMs();
  }

  stop(): void {
    this.#stopped = true;
    this.#intake.stop();
    this.mending.stop();
    this.comparing.stop();
    this.operations.dropAll();
  }

  // ---- events -----------------------------------------------------------------------------------------------------

  receive(from: CoreletId, message: RaftWireMessage): void {
    if (message.toGeneration !== this.generation) return; // INV-10: meant for another life of this replica
    if (this.reticence !== undefined) this.reticence.hold(from, message, this.now);
    else if (message.type === 'append') this.#intake.take(from, message);
    else this.#deliver(from, message);
  }

  #deliver(from: CoreletId, message: RaftWireMessage): void {
    const member = this.memberFrom(from, message.fromGeneration);
    if (this.standing.isEnded(member)) return; // said before its life ended, and late
    this.standing.heard(member, message);
    this.core.receive(member, raftFromWire(message), this.now);
    this.flush();
  }

  /** After a restart: until `speak`, what comes is kept, and nothing is told (design §10.12). */
  keepSilent(): void {
    this.reticence = new Reticence();
    this.#updateEligible();
  }

  /** A majority has told what it saw of this replica, and it knows all of that. */
  speak(): void {
    const held = this.reticence?.held ?? [];
    this.reticence = undefined;
    this.#updateEligible();
    for (const { from, message } of held) this.receive(from, message);
    this.core.cause('no-leader', this.now);
    this.flush();
  }

  /** That life of a member is over: it counts for nothing until the configuration goes without it (INV-10). */
  memberEnded(member: MemberId): boolean {
    if (member === this.member || !this.standing.end(member)) return false;
    this.core.forget(member, this.now);
    this.flush();
    return true;
  }

  isLive(member: MemberId): boolean {
    return this.#context.isAlive(replicaOf(member).id) && !this.standing.isEnded(member);
  }

  #updateEligible(): void {
    const eligible = this.#caughtUp && this.reticence === undefined;
    if (eligible !== this.core.eligible) this.core.eligible = eligible;
  }

  /** Remembered: the same few peers speak all the time. */
  memberFrom(id: CoreletId, generation: Generation): MemberId {
    const known = this.#peers.get(id);
    if (known?.generation === generation) return known.member;
    const member = memberId(id, generation);
    this.#peers.set(id, { generation, member });
    return member;
  }

  setAlive(id: CoreletId, alive: boolean): void {
    for (const member of membersOf(this.core.configuration, id)) {
      if (member !== this.member) this.core.setAlive(member, alive && !this.standing.isEnded(member), this.now);
    }
    this.flush();
  }

  peerReset(id: CoreletId): void {
    for (const member of membersOf(this.core.configuration, id)) this.core.reset(member, this.now);
    this.#resender.reset(id);
    this.flush();
  }

  /** When `tick` is due at the latest; Infinity when nothing waits for time, or it has stopped. */
  get deadlineMs(): number {
    return this.#stopped ? Number.POSITIVE_INFINITY : this.core.deadlineMs;
  }

  tick(): void {
    this.core.tick(this.now);
    this.flush();
  }

  /** Leader: asks for its lease anew, if it is read and the lease grows old. */
  renewLease(): void {
    if (this.core.leaseNeed(this.now) === 'none') return;
    this.core.renewLease(this.now);
    this.flush();
  }

  /** Everything that the core wants done. Safe to call at any time; nested calls are taken up by the outer one. */
  flush(): void {
    if (this.#flushing || this.#stopped) return;
    this.#flushing = true;
    try {
      for (let effects = this.core.takeEffects(); effects !== undefined; effects = this.core.takeEffects()) {
        this.#carryOut(effects);
        if (this.#stopped) return;
      }
    } finally {
      this.#flushing = false;
    }
    const { deadlineMs } = this;
    if (deadlineMs < Number.POSITIVE_INFINITY) this.#context.arm(this, deadlineMs);
  }

  // ---- effects ----------------------------------------------------------------------------------------------------

  #carryOut(effects: Effects<EntryBody>): void {
    this.#persist(effects);
    for (const outgoing of effects.messages) if (!outgoing.afterSync) this.#send(outgoing);
    if (effects.commitIndex > this.core.appliedIndex && this.installed) this.#apply(effects.commitIndex);
    for (const ready of effects.readsReady) this.reads.ready(ready.token);
    for (const token of effects.readsRefused) this.reads.refused(token);
    for (const member of effects.copyNeeded) this.onCopyNeeded?.(member);
    if (effects.changed) this.#afterChange();
  }

  #persist(effects: Effects<EntryBody>): void {
    const store = this.#context.store;
    const { append, hardState, truncateFrom } = effects;
    if (truncateFrom !== undefined) {
      assert(truncateFrom > this.core.appliedIndex, 'INV-3: an applied entry is never truncated');
      store.appendTruncate(this.arc, truncateFrom);
    }
    for (const entry of append) {
      const body = ensureBody(entry);
      body.position = store.appendEntry({
        arc: this.arc,
        term: entry.term,
        index: entry.index,
        kind: entry.kind,
        commit: effects.commitIndex,
        head: headOf(body),
        range: body.range,
        crcs: body.crcs,
        data: body.data ?? [],
      });
    }
    if (hardState !== undefined) {
      this.hardState = hardState;
      store.appendHardState(this.arc, encodeHardState(hardState));
      store.afterSync(() => (this.durableTerm = hardState.term));
    }
    const last = append.at(-1);
    const messages = effects.messages;
    let later = false;
    for (const outgoing of messages) later ||= outgoing.afterSync;
    if (last === undefined && !later) return;
    // INV-1, INV-3: acknowledgements, votes and the leader's own count speak only of what is durable.
    store.afterSync(() => {
      if (this.#stopped) return;
      if (last !== undefined) this.core.persisted(last.index, last.term);
      for (const outgoing of messages) if (outgoing.afterSync) this.#send(outgoing);
      if (last !== undefined) this.flush();
    });
  }

  #send(outgoing: Outgoing<EntryBody>): void {
    const message = outgoing.message;
    assert(this.reticence === undefined, 'INV-10: nothing is told before the questions at restart are answered');
    const to = replicaOf(outgoing.to);
    if (message.type === 'append' && message.entries.length > 0) this.#resender.send(to, message);
    else this.transmit(to.id, raftToWire(this.arc, this.generation, to.generation, message));
  }

  transmit(to: CoreletId, message: PeerMessage): void {
    this.#context.send(to, message);
  }

  /** In log order, each entry once, on every replica alike. Synchronous: applying reads nothing from flash. */
  #apply(commitIndex: LogIndex): void {
    let index = this.core.appliedIndex;
    while (index < commitIndex) {
      index++;
      const entry = this.core.entry(index);
      assert(entry !== undefined, 'a committed entry is not in the log (arc, index)', this.arc, index);
      assert(entry.index === index, 'INV-6: entries are applied in log order, each once');
      this.#applyEntry(entry);
    }
    this.core.applied(index);
    if (!this.core.eligible) this.#updateEligible();
    compact(this, this.#context);
    this.operations.afterApply(index);
  }

  #applyEntry(entry: ArcEntry): void {
    const body = bodyIn(entry);
    const outcome = applyToMap(this.state, this.map, body, entry.index);
    this.operations.applied(entry.index, entry.term, outcome);
    forgetPayload(body);
    if (entry.kind === entryKinds.configuration) this.#retireIfRemoved();
  }

  /**
   * A committed configuration goes without it. A leader stays until another one has shown itself: it is asked to hand over, and
   * were it gone before that is heard, the voters would believe in it as long as its Corelet lives.
   */
  #retireIfRemoved(): void {
    if (!this.isRemoved) return;
    this.#context.clock.soon(() => {
      if (!this.#stopped && this.isRemoved) this.#context.retired(this);
    });
  }

  /** A committed configuration goes without it, and it leads nothing. */
  get isRemoved(): boolean {
    const { configuration, configurationPending } = this.core;
    return !this.isLeader && !configurationPending && !holdsMember(configuration, this.member);
  }

  #afterChange(): void {
    if (!this.isLeader && this.#wasLeader) {
      this.operations.leadershipLost();
      this.#retireIfRemoved();
    }
    if (this.isLeader && !this.#wasLeader) this.#leaderSinceMs = this.now;
    this.#wasLeader = this.isLeader;
    // Whoever a configuration brings in, or brings back, may have died, or come back, while it named nobody here.
    for (const member of memberIds(this.core.configuration)) {
      if (member !== this.member) this.core.setAlive(member, this.isLive(member), this.now);
    }
    this.#context.changed(this);
  }

  /** A copied state takes the place of log and state machine; the blocks are in the map already. */
  install(snapshot: ReplicaSnapshot): void {
    this.operations.leadershipLost();
    this.core.restore(snapshot, this.now);
    this.state = snapshot.state;
    this.installed = true;
    this.#updateEligible();
    this.flush();
  }

  // ---- what others want to know ------------------------------------------------------------------------------------

  /** Has a state, and no block is ahead of it: until then it leads nothing and serves nothing (design §10.4). */
  get complete(): boolean {
    return this.#caughtUp && !this.mending.isDamaged;
  }

  get #caughtUp(): boolean {
    return this.installed && this.core.appliedIndex >= this.#completeIndex;
  }

  /** Blocks that a copy brought, each newer than what is here or without effect. */
  takeBlocks(copy: StoredChunkCopy): void {
    this.map.applyCopy(copy);
    this.copiesTaken++;
    this.#completeIndex = Math.max(this.#completeIndex, newestIn(copy));
    if (this.core.role !== 'leader') this.#updateEligible();
  }

  /** Entries up to `index`, not applied yet, can't be read here: until they are, others are better leaders. */
  distrustUpTo(index: LogIndex): void {
    this.#completeIndex = Math.max(this.#completeIndex, index);
    this.#updateEligible();
    this.core.abdicate(this.now);
  }

  /** Bytes that a complete copy of this arc holds. */
  get dataBytes(): number {
    return this.map.blockCount * blockBytes;
  }

  /** Blocks may be as new as this: until the log is applied up to it, they are ahead of the rest. */
  get completeIndex(): LogIndex {
    return this.#completeIndex;
  }
}
