import { assert, unreachable } from '../base/assert.ts';
import type { LogIndex, Term } from '../base/ids.ts';
import { believesInLeader, complaintDue, raiseCause, scheduleRetry, scheduleTurn } from './campaign-timer.ts';
import { answerHeldVotes, campaignDue, mayCampaign, onTimeoutNow, onVoteReply, onVoteRequest } from './election.ts';
import { onAppend, onReadProbe } from './following.ts';
import { heldVotesDueMs, leaseHolds, leaseNeed } from './leases.ts';
import type { Progress } from './progress.ts';
import { isJoint } from './quorum.ts';
import { askRead, flushReads, onReadProbeReply, renewLease, resendReads } from './reads.ts';
import { proposeConfiguration } from './reconfiguration.ts';
import { advanceCommit, flushAppends, leaderDeadlineMs, onAppendReply, onCopied, tickLeader } from './replication.ts';
import { becomeFollower, resign } from './roles.ts';
import { type RaftOptions, RaftState, type Role } from './state.ts';
import { handOverIfRemoved, startTransfer, transferFailed } from './transfer.ts';
import {
  type Configuration,
  type Effects,
  type ElectionCause,
  type Entry,
  entryKinds,
  type MemberId,
  type ProposeResult,
  type RaftLimits,
  type RaftMessage,
} from './types.ts';

export const defaultRaftLimits: RaftLimits = {
  appendBytesMax: 1024 * 1024,
  inflightBytesMax: 8 * 1024 * 1024,
  inflightMessagesMax: 64,
  uncommittedEntriesMax: 4096,
  uncommittedBytesMax: 32 * 1024 * 1024,
  pendingReadsMax: 4096,
  candidateStepMs: 10,
  campaignRetryMs: 100,
  campaignRetryMaxMs: 2000,
  resendMs: 500,
  leaderProofMs: 150,
  readHedgeMs: 10,
  leases: true,
  leaseMs: 50,
  clockDriftPpmMax: 1000,
};

/**
 * One replica's part in Raft, without I/O: events in, `takeEffects` out, in the order that `Effects` tells.
 * Times are the owner's monotonic milliseconds. Not re-entrant.
 */
export class RaftCore<Body> {
  readonly #s: RaftState<Body>;

  constructor(options: RaftOptions<Body>) {
    this.#s = new RaftState(options);
  }

  get role(): Role {
    return this.#s.role;
  }
  get term(): Term {
    return this.#s.term;
  }
  /** Who leads the current term, as far as known; itself when leader. */
  get leader(): MemberId | undefined {
    return this.#s.leader;
  }
  get commitIndex(): LogIndex {
    return this.#s.commitIndex;
  }
  get appliedIndex(): LogIndex {
    return this.#s.appliedIndex;
  }
  get lastIndex(): LogIndex {
    return this.#s.log.lastIndex;
  }
  get lastTerm(): Term {
    return this.#s.log.lastTerm;
  }
  /** The first index held in memory. */
  get firstIndex(): LogIndex {
    return this.#s.log.firstIndex;
  }
  /** Active: the latest appended one. */
  get configuration(): Configuration {
    return this.#s.configuration;
  }
  get configurationIndex(): LogIndex {
    return this.#s.configurations.activeIndex;
  }
  /** The configuration that holds once what is applied is applied: what a checkpoint of that index names. */
  get appliedConfiguration(): Configuration {
    return this.#s.configurations.at(this.#s.appliedIndex);
  }
  /** The active configuration isn't committed yet, or is joint: no other change may begin. */
  get configurationPending(): boolean {
    return this.configurationIndex > this.#s.commitIndex || isJoint(this.#s.configuration);
  }
  get ownTermCommitted(): boolean {
    return this.#s.ownTermCommitted;
  }
  /** Leader: reads are answered alone now. */
  get leaseHolds(): boolean {
    return leaseHolds(this.#s);
  }
  /** Whom leadership is being handed to; proposals are refused meanwhile. */
  get transferring(): MemberId | undefined {
    return this.#s.transferTo;
  }

  /** False: never campaigns, because its copy isn't complete (design §10.4). It still votes: its log counts. */
  get eligible(): boolean {
    return this.#s.eligible;
  }
  set eligible(eligible: boolean) {
    const s = this.#s;
    if (eligible && !s.eligible && s.role !== 'leader' && !believesInLeader(s)) s.campaignUnscheduled = true;
    s.eligible = eligible;
  }

  /** When `tick` is due at the latest; Infinity when nothing waits for time. */
  get deadlineMs(): number {
    const s = this.#s;
    if (s.role === 'leader') return leaderDeadlineMs(s);
    const heldMs = heldVotesDueMs(s);
    if (!mayCampaign(s)) return heldMs;
    return s.campaignUnscheduled ? 0 : Math.min(heldMs, s.campaignAtMs, s.complaintDueMs);
  }

  entry(index: LogIndex): Entry<Body> | undefined {
    return this.#s.log.entry(index);
  }

  termAt(index: LogIndex): Term | undefined {
    return this.#s.log.termAt(index);
  }

  /** What the leader knows of every other member; empty on others. */
  progress(): ReadonlyMap<MemberId, Readonly<Progress>> {
    return this.#s.followers;
  }

  /** @throws RemoteProtocolError on a message that no correct peer sends; nothing has changed then. */
  receive(from: MemberId, message: RaftMessage<Body>, nowMs: number): void {
    const s = this.#s;
    s.at(nowMs);
    switch (message.type) {
      case 'append':
        return onAppend(s, from, message);
      case 'vote':
        return onVoteRequest(s, from, message);
      case 'voteReply':
        return onVoteReply(s, from, message);
      case 'readProbe':
        return onReadProbe(s, from, message);
      case 'appendReply':
        if (this.#currentTerm(message.term)) onAppendReply(s, from, message);
        return;
      case 'readProbeReply':
        if (this.#currentTerm(message.term)) onReadProbeReply(s, from, message);
        return;
      case 'timeoutNow':
        return onTimeoutNow(s, from, message);
      default:
        return unreachable(message);
    }
  }

  /** Whether a reply is of the current term; a newer one ends the own. */
  #currentTerm(term: Term): boolean {
    if (term > this.#s.term) becomeFollower(this.#s, term, undefined);
    return term === this.#s.term;
  }

  /** `bytes`: what the entry takes in a message. `ok: false` means that nothing was appended. */
  propose(body: Body, bytes: number, nowMs: number): ProposeResult {
    const s = this.#s;
    s.at(nowMs);
    if (s.role !== 'leader') return { ok: false, code: 'NOT_LEADER' };
    if (s.transferTo !== undefined) return { ok: false, code: 'TRANSFERRING' };
    const index = s.log.lastIndex + 1;
    const entriesFull = index - s.commitIndex > s.limits.uncommittedEntriesMax;
    const bytesFull = s.uncommittedBytes > 0 && s.uncommittedBytes + bytes > s.limits.uncommittedBytesMax;
    if (entriesFull || bytesFull) return { ok: false, code: 'BUSY' };
    s.uncommittedBytes += bytes;
    s.append({ term: s.term, index, kind: entryKinds.command, bytes, body });
    return { ok: true, index };
  }

  /**
   * A learner change, or a joint configuration that replaces one voter; the leader leaves a joint one by itself once it is
   * committed. Stops (assert) on a step that no rule allows.
   */
  proposeConfiguration(next: Configuration, nowMs: number): ProposeResult {
    this.#s.at(nowMs);
    return proposeConfiguration(this.#s, next);
  }

  /** A linearizable read: `token` comes back in `readsReady` with the index to apply first, or in `readsRefused`. */
  readIndex(token: number, nowMs: number): { ok: true } | { ok: false; code: 'NOT_LEADER' | 'BUSY' } {
    this.#s.at(nowMs);
    return askRead(this.#s, token);
  }

  /** Leader: whether its lease is to be renewed for reads to come; `ending`: now, `aging`: if others' are. */
  leaseNeed(nowMs: number): 'none' | 'aging' | 'ending' {
    this.#s.at(nowMs);
    return leaseNeed(this.#s);
  }

  /** Leader: renews it where there is a need. Safe to leave out. */
  renewLease(nowMs: number): void {
    this.#s.at(nowMs);
    renewLease(this.#s);
  }

  /** Something speaks against the leader: this member campaigns in its turn, unless the leader is heard before. */
  cause(cause: ElectionCause, nowMs: number): void {
    const s = this.#s;
    s.at(nowMs);
    raiseCause(s, cause);
  }

  /** Liveness of a member's Corelet, as this one sees it. A leader without a live majority steps down at once. */
  setAlive(member: MemberId, alive: boolean, nowMs: number): void {
    const s = this.#s;
    s.at(nowMs);
    if (member === s.self || s.dead.has(member) !== alive) return;
    if (alive) s.dead.delete(member);
    else s.dead.add(member);
    if (s.role === 'leader') {
      const p = s.followers.get(member);
      if (p !== undefined) {
        p.alive = alive;
        p.restart(s.log.lastIndex);
      }
      if (!alive && member === s.transferTo) transferFailed(s);
      if (alive || s.hasLiveQuorum) handOverIfRemoved(s);
      else if (s.selfIsVoter) resign(s);
    } else if (!alive) {
      if (member === s.leader) raiseCause(s, 'lapse');
    } else if (s.leader === undefined && s.hasLiveQuorum) {
      s.campaignAttempts = 0;
      scheduleTurn(s);
    }
  }

  /** INV-10: that life of `member` is over. From now on nothing is committed by what it acknowledged; what is committed stays. */
  forget(member: MemberId, nowMs: number): void {
    this.setAlive(member, false, nowMs);
    this.#s.followers.get(member)?.end();
  }

  /** The connection to `member` was reset: what was on the way is lost, and its process perhaps too. */
  reset(member: MemberId, nowMs: number): void {
    const s = this.#s;
    s.at(nowMs);
    if (s.role === 'leader') s.followers.get(member)?.restart(s.log.lastIndex);
    else if (member === s.leader) raiseCause(s, 'reset');
  }

  /** The own log is durable up to `index`, whose entry is of `term`. */
  persisted(index: LogIndex, term: Term): void {
    const s = this.#s;
    // An entry that was replaced since tells nothing; one that was compacted is committed.
    if (index >= s.log.firstIndex && s.log.termAt(index) !== term) return;
    if (index <= s.persistedIndex) return;
    s.persistedIndex = index;
    if (s.role !== 'leader') return;
    if (term === s.term) s.holdAppends = false;
    advanceCommit(s);
  }

  applied(index: LogIndex): void {
    const s = this.#s;
    assert(index <= s.commitIndex, 'INV-3: applied beyond what is committed', index, s.commitIndex);
    if (index > s.appliedIndex) s.appliedIndex = index;
  }

  /** The leader sends no entries to `member` until `copied`: there is no log to continue there, such as on a new learner. */
  requireCopy(member: MemberId): void {
    const p = this.#s.followers.get(member);
    if (p === undefined || p.state === 'copying') return;
    p.becomeCopying();
    this.#s.outbox.needCopy(member);
  }

  /** `member` has installed, durably, the state as of `index`. */
  copied(member: MemberId, index: LogIndex, nowMs: number): void {
    this.#s.at(nowMs);
    onCopied(this.#s, member, index);
  }

  /** Whether a copied state as of (index, term) would bring this replica forward: ask before installing one. */
  copyUseful(index: LogIndex, term: Term): boolean {
    return index > this.#s.commitIndex && this.#s.log.termAt(index) !== term;
  }

  /**
   * The owner has durably replaced state and log by a copied state: the log is empty after `index`.
   * Only where `copyUseful`: else acknowledged entries would be lost (INV-3).
   */
  restore(
    copy: { readonly index: LogIndex; readonly term: Term; readonly configuration: Configuration },
    nowMs: number,
  ): void {
    const s = this.#s;
    s.at(nowMs);
    assert(s.role !== 'leader', 'INV-3: a leader has everything that is committed');
    assert(this.copyUseful(copy.index, copy.term), `INV-3: a copy as of ${copy.index} replaces acknowledged entries`);
    s.log.restart(copy.index, copy.term);
    s.configurations.restart(copy.index, copy.configuration);
    s.outbox.restart(copy.index);
    s.outbox.changed = true;
    s.commitIndex = copy.index;
    s.appliedIndex = copy.index;
    s.persistedIndex = copy.index;
    if (copy.term > s.term) becomeFollower(s, copy.term, undefined);
    else if (s.leader === undefined) scheduleRetry(s);
  }

  /** Forgets entries up to `index` in memory; never beyond what was applied. */
  compact(index: LogIndex): void {
    const s = this.#s;
    const upTo = Math.min(index, s.appliedIndex);
    s.log.compact(upTo);
    s.configurations.compact(upTo);
  }

  /** Hands leadership to a live voter; given up after a while. False: not possible now. */
  transfer(to: MemberId, nowMs: number): boolean {
    const s = this.#s;
    s.at(nowMs);
    const possible = s.role === 'leader' && to !== s.self && s.transferTo === undefined;
    if (!possible || !s.configuration.voters.includes(to) || !s.isAlive(to)) return false;
    startTransfer(s, to, s.limits.campaignRetryMaxMs);
    return true;
  }

  /** Leads no more and doesn't campaign for a while: others are better placed. */
  abdicate(nowMs: number): void {
    const s = this.#s;
    s.at(nowMs);
    s.abstainUntilMs = nowMs + s.limits.campaignRetryMaxMs;
    if (s.role === 'leader' && s.selfIsVoter) resign(s);
    else if (s.role === 'leader') handOverIfRemoved(s);
    else if (s.role !== 'follower') becomeFollower(s, s.term, undefined);
    else if (s.campaignAtMs < s.abstainUntilMs) scheduleRetry(s);
  }

  tick(nowMs: number): void {
    const s = this.#s;
    s.at(nowMs);
    if (s.role === 'leader') {
      tickLeader(s);
      resendReads(s);
      return;
    }
    answerHeldVotes(s);
    complaintDue(s);
    if (s.campaignUnscheduled) scheduleRetry(s);
    else if (nowMs >= s.campaignAtMs) campaignDue(s);
  }

  /** What the events since the last call ask of the owner, once per batch; undefined when nothing. */
  takeEffects(): Effects<Body> | undefined {
    const s = this.#s;
    if (s.role === 'leader') {
      flushReads(s);
      flushAppends(s);
    }
    return s.outbox.take(s, s.commitIndex);
  }
}
