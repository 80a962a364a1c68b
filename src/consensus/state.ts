import { assert } from '../base/assert.ts';
import type { LogIndex, Term } from '../base/ids.ts';
import { ConfigurationHistory } from './configurations.ts';
import { promiseAfterRestart } from './leases.ts';
import { RaftLog } from './log.ts';
import { Outbox } from './outbox.ts';
import { Progress } from './progress.ts';
import { hasQuorum, isVoter, memberIds } from './quorum.ts';
import type { Configuration, Entry, HardState, MemberId, RaftLimits, RaftMessage, VoteRequest } from './types.ts';

export type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader';

export interface U32Source {
  /** Uniform in [0, 2^32). */
  u32(): number;
}

/** What a replica knows when it starts: all of it durable. */
export interface Restored<Body> {
  readonly hardState: HardState;
  /** The one in force at `compactedIndex`. */
  readonly configuration: Configuration;
  /** Index of the entry that brought `configuration`, where known; `compactedIndex` else. */
  readonly configurationIndex?: LogIndex;
  readonly compactedIndex: LogIndex;
  readonly compactedTerm: Term;
  /** Contiguous from `compactedIndex` + 1. */
  readonly entries: readonly Entry<Body>[];
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
}

export interface RaftOptions<Body> {
  readonly self: MemberId;
  readonly limits: RaftLimits;
  readonly random: U32Source;
  readonly restored: Restored<Body>;
}

/** Reads that share one confirmation. */
export interface ReadBatch {
  readonly context: number;
  readonly index: LogIndex;
  readonly tokens: number[];
}

/** Contexts whose time of asking is remembered; an answer to an older one supports no lease. */
export const readContextsKept = 64;

/** Everything a replica knows. The rooms beside this file are the steps that change it. */
export class RaftState<Body> {
  readonly self: MemberId;
  readonly limits: RaftLimits;
  readonly random: U32Source;
  readonly log: RaftLog<Body>;
  readonly configurations: ConfigurationHistory;
  readonly outbox: Outbox<Body>;
  /** Time of the latest event that brought one. */
  nowMs = 0;
  #started = false;

  role: Role = 'follower';
  term: Term;
  vote: MemberId | undefined;
  leader: MemberId | undefined;
  commitIndex: LogIndex;
  appliedIndex: LogIndex;
  /** Own log is durable up to here. */
  persistedIndex: LogIndex;
  eligible = true;
  /** Members whose Corelet doesn't answer, as liveness tells. */
  readonly dead = new Set<MemberId>();

  // Campaigns (election.ts, campaign-timer.ts)
  readonly votes = new Map<MemberId, boolean>();
  campaignAtMs = Number.POSITIVE_INFINITY;
  /** A standing cause exists, but no time was known yet: the next event with a time sets `campaignAtMs`. */
  campaignUnscheduled = true;
  campaignAttempts = 0;
  /** When the newest pre-votes were asked for. */
  preVotesAskedMs = Number.NEGATIVE_INFINITY;
  abstainUntilMs = Number.NEGATIVE_INFINITY;
  /** There is a cause against the leader we know: it is no reason to refuse a pre-vote. */
  leaderDoubted = false;
  /** As above, and hearing from it again doesn't clear it: the view dropped it. */
  leaderDropped = false;
  /** Somebody else knows no leader: ours was asked to show itself until then. */
  leaderProofDueMs = Number.POSITIVE_INFINITY;
  /** A gateway complained: the leader was asked, and is doubted when it hasn't answered by then. */
  complaintDueMs = Number.POSITIVE_INFINITY;

  // Leases (leases.ts)
  /** Follower: helps nobody into the leadership before that. */
  promisedUntilMs = Number.NEGATIVE_INFINITY;
  readonly heldVotes = new Map<MemberId, VoteRequest>();
  /** Leader: no lease for the rest of this term. */
  leaseGivenUp = false;
  /** Leader: when it was read last, and when it last asked for what a lease rests on. */
  readMs = Number.NEGATIVE_INFINITY;
  leaseAskedMs = Number.NEGATIVE_INFINITY;

  // Leadership (replication.ts, reads.ts, transfer.ts)
  readonly followers = new Map<MemberId, Progress>();
  /** Index of the noop that began this leadership. */
  leadStartIndex: LogIndex = 0;
  /** Won by its own vote alone, which may not be durable yet: nothing is sent in this term before the noop is. */
  holdAppends = false;
  uncommittedBytes = 0;
  transferTo: MemberId | undefined;
  transferDeadlineMs = Number.POSITIVE_INFINITY;
  readsUnasked: number[] = [];
  readBatches: ReadBatch[] = [];
  readsPending = 0;
  readContext = 0;
  readResendAtMs = Number.POSITIVE_INFINITY;
  readHedgeAtMs = Number.POSITIVE_INFINITY;
  /** When the newest contexts were asked first: a ring. */
  readonly readAskedMs = new Float64Array(readContextsKept);

  constructor(options: RaftOptions<Body>) {
    const { restored } = options;
    this.self = options.self;
    this.limits = options.limits;
    this.random = options.random;
    this.term = restored.hardState.term;
    this.vote = restored.hardState.vote;
    this.log = new RaftLog(restored.compactedIndex, restored.compactedTerm);
    const placedAt = restored.configurationIndex ?? restored.compactedIndex;
    this.configurations = new ConfigurationHistory(placedAt, restored.configuration);
    for (const entry of restored.entries) {
      this.log.push(entry);
      if (entry.configuration !== undefined) this.configurations.push(entry.index, entry.configuration);
    }
    this.commitIndex = restored.commitIndex;
    this.appliedIndex = restored.appliedIndex;
    this.persistedIndex = this.log.lastIndex;
    assert(
      this.log.lastIndex === restored.compactedIndex || this.log.lastTerm <= this.term,
      'INV-3: entry beyond the term',
    );
    assert(restored.compactedIndex <= this.commitIndex, 'INV-3: compacted beyond the commit index');
    assert(this.commitIndex <= this.log.lastIndex, 'INV-3: commit index beyond the restored log');
    assert(this.appliedIndex <= this.commitIndex, 'INV-3: applied what was not committed');
    this.outbox = new Outbox(this.log.lastIndex, this.appliedIndex);
    // A copied state is durable before the term that came with it: this replica hasn't voted there.
    if (restored.compactedTerm > this.term) this.setTermAndVote(restored.compactedTerm, undefined);
  }

  get configuration(): Configuration {
    return this.configurations.active;
  }

  get selfIsVoter(): boolean {
    return isVoter(this.configuration, this.self);
  }

  /** An entry of the leader's own term is committed: it knows what is committed, may change the configuration and serve reads. */
  get ownTermCommitted(): boolean {
    return this.role === 'leader' && this.commitIndex >= this.leadStartIndex;
  }

  /** Durable up to where, as the leader knows. One function for all calls: it is on the path of every write. */
  readonly matchOf = (member: MemberId): LogIndex =>
    member === this.self ? this.persistedIndex : (this.followers.get(member)?.matchIndex ?? 0);

  /** Since when a member has supported this leader, counted from when it was asked. */
  readonly supportOf = (member: MemberId): number => {
    if (member === this.self) return Number.POSITIVE_INFINITY;
    const p = this.followers.get(member);
    return p === undefined || p.matchIndex < this.leadStartIndex ? Number.NEGATIVE_INFINITY : p.supportMs;
  };

  readonly isAlive = (member: MemberId): boolean => member === this.self || !this.dead.has(member);

  get hasLiveQuorum(): boolean {
    return hasQuorum(this.configuration, this.isAlive);
  }

  /** The time of an event. The first one after a start begins the wait for promises that a former life made. */
  at(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.#started) return;
    this.#started = true;
    promiseAfterRestart(this);
  }

  send(to: MemberId, message: RaftMessage<Body>, afterSync: boolean): void {
    this.outbox.send(to, message, afterSync);
  }

  /** The vote is durable before anything that depends on it leaves (INV-3: one vote per term). */
  setTermAndVote(term: Term, vote: MemberId | undefined): void {
    assert(term >= this.term, 'INV-3: term going back');
    assert(term > this.term || this.vote === undefined || this.vote === vote, 'INV-3: second vote in a term');
    if (term !== this.term) this.outbox.changed = true;
    this.term = term;
    this.vote = vote;
    this.outbox.hardStateChanged = true;
  }

  setLeader(leader: MemberId | undefined): void {
    if (leader === this.leader) return;
    this.leader = leader;
    this.leaderDoubted = false;
    this.leaderDropped = false;
    this.leaderProofDueMs = Number.POSITIVE_INFINITY;
    this.complaintDueMs = Number.POSITIVE_INFINITY;
    this.outbox.changed = true;
  }

  setRole(role: Role): void {
    if (role === this.role) return;
    this.role = role;
    this.outbox.changed = true;
  }

  /** Adds an entry; a configuration takes effect at once (Ongaro §4.1). */
  append(entry: Entry<Body>): void {
    this.log.push(entry);
    this.outbox.append(entry);
    if (entry.configuration === undefined) return;
    this.configurations.push(entry.index, entry.configuration);
    this.configurationChanged();
  }

  truncateFrom(index: LogIndex): void {
    assert(index > this.commitIndex, `INV-3: committed entry ${index} truncated, commit index ${this.commitIndex}`);
    assert(this.role !== 'leader', 'INV-3: a leader never overwrites its own log');
    this.log.truncateFrom(index);
    this.outbox.truncateFrom(index);
    this.persistedIndex = Math.min(this.persistedIndex, index - 1);
    if (this.configurations.truncateFrom(index)) this.configurationChanged();
  }

  configurationChanged(): void {
    this.outbox.changed = true;
    if (this.role === 'leader') this.updateFollowers();
  }

  /** One progress per member but itself: new ones are probed from the end of the log, gone ones forgotten. */
  updateFollowers(): void {
    const members = memberIds(this.configuration);
    for (const member of this.followers.keys()) {
      if (!members.includes(member)) this.followers.delete(member);
    }
    for (const member of members) {
      if (member === this.self || this.followers.has(member)) continue;
      const nextIndex = this.log.lastIndex + 1;
      this.followers.set(member, new Progress(member, nextIndex, this.isAlive(member), this.limits));
    }
  }

  advanceCommitTo(index: LogIndex): void {
    assert(index > this.commitIndex, 'INV-3: commit index going back');
    assert(index <= this.log.lastIndex, "INV-3: commit index beyond the log's end", index, this.log.lastIndex);
    if (this.role === 'leader') {
      for (let at = this.commitIndex + 1; at <= index; at++) this.uncommittedBytes -= this.log.entry(at)?.bytes ?? 0;
    }
    this.commitIndex = index;
  }
}
