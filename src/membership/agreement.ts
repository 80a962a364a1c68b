import { assert } from '../base/assert.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { CoreletId } from '../base/ids.ts';
import { hasMember, majority, type View } from '../ring/view.ts';
import type {
  Accept,
  Accepted,
  AcceptedValue,
  Ballot,
  Decision,
  Prepare,
  Promised,
  Refusal,
  Vote,
} from '../wire/membership/types.ts';
import { compareBallots } from './ballots.ts';
import { deltaKey, deltaOf } from './delta.ts';
import { FastVotes, fastBallot, fastQuorum, valueToPropose, votesFast } from './fast.ts';
import type { MembershipLimits, RandomSource } from './types.ts';

/** What the steps below cause. Within one step `persist` comes before the sends that need it. */
export interface AgreementEffects {
  persist(): void;
  send(to: CoreletId, message: AgreementMessage, afterSync: boolean): void;
  decided(ballot: Ballot, decision: Decision): void;
}

export type AgreementMessage = Prepare | Promised | Refusal | Accept | Accepted | Vote;

interface Proposal {
  readonly ballot: Ballot;
  readonly wanted: Decision;
  /** With what each had accepted: it may have been decided, so it may have to be proposed. */
  readonly promises: Map<CoreletId, AcceptedValue | undefined>;
  readonly accepts: Set<CoreletId>;
  readonly deadlineMs: number;
  value: Decision | undefined;
}

/**
 * Agreement on the one view that follows the current one: single-decree Paxos (Lamport, "Paxos Made Simple", 2001)
 * among the members of the current view, as proposer and as acceptor. Promise and accepted value are durable before
 * they are told. Before the first classic round, larger views try Rapid's fast one: all vote at once for what they would
 * propose (fast.ts). Our own voice counts at once: our prepare and accept messages leave after the sync that covers it, so no
 * majority of two or more can come about without it.
 */
export class Agreement {
  readonly #self: CoreletId;
  readonly #limits: MembershipLimits;
  readonly #random: RandomSource;
  readonly #effects: AgreementEffects;
  #view: View | undefined;
  #promised: Ballot | undefined;
  #accepted: AcceptedValue | undefined;
  #proposal: Proposal | undefined;
  #votes: FastVotes | undefined;
  #votedMs: number | undefined;
  #voteAgainMs = 0;
  #roundSeen = 0;
  #holdUntilMs = 0;

  constructor(self: CoreletId, limits: MembershipLimits, random: RandomSource, effects: AgreementEffects) {
    this.#self = self;
    this.#limits = limits;
    this.#random = random;
    this.#effects = effects;
  }

  get promised(): Ballot | undefined {
    return this.#promised;
  }
  get accepted(): AcceptedValue | undefined {
    return this.#accepted;
  }
  get proposing(): boolean {
    return this.#proposal !== undefined;
  }

  /** The next instance: what follows `view`. With what was promised and accepted for it before a restart. */
  begin(view: View, promised?: Ballot, accepted?: AcceptedValue): void {
    this.#view = view;
    this.#promised = promised;
    this.#accepted = accepted;
    this.#proposal = undefined;
    this.#votes = new FastVotes(view);
    this.#votedMs = undefined;
    this.#roundSeen = promised?.round ?? 0;
    this.#holdUntilMs = 0;
  }

  /** When this Corelet voted under the fast ballot of this instance; undefined when it didn't, or not since its start. */
  get votedMs(): number | undefined {
    return this.#votedMs;
  }

  /**
   * What this Corelet accepted, by a fast vote or in a classic round, now or before its start, while nothing is decided. It may have
   * been chosen, and whoever proposed it may be gone: then another one brings it to an end.
   */
  get openValue(): Decision | undefined {
    return this.#accepted?.decision;
  }

  /** Whether a fast vote is allowed, and can lead to a decision when only `reachable` members vote. */
  mayVote(reachable: number): boolean {
    const members = this.#instance().members.length;
    const free = this.#promised === undefined && this.#accepted === undefined;
    return free && votesFast(members) && reachable >= fastQuorum(members);
  }

  /** Accepts `wanted` under the fast ballot, and tells everybody. */
  vote(wanted: Decision, nowMs: number): void {
    const view = this.#instance();
    assert(
      this.#promised === undefined && this.#accepted === undefined,
      'one vote per instance, and none after a promise',
    );
    assert(wanted.view.number === view.number + 1, 'a vote is for the next view number');
    assert(hasMember(view, this.#self), 'only members vote');
    this.#accepted = { ballot: fastBallot, decision: wanted };
    this.#votedMs = nowMs;
    this.#effects.persist();
    this.#tellVote(nowMs);
  }

  #tellVote(nowMs: number): void {
    if (this.#accepted === undefined) return;
    const view = this.#instance();
    const { decision } = this.#accepted;
    this.#voteAgainMs = nowMs + this.#limits.alertRepeatMs;
    const message: Vote = { type: 'vote', number: view.number + 1, delta: deltaOf(view, decision) };
    this.#toOthers(message);
    this.#counted(this.#self, message);
  }

  mayPropose(nowMs: number): boolean {
    return this.#proposal === undefined && nowMs >= this.#holdUntilMs;
  }

  propose(wanted: Decision, nowMs: number): void {
    const view = this.#instance();
    assert(wanted.view.number === view.number + 1, 'a proposal is for the next view number');
    assert(hasMember(view, this.#self), 'only members propose');
    const round = Math.max(this.#roundSeen, this.#promised?.round ?? 0) + 1;
    const ballot: Ballot = { round, proposer: this.#self };
    const deadlineMs = nowMs + this.#limits.proposalTimeoutMs;
    const promises = new Map([[this.#self, this.#accepted]]);
    this.#proposal = { ballot, wanted, promises, accepts: new Set(), deadlineMs, value: undefined };
    this.#roundSeen = round;
    this.#promised = ballot;
    this.#effects.persist();
    this.#toOthers({ type: 'prepare', number: view.number + 1, ballot });
    this.#acceptWhenPromised();
  }

  tick(nowMs: number): void {
    if (this.#proposal !== undefined && nowMs >= this.#proposal.deadlineMs) this.#retreat(nowMs);
    // A vote may be lost; who counts it late is told the newest view.
    if (this.#votedMs !== undefined && nowMs >= this.#voteAgainMs && this.#isFast()) this.#tellVote(nowMs);
  }

  /** @throws RemoteProtocolError when a promise carries a value for another view number. */
  receive(from: CoreletId, message: AgreementMessage, nowMs: number): void {
    switch (message.type) {
      case 'prepare':
        this.#prepare(from, message, nowMs);
        return;
      case 'promise':
        this.#promise(from, message);
        return;
      case 'refusal':
        this.#refusal(from, message, nowMs);
        return;
      case 'accept':
        this.#accept(from, message, nowMs);
        return;
      case 'accepted':
        this.#acceptedBy(from, message);
        return;
      case 'vote':
        if (message.number === this.#instance().number + 1) this.#counted(from, message);
        return;
    }
  }

  /** What we have accepted is still our fast vote. */
  #isFast(): boolean {
    return this.#accepted?.ballot.round === fastBallot.round;
  }

  #counted(from: CoreletId, message: Vote): void {
    if (!hasMember(this.#instance(), from)) return;
    const view = this.#instance();
    const decision = this.#votes?.count(from, message);
    if (decision === undefined) return;
    // Our own record of the same change names who had accused whom.
    const own = this.#accepted?.decision;
    const same = own !== undefined && deltaKey(deltaOf(view, own)) === deltaKey(deltaOf(view, decision));
    this.#proposal = undefined;
    this.#effects.decided(fastBallot, same ? own : decision);
  }

  #prepare(from: CoreletId, message: Prepare, nowMs: number): void {
    const { number, ballot } = message;
    if (!this.#mayPromise(from, number, ballot, nowMs)) return;
    this.#promised = ballot;
    this.#effects.persist();
    this.#effects.send(from, { type: 'promise', number, ballot, accepted: this.#accepted }, true);
  }

  #accept(from: CoreletId, message: Accept, nowMs: number): void {
    const { ballot, decision } = message;
    const number = decision.view.number;
    if (!this.#mayPromise(from, number, ballot, nowMs)) return;
    this.#promised = ballot;
    this.#accepted = { ballot, decision };
    this.#effects.persist();
    this.#effects.send(from, { type: 'accepted', number, ballot }, true);
  }

  #promise(from: CoreletId, message: Promised): void {
    const proposal = this.#answered(from, message.number, message.ballot);
    if (proposal === undefined || proposal.value !== undefined) return;
    const { accepted } = message;
    if (accepted !== undefined) {
      if (accepted.decision.view.number !== message.number) {
        throw new RemoteProtocolError(`promise for view ${message.number} with a value for another`);
      }
    }
    proposal.promises.set(from, accepted);
    this.#acceptWhenPromised();
  }

  #acceptedBy(from: CoreletId, message: Accepted): void {
    const proposal = this.#answered(from, message.number, message.ballot);
    if (proposal === undefined || proposal.value === undefined) return;
    proposal.accepts.add(from);
    this.#decideWhenAccepted();
  }

  #refusal(from: CoreletId, message: Refusal, nowMs: number): void {
    if (this.#answered(from, message.number, message.ballot) === undefined) return;
    this.#roundSeen = Math.max(this.#roundSeen, message.promised.round);
    this.#retreat(nowMs);
  }

  #instance(): View {
    assert(this.#view !== undefined, 'agreement needs a view');
    return this.#view;
  }

  #mayPromise(from: CoreletId, number: number, ballot: Ballot, nowMs: number): boolean {
    const view = this.#instance();
    if (number !== view.number + 1 || !hasMember(view, from)) return false;
    // Only the proposer itself speaks for its ballot.
    if (ballot.proposer !== from) return false;
    const promised = this.#promised;
    if (promised !== undefined && compareBallots(ballot, promised) < 0) {
      this.#effects.send(from, { type: 'refusal', number, ballot, promised }, false);
      return false;
    }
    this.#roundSeen = Math.max(this.#roundSeen, ballot.round);
    this.#retreat(nowMs);
    return true;
  }

  #answered(from: CoreletId, number: number, ballot: Ballot): Proposal | undefined {
    const view = this.#instance();
    const proposal = this.#proposal;
    if (proposal === undefined || number !== view.number + 1 || !hasMember(view, from)) return undefined;
    return compareBallots(proposal.ballot, ballot) === 0 ? proposal : undefined;
  }

  #acceptWhenPromised(): void {
    const view = this.#instance();
    const proposal = this.#proposal;
    if (proposal === undefined || proposal.promises.size < majority(view.members.length)) return;
    const { ballot } = proposal;
    assert(this.#promised !== undefined && compareBallots(this.#promised, ballot) === 0, 'we promised our own ballot');
    const decision = valueToPropose(view, proposal.promises, compareBallots) ?? proposal.wanted;
    proposal.value = decision;
    proposal.accepts.add(this.#self);
    this.#accepted = { ballot, decision };
    this.#effects.persist();
    this.#toOthers({ type: 'accept', ballot, decision });
    this.#decideWhenAccepted();
  }

  #decideWhenAccepted(): void {
    const view = this.#instance();
    const proposal = this.#proposal;
    if (proposal?.value === undefined || proposal.accepts.size < majority(view.members.length)) return;
    this.#proposal = undefined;
    this.#effects.decided(proposal.ballot, proposal.value);
  }

  #toOthers(message: AgreementMessage): void {
    for (const { id } of this.#instance().members) if (id !== this.#self) this.#effects.send(id, message, true);
  }

  // Leaves the field to whoever is ahead; the random wait keeps duels short.
  #retreat(nowMs: number): void {
    this.#proposal = undefined;
    this.#holdUntilMs = nowMs + this.#limits.proposalTimeoutMs * (0.5 + this.#random.fraction());
  }
}

/** Of the view that a message is about. */
export function numberOf(message: AgreementMessage): number {
  return message.type === 'accept' ? message.decision.view.number : message.number;
}
