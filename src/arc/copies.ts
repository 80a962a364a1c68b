import type { ArcId, CoreletId } from '../base/ids.ts';
import type { MemberId } from '../consensus/types.ts';
import { placeOf } from '../ports/events.ts';
import type { CopyCheck, CopyChunk, CopyFinish, CopyOffer, CopyReply } from '../wire/peer/copy.ts';
import type { ReplicaContext } from './context.ts';
import { CopyReceiver, copyReply } from './copy-receiver.ts';
import { ChunkBuffers } from './chunk-buffers.ts';
import { CopyFailures } from './copy-failures.ts';
import { CopyPace } from './copy-pace.ts';
import { type CopyResult, CopySender } from './copy-sender.ts';
import type { EndedLives } from './ended-lives.ts';
import { newestOf } from './lives.ts';
import { holdsMember, memberId, replicaOf } from './members.ts';
import { originOf, type ReplicaOrigin } from './origin.ts';
import type { Replica } from './replica.ts';
import { CopyRoom } from './room.ts';
import { emptySnapshot, encodeSnapshot } from './snapshot.ts';

/** What copies ask of whoever keeps the replicas. */
export interface ReplicaKeeper {
  add(arc: ArcId, origin: ReplicaOrigin): Replica;
  /** Stops it and forgets it; its blocks stay. */
  drop(replica: Replica): void;
  /** The same, and its blocks go. */
  retire(replica: Replica, why: string): void;
  /** Its own life is over: it told what it doesn't know any more. */
  lost(replica: Replica, why: string): void;
  /** That life of a member is over. */
  ended(replica: Replica, member: MemberId): void;
}

/** Copies of whole arcs that go out from this Corelet, or come in. */
export class Copies {
  readonly #context: ReplicaContext;
  readonly #ended: EndedLives;
  readonly #keeper: ReplicaKeeper;
  readonly #receivers = new Map<ArcId, CopyReceiver>();
  readonly #senders = new Map<ArcId, CopySender>();
  readonly #wanted = new Map<ArcId, Set<MemberId>>();
  readonly #failures = new CopyFailures();
  readonly pace = new CopyPace();
  readonly room: CopyRoom;
  /** Arcs led here that lack a copy, or would move one, and have no room for it anywhere. */
  readonly waitForRoom = new Set<ArcId>();
  readonly #buffers = new ChunkBuffers();

  constructor(context: ReplicaContext, ended: EndedLives, keeper: ReplicaKeeper) {
    this.#context = context;
    this.#ended = ended;
    this.#keeper = keeper;
    this.room = new CopyRoom(context.store, context.limits.copyFillMax);
  }

  // ---- coming in --------------------------------------------------------------------------------------------------

  offered(from: CoreletId, present: Replica | undefined, message: CopyOffer): void {
    let replica = present;
    const known = replica?.generation === message.toGeneration;
    // INV-10: a voter that isn't known here, or has no state, has told what nobody here remembers. It may not begin as if it
    // hadn't.
    const forgot = message.voter && !(known && replica?.installed === true);
    if (forgot && known && replica !== undefined) this.#keeper.lost(replica, 'it is a voter, and has no state');
    if (this.#ended.has(message.arc, message.toGeneration) || forgot) {
      this.#context.send(from, copyReply(message, 'ended', 0));
      return;
    }
    if (replica !== undefined && replica.generation !== message.toGeneration) {
      // INV-10: a leader that was replaced while it slept may still mean a life of this replica that is over. What a true
      // leader offers under a new generation lies behind everything that the present one knows to be committed.
      if (message.index < replica.core.commitIndex) {
        this.#context.send(from, copyReply(message, 'refused', 0));
        return;
      }
    }
    // A voter's copy was there before: it is let in again, however full the flash is.
    if (!message.voter && !this.room.fits(message.arc, message.bytes)) {
      this.#context.send(from, copyReply(message, 'full', 0));
      return;
    }
    if (replica !== undefined && replica.generation !== message.toGeneration) {
      // What one without a state holds are blocks of an earlier life or copy: a base that is compared with the leader's.
      if (replica.installed) this.#keeper.retire(replica, 'it comes back under a new generation');
      else this.#keeper.drop(replica);
      replica = undefined;
    }
    replica ??= this.#begin(message);
    if (message.term < replica.core.term) {
      // The leader must get beyond this replica's term before it can lead it.
      const { arc, toGeneration: fromGeneration, fromGeneration: toGeneration } = message;
      const reply = { matched: false, index: 0, hintTerm: 0, term: replica.core.term };
      this.#context.send(from, { type: 'appendReply', arc, fromGeneration, toGeneration, ...reply });
      return;
    }
    if (!message.voter) this.room.promise(message.arc, message.bytes);
    this.#receivers.set(message.arc, new CopyReceiver(replica, this.#context, from, message));
  }

  /** A replica without a state: durable before the offer is answered. */
  #begin({ arc, toGeneration }: CopyOffer): Replica {
    const completeIndex = newestOf(this.#context.store.map(arc));
    const snapshot = { ...emptySnapshot('copying', toGeneration), completeIndex };
    this.#context.store.appendArcState(arc, encodeSnapshot(snapshot));
    return this.#keeper.add(arc, originOf(snapshot));
  }

  check(from: CoreletId, replica: Replica | undefined, message: CopyCheck): void {
    const receiver = this.#receivers.get(message.arc);
    const valid = replica?.generation === message.toGeneration && receiver?.matches(from, message.copy);
    if (receiver === undefined || !valid) this.#context.send(from, copyReply(message, 'refused', 0));
    else void receiver.check(message);
  }

  part(from: CoreletId, replica: Replica | undefined, message: CopyChunk | CopyFinish): void {
    const receiver = this.#receivers.get(message.arc);
    const valid = replica?.generation === message.toGeneration && receiver?.matches(from, message.copy);
    if (receiver === undefined || !valid) this.#context.send(from, copyReply(message, 'refused', 0));
    else if (message.type === 'copyChunk') receiver.chunk(message);
    else {
      this.#receivers.delete(message.arc);
      receiver.finish(message);
      this.room.release(message.arc);
    }
  }

  /** The replica here is no more. */
  forget(arc: ArcId): void {
    this.#receivers.delete(arc);
    this.room.release(arc);
    this.#failures.forget(arc);
  }

  // ---- going out --------------------------------------------------------------------------------------------------

  reply(from: CoreletId, replica: Replica | undefined, message: CopyReply): void {
    if (replica === undefined || replica.generation !== message.toGeneration || !replica.isLeader) return;
    const member = memberId(from, message.fromGeneration);
    const sender = this.#senders.get(message.arc);
    if (message.code === 'full') this.room.refused(member, this.#context.clock.nowMs());
    // INV-10: who acknowledged entries and has no state now was put back to before that: what it acknowledged is nowhere.
    if (message.copy === 0 && replica.standing.toldBy(member).index > 0) this.#keeper.ended(replica, member);
    else if (message.copy === 0) replica.core.requireCopy(member);
    else if (sender?.member === member) sender.receive(message);
    replica.flush();
  }

  /** A follower has no log that could be continued. */
  want(replica: Replica, member: MemberId): void {
    const wanted = this.#wanted.get(replica.arc) ?? new Set();
    wanted.add(member);
    this.#wanted.set(replica.arc, wanted);
  }

  /** Looks at the copies that run, and at the pace: `endangeredBytes` are what arcs one loss from losing their quorum lack. */
  look(endangeredBytes: number): void {
    const now = this.#context.clock.nowMs();
    for (const sender of this.#senders.values()) sender.tick(now);
    this.pace.look(now, this.#senders.size > 0, endangeredBytes);
  }

  /**
   * Starts copies that wait, as many as may run. Called by healing, in the order of danger: the first `endangered` of them
   * are one loss from losing their quorum.
   */
  start(order: readonly Replica[], endangered: number): void {
    for (const [place, replica] of order.entries()) {
      const running = this.#senders.get(replica.arc);
      if (running !== undefined) running.endangered = place < endangered;
    }
    for (const replica of order) {
      if (this.#senders.size >= this.#context.limits.copiesSentMax) return;
      if (this.#senders.has(replica.arc)) continue;
      const member = this.#next(replica);
      if (member !== undefined) this.#begun(replica, member);
    }
  }

  /** Whom to copy to now, of those that wait. */
  #next(replica: Replica): MemberId | undefined {
    const wanted = this.#wanted.get(replica.arc);
    if (wanted === undefined) return undefined;
    const { core } = replica;
    let next: MemberId | undefined;
    for (const member of replica.isLeader ? wanted : []) {
      const copying = core.progress().get(member)?.state === 'copying';
      if (!copying || !holdsMember(core.configuration, member)) wanted.delete(member);
      else if (this.#context.isAlive(replicaOf(member).id) && !this.#failures.waits(replica.arc, member, replica.now)) {
        next = member;
        break;
      }
    }
    if (!replica.isLeader || wanted.size === 0) this.#wanted.delete(replica.arc);
    return next;
  }

  #begun(replica: Replica, member: MemberId): void {
    const means = { pace: this.pace, buffers: this.#buffers };
    const sender = new CopySender(replica, this.#context, means, member, (result) =>
      this.#copyEnded(replica, sender, result),
    );
    replica.pinnedIndex = sender.index;
    this.#senders.set(replica.arc, sender);
  }

  #copyEnded(replica: Replica, sender: CopySender, result: CopyResult): void {
    this.#senders.delete(replica.arc);
    replica.pinnedIndex = Number.MAX_SAFE_INTEGER;
    const wanted = this.#wanted.get(replica.arc);
    // Who refuses waits behind the others, and holds up nobody.
    if (wanted?.delete(result.member) === true && !result.ok) wanted.add(result.member);
    const arc = `arc ${replica.arc} to ${placeOf(replicaOf(result.member).id)}`;
    if (result.ok) {
      this.#failures.succeeded(replica.arc, result.member);
      replica.comparing.tellAllQuarantined(result.member);
      replica.core.copied(result.member, sender.index, replica.now);
      replica.flush();
      const { blocks, durationMs } = result;
      this.#tell(
        'arc.copied',
        replica.arc,
        result,
        `Copied ${arc}: ${blocks} blocks, checksums verified, in ${Math.round(durationMs)} ms.`,
      );
      return;
    }
    const { count, isNews } = this.#failures.note(replica.arc, result.member, result.reason, replica.now);
    const howOften = count > 1 ? `, ${count} times in a row` : '';
    const text = `A copy of ${arc} stopped: ${result.reason}${howOften}. It will be tried again.`;
    if (isNews) this.#tell('arc.copy-failed', replica.arc, result, text);
  }

  #tell(kind: string, arc: ArcId, { member, blocks, durationMs }: CopyResult, text: string): void {
    this.#context.events.record({
      kind,
      arc,
      corelet: replicaOf(member).id,
      text,
      data: { blocks, durationMs: Math.round(durationMs), from: this.#context.self },
    });
  }

  /** Bytes that a running or waiting copy of this arc still has to move. */
  bytesLeft(replica: Replica): number {
    const sender = this.#senders.get(replica.arc);
    const waiting = (this.#wanted.get(replica.arc)?.size ?? 0) - (sender === undefined ? 0 : 1);
    return (sender?.bytesLeft ?? 0) + Math.max(0, waiting) * replica.dataBytes;
  }
}
