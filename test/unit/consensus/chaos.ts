import { defaultRaftLimits } from '../../../src/consensus/raft.ts';
import { isJoint, isVoter, memberIds } from '../../../src/consensus/quorum.ts';
import type { Configuration, MemberId, RaftLimits, RaftMessage } from '../../../src/consensus/types.ts';
import { Checker } from './checker.ts';
import { Replica, type Snapshot } from './replica.ts';

/** Small limits, so that every bound is met within a few thousand steps. */
const chaosLimits: RaftLimits = {
  ...defaultRaftLimits,
  appendBytesMax: 50,
  inflightBytesMax: 200,
  inflightMessagesMax: 8,
  uncommittedEntriesMax: 64,
  uncommittedBytesMax: 2000,
  candidateStepMs: 5,
  campaignRetryMs: 20,
  campaignRetryMaxMs: 200,
  resendMs: 60,
  leaderProofMs: 30,
  readHedgeMs: 3,
  leaseMs: 25,
  clockDriftPpmMax: 20_000,
};

/** Clocks so bad and promises so long that a lease that is counted wrongly outlives the next election. */
const leaseLimits: RaftLimits = { ...chaosLimits, leases: true, leaseMs: 100, clockDriftPpmMax: 200_000 };

const names = ['a', 'b', 'c', 'd', 'e', 'f'];

interface Flying {
  readonly atMs: number;
  readonly from: MemberId;
  readonly to: MemberId;
  readonly message: RaftMessage<string> | undefined;
  /** A copied state, or the word that it was installed. */
  readonly copy?: Snapshot;
  readonly copiedIndex?: number;
}

/** xorshift32: the seed is the whole schedule. */
class Chance {
  #state: number;
  constructor(seed: number) {
    this.#state = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1;
    for (let i = 0; i < 8; i++) this.u32();
  }
  u32(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }
  below(count: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * count);
  }
  hit(perThousand: number): boolean {
    return this.below(1000) < perThousand;
  }
  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}

/** A whole group on virtual time: one seed, one schedule of loss, delay, duplication, crashes, partitions and changes. */
export class Chaos {
  readonly replicas = new Map<MemberId, Replica>();
  readonly checker = new Checker(this.replicas);
  readonly #chance: Chance;
  readonly #founding: Configuration = { voters: names.slice(0, 3), votersOutgoing: [], learners: [] };
  #flying: Flying[] = [];
  #cut = new Set<string>();
  nowMs = 0;
  faults = true;
  working = true;
  /** Liveness notices late: stale leaders and half-deaf members live longer. */
  readonly #sleepy: boolean;
  /** Leaders are cut off while they don't notice, and asked for reads all the time: a stale lease would show. */
  readonly #hunting: boolean;
  /** The leader that was cut off, until when. */
  #deposed: { readonly id: MemberId; readonly untilMs: number } | undefined;
  /** How much faster than true time each clock runs, in parts per million: at its bound, so that a lease is tight. */
  readonly #drifts = new Map<MemberId, number>();
  #token = 0;
  #proposed = 0;

  constructor(seed: number) {
    this.#chance = new Chance(seed);
    this.#sleepy = seed % 2 === 1;
    const configuration = this.#founding;
    this.#hunting = seed % 3 === 1;
    const limits = this.#hunting ? leaseLimits : { ...chaosLimits, leases: seed % 3 === 2 };
    for (const id of names) {
      this.replicas.set(
        id,
        new Replica({
          id,
          configuration,
          limits,
          random: this.#chance,
          observer: this.checker,
          send: (from, to, message) => this.#send({ from, to, message, atMs: 0 }),
        }),
      );
      (this.replicas.get(id) as Replica).autoSync = false;
      this.#drifts.set(id, this.#chance.of([-1, 0, 1]) * limits.clockDriftPpmMax);
    }
  }

  #timeOf(id: MemberId): number {
    return this.nowMs * (1 + (this.#drifts.get(id) ?? 0) / 1_000_000);
  }

  #send(flying: Flying): void {
    const { from, to } = flying;
    if (this.#cut.has(`${from}>${to}`)) return;
    if (!this.faults) {
      this.#flying.push({ ...flying, atMs: this.nowMs + 1 });
      return;
    }
    if (this.#chance.hit(20)) return; // lost
    const copies = this.#chance.hit(20) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const delayMs = this.#chance.hit(50) ? this.#chance.below(100) : 1 + this.#chance.below(4);
      this.#flying.push({ ...flying, atMs: this.nowMs + delayMs });
    }
  }

  leader(): Replica | undefined {
    let best: Replica | undefined;
    for (const replica of this.replicas.values()) {
      if (replica.core?.role !== 'leader') continue;
      if (best === undefined || replica.core.term > best.running.term) best = replica;
    }
    return best;
  }

  step(): void {
    this.nowMs += 1;
    if (this.faults) this.#fault();
    if (this.#hunting) this.#hunt();
    if (this.working) this.#work();
    this.#deliver();
    for (const replica of this.replicas.values()) {
      const { core } = replica;
      if (core === undefined) continue;
      if (core.deadlineMs <= this.#timeOf(replica.id)) core.tick(this.#timeOf(replica.id));
      replica.drain();
      if (!this.faults || this.#chance.hit(400)) replica.sync(this.faults ? 1 + this.#chance.below(3) : undefined);
      replica.drain();
    }
    this.#copies();
    if (this.nowMs % 25 === 0) this.#liveness();
  }

  #deliver(): void {
    const due = this.#flying.filter((flying) => flying.atMs <= this.nowMs);
    if (due.length === 0) return;
    this.#flying = this.#flying.filter((flying) => flying.atMs > this.nowMs);
    for (const { from, to, message, copy, copiedIndex } of due) {
      const replica = this.replicas.get(to) as Replica;
      const { core } = replica;
      if (core === undefined) continue;
      if (message !== undefined) core.receive(from, message, this.#timeOf(to));
      if (copy !== undefined && replica.install(copy, this.#timeOf(to))) {
        this.#send({ from: to, to: from, message: undefined, copiedIndex: copy.index, atMs: 0 });
      } else if (copy !== undefined) {
        core.reset(from, this.#timeOf(to));
        this.replicas.get(from)?.core?.reset(to, this.#timeOf(from));
      }
      if (copiedIndex !== undefined) core.copied(from, copiedIndex, this.#timeOf(to));
    }
  }

  #copies(): void {
    for (const { leader, member } of this.checker.copiesNeeded.splice(0)) {
      const replica = this.replicas.get(leader) as Replica;
      if (replica.core?.role !== 'leader') continue;
      this.#send({ from: leader, to: member, message: undefined, copy: replica.snapshot(), atMs: 0 });
    }
    // A copy that was lost is begun again when the owner notices: here, now and then.
    if (this.nowMs % 150 !== 0) return;
    const core = this.leader()?.core;
    if (core === undefined) return;
    for (const progress of core.progress().values()) {
      if (progress.state === 'copying') core.reset(progress.member, this.#timeOf(this.leader()?.id ?? 'a'));
    }
  }

  #liveness(): void {
    for (const a of names) {
      for (const b of names) {
        if (a === b || a === this.#deposed?.id || (this.#sleepy && this.faults && !this.#chance.hit(100))) continue;
        const up =
          this.replicas.get(b)?.core !== undefined && !this.#cut.has(`${a}>${b}`) && !this.#cut.has(`${b}>${a}`);
        this.replicas.get(a)?.core?.setAlive(b, up, this.#timeOf(a));
      }
    }
  }

  #work(): void {
    const chance = this.#chance;
    const id = chance.hit(700) ? (this.leader()?.id ?? 'a') : chance.of(names);
    const core = this.replicas.get(id)?.core;
    if (core === undefined) return;
    const nowMs = this.#timeOf(id);
    if (chance.hit(300)) {
      this.#proposed += 1;
      core.propose(`op${this.#proposed}`, 5 + chance.below(30), nowMs);
    }
    if (chance.hit(100)) this.read(id);
    core.renewLease(nowMs);
    if (!this.faults) return;
    if (chance.hit(3)) core.transfer(chance.of(names), nowMs);
    if (chance.hit(2)) core.abdicate(nowMs);
    if (chance.hit(3)) core.cause(chance.of(['complaint', 'view', 'reset'] as const), nowMs);
    if (chance.hit(30)) this.#reconfigure(id);
    if (chance.hit(15)) this.replicas.get(id)?.compact();
  }

  read(id: MemberId): number | undefined {
    this.#token += 1;
    this.checker.readAsked(this.#token);
    return this.replicas.get(id)?.core?.readIndex(this.#token, this.#timeOf(id)).ok ? this.#token : undefined;
  }

  propose(body: string): boolean {
    return this.leader()?.core?.propose(body, 10, this.#timeOf(this.leader()?.id ?? 'a')).ok ?? false;
  }

  #reconfigure(id: MemberId): void {
    const core = this.replicas.get(id)?.core;
    if (core === undefined || core.role !== 'leader' || core.configurationPending || !core.ownTermCommitted) return;
    const { voters, learners } = core.configuration;
    const learner = learners[0];
    const outside = names.filter((name) => !memberIds(core.configuration).includes(name));
    let next: Configuration;
    if (learner === undefined && outside.length > 0) {
      next = { voters, votersOutgoing: [], learners: [this.#chance.of(outside)] };
    } else if (learner !== undefined && this.#chance.hit(700)) {
      const goes =
        voters.length >= 5 || (voters.length >= 3 && this.#chance.hit(600)) ? this.#chance.of(voters) : undefined;
      next = { voters: [...voters.filter((v) => v !== goes), learner], votersOutgoing: voters, learners: [] };
    } else if (voters.length > 3) {
      const goes = this.#chance.of(voters);
      next = { voters: voters.filter((v) => v !== goes), votersOutgoing: voters, learners };
    } else {
      next = { voters, votersOutgoing: [], learners: [] };
    }
    core.proposeConfiguration(next, this.#timeOf(id));
  }

  #fault(): void {
    const chance = this.#chance;
    if (chance.hit(6)) {
      const replica = this.replicas.get(chance.of(names)) as Replica;
      if (replica.core !== undefined) {
        replica.crash();
        if (chance.hit(800)) this.#resetTo(replica.id);
      }
    }
    if (chance.hit(15)) {
      const replica = this.replicas.get(chance.of(names)) as Replica;
      if (replica.core === undefined) replica.start();
    }
    if (chance.hit(4)) {
      const from = chance.of(names);
      for (const to of names) {
        if (chance.hit(500)) this.#cut.add(`${from}>${to}`);
        if (chance.hit(500)) this.#cut.add(`${to}>${from}`);
      }
    }
    if (chance.hit(5)) this.#cut.clear();
  }

  #hunt(): void {
    if (this.working) for (const { id, core } of this.replicas.values()) if (core?.role === 'leader') this.read(id);
    const deposed = this.#deposed;
    if (deposed !== undefined && (this.nowMs >= deposed.untilMs || !this.faults)) {
      this.#deposed = undefined;
      this.#cut.clear();
    }
    const leader = this.leader();
    if (this.#deposed !== undefined || !this.faults || leader === undefined || !this.#chance.hit(10)) return;
    if (this.#chance.hit(300)) leader.running.transfer(this.#chance.of(names), this.#timeOf(leader.id));
    this.#deposed = { id: leader.id, untilMs: this.nowMs + 200 };
    const delivered = this.#flying.filter(({ from, to }) => from === leader.id || to === leader.id);
    for (const flying of delivered) this.#flying[this.#flying.indexOf(flying)] = { ...flying, atMs: this.nowMs };
    this.#deliver();
    for (const replica of this.replicas.values()) replica.drain();
    for (const other of this.replicas.values()) {
      if (other === leader) continue;
      this.#cut.add(`${leader.id}>${other.id}`).add(`${other.id}>${leader.id}`);
      if (this.#chance.hit(300)) {
        other.crash();
        other.start();
      }
      other.core?.setAlive(leader.id, false, this.#timeOf(other.id));
    }
  }

  #resetTo(id: MemberId): void {
    for (const other of this.replicas.values()) if (other.id !== id) other.core?.reset(id, this.#timeOf(other.id));
  }

  /** No new faults from here on; all are up and connected. */
  calm(): void {
    this.faults = false;
    this.#cut.clear();
    for (const replica of this.replicas.values()) if (replica.core === undefined) replica.start();
    for (const id of names) this.#resetTo(id);
  }

  /** The members of the leader's configuration hold the same, completely, and nothing is half done. */
  converged(): boolean {
    const leader = this.leader();
    if (leader === undefined || !leader.running.ownTermCommitted || isJoint(leader.running.configuration)) return false;
    const { commitIndex, lastIndex, configuration } = leader.running;
    if (!isVoter(configuration, leader.id) || commitIndex !== lastIndex) return false;
    return memberIds(configuration).every((member) => {
      const core = this.replicas.get(member)?.core;
      return core?.lastIndex === lastIndex && core.commitIndex === lastIndex && core.leader === leader.id;
    });
  }

  /** Nobody in the leader's configuration waits for time: an idle group costs nothing. */
  idle(): boolean {
    const members = memberIds(this.leader()?.running.configuration ?? this.#founding);
    return members.every((member) => this.replicas.get(member)?.core?.deadlineMs === Number.POSITIVE_INFINITY);
  }

  describe(): string {
    const lines = [...this.replicas.values()].map(({ id, core, pending }) => {
      if (core === undefined) return `${id} crashed`;
      const { role, term, leader, firstIndex, lastIndex, commitIndex, deadlineMs } = core;
      const { voters, votersOutgoing, learners } = core.configuration;
      const progress = [...core.progress().values()]
        .map(
          (p) => `${p.member}:${p.state}${p.alive ? '' : '!'} m${p.matchIndex} n${p.nextIndex} i${p.inflightMessages}`,
        )
        .join(', ');
      return (
        `${id} ${role} t${term} leader ${leader} log ${firstIndex}..${lastIndex} commit ${commitIndex} due ${deadlineMs} ` +
        `voters ${voters.join()} out ${votersOutgoing.join()} learners ${learners.join()} pending ${pending.length} ${progress}`
      );
    });
    return `at ${this.nowMs}\n${lines.join('\n')}`;
  }
}
