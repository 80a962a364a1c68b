import { assert } from '../base/assert.ts';
import type { CoreletId, LogIndex, Term } from '../base/ids.ts';
import { ticketLifeMs } from '../wire/peer/limits.ts';
import type { OpReply, OpRequest, ReplyCode, Ticket } from '../wire/peer/types.ts';
import type { OpId } from './command.ts';
import type { ReplicaContext } from './context.ts';
import { bodyOf, type EntryBody, entryBytes } from './entry.ts';
import { replicaOf } from './members.ts';
import {
  bytesOf,
  chunkOf,
  entryOf,
  type EvaluatedBody,
  givesSpaceBack,
  isEvaluated,
  mayReplace,
  needsTicket,
  opId,
  rangeOf,
} from './op-bodies.ts';
import { ChunkGates, mergeCompared, mergePatch, type MergeResult } from './patches.ts';
import type { Replica } from './replica.ts';
import type { Outcome } from './state.ts';

/** An operation on its way through this leader: from its arrival until its entry is applied. */
interface Pending {
  readonly key: string;
  readonly arrivedMs: number;
  /** A gateway asks that the operation never happen, if it hasn't yet. */
  readonly isCancel: boolean;
  readonly needsTicket: boolean;
  ticket: Ticket | undefined;
  /** Whom to answer: the newest try. */
  from: CoreletId;
  request: number;
  /** Once proposed. */
  index: LogIndex;
  term: Term;
}

function keyOf(op: OpId): string {
  return `${op.session}:${op.number}`;
}

/** The leader's side of writes: proposes each operation once, answers when its entry is applied. */
export class Operations {
  readonly #replica: Replica;
  readonly #context: ReplicaContext;
  readonly #gates: ChunkGates;
  readonly #byKey = new Map<string, Pending>();
  /** In the log and not applied: in its order. */
  readonly #proposed: Pending[] = [];
  /** Patches that wait until everything proposed before them is applied; ascending. */
  #barriers: { readonly index: LogIndex; readonly run: () => void }[] = [];

  constructor(replica: Replica, context: ReplicaContext) {
    this.#replica = replica;
    this.#context = context;
    this.#gates = new ChunkGates(context.limits.gatedOpsMax);
  }

  /** Milliseconds that the oldest unanswered operation has waited; 0 when there is none. */
  oldestWaitMs(nowMs: number): number {
    const oldest = this.#byKey.values().next().value;
    return oldest === undefined ? 0 : nowMs - oldest.arrivedMs;
  }

  receive(from: CoreletId, message: OpRequest): void {
    const replica = this.#replica;
    if (!replica.isLeader) {
      this.#answer(from, message.request, { code: 'notLeader', version: 0 });
      return;
    }
    replica.traffic.count(from);
    const answered = replica.state.answerOf(message.session, message.number);
    if (answered !== undefined && message.body.kind !== 'openSession') {
      this.#answer(from, message.request, answered);
      return;
    }
    const key = keyOf(message);
    const pending = this.#byKey.get(key);
    const isCancel = message.body.kind === 'cancel';
    if (pending === undefined) this.#begin(from, message, key);
    else if (isCancel && !pending.isCancel && pending.index === 0) {
      // Not in this leader's log, and now it never will be; what an earlier leader's log holds, the entry finds out.
      this.#byKey.delete(key);
      this.#begin(from, message, key);
    } else if (isCancel || !pending.isCancel) {
      // A retry of what is already in this leader's log or waits at a gate: one copy is enough.
      pending.from = from;
      pending.request = message.request;
      pending.ticket = message.ticket ?? pending.ticket;
    } // else a late copy of what its gateway has given up
  }

  #begin(from: CoreletId, message: OpRequest, key: string): void {
    const bytes = bytesOf(message.body);
    const room = this.#roomFor(bytes);
    const pending: Pending = {
      key,
      arrivedMs: this.#replica.now,
      isCancel: message.body.kind === 'cancel',
      needsTicket: needsTicket(message.body),
      ticket: message.ticket,
      from,
      request: message.request,
      index: 0,
      term: 0,
    };
    if (room === 'busy' || (room === 'full' && !givesSpaceBack(message.body) && !mayReplace(message.body))) {
      this.#answer(from, message.request, { code: room, version: 0 });
    } else if (room === 'full' && !givesSpaceBack(message.body)) {
      this.#byKey.set(key, pending);
      void this.#beginIfReplacing(pending, message, bytes);
    } else {
      this.#byKey.set(key, pending);
      this.#enter(pending, message);
    }
  }

  /** New data needs room on every device that will hold it. */
  #roomFor(bytes: number): 'ok' | 'busy' | 'full' {
    const room = this.#context.store.roomFor(bytes);
    if (room !== 'ok') return room;
    for (const member of this.#replica.core.configuration.voters) {
      if (member !== this.#replica.member && this.#context.isFull(replicaOf(member).id)) return 'full';
    }
    return 'ok';
  }

  /** On a full device data may still be replaced: where all of it lies over blocks that hold something. */
  async #beginIfReplacing(pending: Pending, message: OpRequest, bytes: number): Promise<void> {
    const range = rangeOf(message.body);
    assert(range !== undefined, 'only blocks replace blocks');
    const loaded = this.#replica.map.load(range);
    const page = loaded instanceof Promise ? await loaded : loaded;
    if (this.#byKey.get(pending.key) !== pending) return; // answered meanwhile: leadership lost
    let replacing = page !== undefined;
    for (let i = 0; i < range.blockCount; i++) replacing &&= page?.positions[range.firstBlock + i] !== 0;
    const room = replacing ? this.#context.store.roomFor(bytes, 'replacing') : 'full';
    if (room === 'ok') this.#enter(pending, message);
    else this.#finish(pending, { code: room, version: 0 });
  }

  #enter(pending: Pending, message: OpRequest): void {
    const { body } = message;
    const chunk = chunkOf(body);
    if (isEvaluated(body)) {
      if (!this.#gates.close(body, () => void this.#evaluate(pending, message, body))) {
        this.#finish(pending, { code: 'busy', version: 0 });
      }
    } else if (chunk !== undefined && this.#gates.isClosed(chunk)) {
      if (!this.#gates.wait(chunk, () => this.#propose(pending, message))) {
        this.#finish(pending, { code: 'busy', version: 0 });
      }
    } else this.#propose(pending, message);
  }

  #propose(pending: Pending, op: OpRequest): void {
    if (this.#byKey.get(pending.key) !== pending) return; // answered meanwhile: leadership lost, or given up
    const entry = entryOf(op);
    if (entry === undefined) this.#finish(pending, { code: 'corrupt', version: 0 });
    else this.#proposeEntry(pending, entry);
  }

  #proposeEntry(pending: Pending, entry: EntryBody): void {
    const core = this.#replica.core;
    // INV-5: its host may have given it up, and gone another way, if it is older than that (design §10.10).
    if (pending.needsTicket && !this.#isValid(pending.ticket)) {
      this.#finish(pending, { code: 'stale', version: 0 });
      return;
    }
    assert(
      !pending.needsTicket || this.#replica.now - (pending.ticket?.issuedMs ?? 0) <= ticketLifeMs,
      'INV-5: appended on a ticket that has run out',
    );
    const bytes = entryBytes(entry.range, entry.head?.length ?? 0, entry.crcs.length > 0);
    const result = core.propose(entry, bytes, this.#replica.now);
    if (!result.ok) {
      const code = result.code === 'BUSY' || result.code === 'TRANSFERRING' ? 'busy' : 'notLeader';
      this.#finish(pending, { code, version: 0 });
      return;
    }
    pending.index = result.index;
    pending.term = core.term;
    this.#proposed.push(pending);
    this.#replica.flush();
  }

  /** Issued here, in this life, and not too long ago by the clock at this very moment. */
  #isValid(ticket: Ticket | undefined): boolean {
    return (
      ticket !== undefined &&
      ticket.incarnation === this.#context.incarnation &&
      this.#replica.now - ticket.issuedMs <= ticketLifeMs
    );
  }

  /**
   * Read, work out, propose whole blocks. The gate keeps later operations on the chunk waiting; the barrier waits until all
   * earlier ones are applied. So what is read is exactly what the log holds before this entry, and the change is atomic.
   */
  async #evaluate(pending: Pending, message: OpRequest, body: EvaluatedBody): Promise<void> {
    const core = this.#replica.core;
    const term = core.term;
    await new Promise<void>((resolve) => this.#atBarrier(core.lastIndex, resolve));
    let merged: MergeResult | undefined;
    if (this.#byKey.get(pending.key) === pending && core.term === term) {
      const { mending, state } = this.#replica;
      const answered = state.answerOf(message.session, message.number);
      if (answered !== undefined) this.#finish(pending, answered);
      else merged = await (body.kind === 'patch' ? mergePatch(mending, body) : mergeCompared(mending, body));
    }
    // Leadership lost and won again would mean entries that this read didn't see: the term tells.
    if (merged !== undefined && this.#byKey.get(pending.key) === pending) {
      if (core.term !== term) this.#finish(pending, { code: 'notLeader', version: 0 });
      else this.#proposeEvaluated(pending, message, body, merged);
    }
    this.#gates.open(body);
  }

  #proposeEvaluated(pending: Pending, message: OpRequest, body: EvaluatedBody, merged: MergeResult): void {
    const { volume, epoch } = body;
    switch (merged.code) {
      case 'corrupt':
      case 'busy':
        this.#finish(pending, { code: merged.code, version: 0 });
        return;
      case 'ok': {
        const range = rangeOf(body);
        this.#proposeEntry(
          pending,
          bodyOf({ kind: 'write', ...opId(message), epoch }, range, merged.crcs, [merged.data]),
        );
        return;
      }
      // As an entry, too: only a leader can commit it, and a retry gets the first answer (design §3).
      case 'miscompare':
        this.#proposeEntry(
          pending,
          bodyOf({ kind: 'miscompare', ...opId(message), volume, epoch, byteOffset: merged.byteOffset }),
        );
    }
  }

  #atBarrier(index: LogIndex, run: () => void): void {
    if (this.#replica.core.appliedIndex >= index) run();
    else this.#barriers.push({ index, run });
  }

  /** An entry of this arc was applied; if it is one of ours, its gateway hears the outcome. */
  applied(index: LogIndex, term: Term, outcome: Outcome): void {
    for (let first = this.#proposed[0]; first !== undefined && first.index <= index; first = this.#proposed[0]) {
      this.#proposed.shift();
      // Another leader's entry at that index: ours was overwritten and did not happen here; its gateway asks again.
      const isOurs = first.index === index && first.term === term;
      if (isOurs) this.#context.served(this.#replica.now - first.arrivedMs);
      this.#finish(first, isOurs ? outcome : { code: 'overtaken', version: 0 });
    }
  }

  afterApply(index: LogIndex): void {
    while (this.#barriers.length > 0 && (this.#barriers[0]?.index ?? 0) <= index) this.#barriers.shift()?.run();
  }

  /** What is in the log may still commit under the next leader: its gateways ask there, with the same operation ids. */
  leadershipLost(): void {
    for (const pending of this.#byKey.values()) {
      this.#finish(pending, { code: pending.index === 0 ? 'notLeader' : 'overtaken', version: 0 });
    }
    this.dropAll();
  }

  dropAll(): void {
    this.#byKey.clear();
    this.#proposed.length = 0;
    for (const barrier of this.#barriers.splice(0)) barrier.run();
    this.#gates.clear();
  }

  #finish(pending: Pending, outcome: Outcome): void {
    if (this.#byKey.get(pending.key) !== pending) return;
    this.#byKey.delete(pending.key);
    this.#answer(pending.from, pending.request, outcome);
  }

  #answer(to: CoreletId, request: number, outcome: Outcome): void {
    const moved = outcome.code === 'notLeader' || outcome.code === 'overtaken';
    const leader = moved ? this.#replica.leaderCorelet : undefined;
    this.#context.send(to, opReply(request, outcome.code, leader, outcome.version));
  }
}

export function opReply(request: number, code: ReplyCode, leader: CoreletId | undefined, version: number): OpReply {
  return { type: 'opReply', request, code, leader, version };
}
