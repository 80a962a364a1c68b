import { readFileSync } from 'node:fs';
import { RemoteProtocolError } from '../../src/base/errors.ts';
import { defaultRaftLimits } from '../../src/consensus/raft.ts';
import { isJoint, isVoter, memberIds } from '../../src/consensus/quorum.ts';
import type { Configuration, MemberId, RaftLimits, RaftMessage } from '../../src/consensus/types.ts';
import { Checker } from '../unit/consensus/checker.ts';
import { Replica, type Snapshot } from '../unit/consensus/replica.ts';
import { Scenario } from '../unit/consensus/scenario.ts';
import { Dice, type Weather, weathers } from './mutations-weather.ts';

/** Everything small, so that every bound is met, and messages carry an entry or two. */
const limits: RaftLimits = {
  ...defaultRaftLimits,
  appendBytesMax: 20,
  inflightBytesMax: 100,
  inflightMessagesMax: 6,
  uncommittedEntriesMax: 40,
  uncommittedBytesMax: 1000,
  candidateStepMs: 2,
  campaignRetryMs: 8,
  campaignRetryMaxMs: 60,
  resendMs: 40,
};

const everybody = ['a', 'b', 'c', 'd', 'e'];

const stormSteps = 1200;
const calmStepsMax = 4000;

interface Flying {
  readonly atMs: number;
  readonly from: MemberId;
  readonly to: MemberId;
  readonly message: RaftMessage<string> | undefined;
  readonly copy?: Snapshot;
  readonly copiedIndex?: number;
}

/**
 * As test/unit/consensus/chaos.ts, but far wilder: leaders fall all the time, flashes are slow, messages come very late,
 * and whoever believes to lead is asked. What goes wrong once in thousands of orderly schedules goes wrong here.
 */
class Storm {
  readonly replicas = new Map<MemberId, Replica>();
  readonly checker = new Checker(this.replicas);
  readonly #weather: Weather;
  readonly #names: readonly MemberId[];
  readonly #dice: Dice;
  readonly #slow = new Set<MemberId>();
  readonly #cut = new Set<string>();
  readonly #doomed = new Set<MemberId>();
  #flying: Flying[] = [];
  #nowMs = 0;
  #calm = false;
  #token = 0;
  #proposed = 0;

  constructor(weather: Weather, seed: number) {
    this.#weather = weather;
    this.#dice = new Dice(seed);
    const names = everybody.slice(0, weather.members);
    this.#names = names;
    const configuration: Configuration = {
      voters: names.slice(0, seed % 3 === 0 ? 5 : 3),
      votersOutgoing: [],
      learners: [],
    };
    for (const id of names) {
      const send = (from: MemberId, to: MemberId, message: RaftMessage<string>) =>
        this.#send({ from, to, message, atMs: 0 });
      const replica = new Replica({ id, configuration, limits, random: this.#dice, observer: this.checker, send });
      replica.autoSync = false;
      this.replicas.set(id, replica);
    }
  }

  #replica(id: MemberId): Replica {
    return this.replicas.get(id) as Replica;
  }

  #send(flying: Flying): void {
    const { from, to, message } = flying;
    const { doomed, doomedVoters, doomedLeaders } = this.#weather;
    const late = message?.type === 'readProbeReply' ? this.#weather.lateReplies : this.#weather.late;
    if (this.#calm) {
      this.#flying.push({ ...flying, atMs: this.#nowMs + 1 });
      return;
    }
    if (this.#cut.has(`${from}>${to}`) || this.#dice.hit(30)) return;
    // Whoever has just spoken may be gone before it knows what it said.
    const voted = message?.type === 'voteReply' && message.granted && !message.pre;
    const isDoomed = voted ? doomedVoters : message?.type === 'append' ? doomedLeaders : doomed;
    if (this.#dice.hit(isDoomed)) this.#doomed.add(from);
    for (let copies = this.#dice.hit(30) ? 2 : 1; copies > 0; copies--) {
      const delayMs = this.#dice.hit(late) ? this.#dice.below(150) : 1 + this.#dice.below(3);
      this.#flying.push({ ...flying, atMs: this.#nowMs + delayMs });
    }
  }

  step(): void {
    this.#nowMs += 1;
    if (!this.#calm) {
      this.#trouble();
      this.#work();
    }
    this.#deliver();
    for (const replica of this.replicas.values()) {
      const { core } = replica;
      if (core === undefined) continue;
      if (core.deadlineMs <= this.#nowMs) core.tick(this.#nowMs);
      replica.drain();
      if (this.#calm) replica.sync();
      else if (this.#dice.hit(this.#slow.has(replica.id) ? 40 : 700)) replica.sync(1 + this.#dice.below(3));
      replica.drain();
    }
    for (const id of this.#doomed) this.#crash(id);
    this.#doomed.clear();
    this.#copies();
    if (this.#calm || this.#nowMs % 10 === 0) this.#liveness();
  }

  #deliver(): void {
    const due = this.#flying.filter(({ atMs }) => atMs <= this.#nowMs);
    if (due.length === 0) return;
    this.#flying = this.#flying.filter(({ atMs }) => atMs > this.#nowMs);
    for (const { from, to, message, copy, copiedIndex } of due) {
      const replica = this.#replica(to);
      const { core } = replica;
      if (core === undefined) continue;
      if (message !== undefined) receive(core, from, message, this.#nowMs);
      if (copy !== undefined && replica.install(copy, this.#nowMs)) {
        this.#send({ from: to, to: from, message: undefined, copiedIndex: copy.index, atMs: 0 });
      } else if (copy !== undefined) {
        core.reset(from, this.#nowMs);
        this.#replica(from).core?.reset(to, this.#nowMs);
      }
      if (copiedIndex !== undefined) core.copied(from, copiedIndex, this.#nowMs);
    }
  }

  #copies(): void {
    for (const { leader, member } of this.checker.copiesNeeded.splice(0)) {
      const replica = this.#replica(leader);
      if (replica.core?.role !== 'leader') continue;
      this.#send({ from: leader, to: member, message: undefined, copy: replica.snapshot(), atMs: 0 });
    }
    if (this.#nowMs % 60 !== 0) return;
    for (const core of this.#leaders()) {
      for (const { state, member } of core.progress().values()) {
        if (state === 'copying') core.reset(member, this.#nowMs);
      }
    }
  }

  #liveness(): void {
    for (const a of this.#names) {
      for (const b of this.#names) {
        if (a === b || (!this.#calm && !this.#dice.hit(this.#weather.noticed))) continue;
        const up = this.#replica(b).core !== undefined && !this.#cut.has(`${a}>${b}`) && !this.#cut.has(`${b}>${a}`);
        this.#replica(a).core?.setAlive(b, up, this.#nowMs);
      }
    }
  }

  #leaders() {
    return [...this.replicas.values()].flatMap(({ core }) => (core?.role === 'leader' ? [core] : []));
  }

  /** All who believe to lead are asked: also the one that was overtaken. */
  #work(): void {
    const dice = this.#dice;
    for (const { id, core } of this.replicas.values()) {
      if (core?.role !== 'leader') continue;
      if (dice.hit(250)) core.propose(`op${++this.#proposed}`, 5 + dice.below(15), this.#nowMs);
      if (dice.hit(this.#weather.reads)) {
        this.checker.readAsked(++this.#token);
        core.readIndex(this.#token, this.#nowMs);
      }
      if (dice.hit(6)) core.transfer(dice.of(this.#names), this.#nowMs);
      if (dice.hit(4)) core.abdicate(this.#nowMs);
      if (dice.hit(30)) this.#replica(id).compact();
      if (dice.hit(this.#weather.changes)) this.#reconfigure(id);
    }
  }

  #reconfigure(id: MemberId): void {
    const core = this.#replica(id).running;
    if (core.configurationPending || !core.ownTermCommitted) return;
    const { voters, learners } = core.configuration;
    const dice = this.#dice;
    const learner = learners[0];
    const outside = this.#names.filter((name) => !memberIds(core.configuration).includes(name));
    let next: Configuration = { voters, votersOutgoing: [], learners: [] };
    if (learner === undefined && outside.length > 0) {
      next = { voters, votersOutgoing: [], learners: [dice.of(outside)] };
    } else if (learner !== undefined && dice.hit(700)) {
      const goes = voters.length >= 3 ? dice.of(voters) : undefined;
      next = { voters: [...voters.filter((voter) => voter !== goes), learner], votersOutgoing: voters, learners: [] };
    } else if (voters.length > 3) {
      const goes = dice.of(voters);
      next = { voters: voters.filter((voter) => voter !== goes), votersOutgoing: voters, learners };
    }
    core.proposeConfiguration(next, this.#nowMs);
  }

  #crash(id: MemberId): void {
    const replica = this.#replica(id);
    if (replica.core === undefined) return;
    replica.crash();
    if (this.#dice.hit(600)) for (const other of this.replicas.values()) other.core?.reset(id, this.#nowMs);
    // Some are back at once, with whatever their disk had.
    if (this.#dice.hit(600)) replica.start();
  }

  #trouble(): void {
    const dice = this.#dice;
    if (dice.hit(6)) this.#crash(dice.of(this.#names));
    for (const replica of this.replicas.values()) if (replica.core === undefined && dice.hit(40)) replica.start();
    if (dice.hit(this.#weather.slow)) {
      const id = dice.of(this.#names);
      if (!this.#slow.delete(id)) this.#slow.add(id);
    }
    if (dice.hit(12)) {
      const from = dice.of(this.#names);
      for (const to of this.#names) {
        if (dice.hit(500)) this.#cut.add(`${from}>${to}`);
        if (dice.hit(500)) this.#cut.add(`${to}>${from}`);
      }
    }
    if (dice.hit(this.#weather.cutLeaders)) {
      for (const { leader } of this.#leaders()) {
        for (const other of this.#names) this.#cut.add(`${leader}>${other}`).add(`${other}>${leader}`);
      }
    }
    if (dice.hit(15)) this.#cut.clear();
    if (dice.hit(this.#weather.causes)) {
      const cause = dice.of(['complaint', 'view', 'reset', 'lapse'] as const);
      for (const { core } of this.replicas.values()) if (dice.hit(400)) core?.cause(cause, this.#nowMs);
    }
  }

  calm(): void {
    this.#calm = true;
    this.#cut.clear();
    // Every connection is a new one: what the old ones carried is lost, and never comes after the word of it.
    this.#flying = [];
    for (const replica of this.replicas.values()) if (replica.core === undefined) replica.start();
    for (const id of this.#names) {
      for (const other of this.replicas.values()) if (other.id !== id) other.core?.reset(id, this.#nowMs);
    }
  }

  #settled(): boolean {
    const leader = this.#leaders().toSorted((a, b) => b.term - a.term)[0];
    if (leader === undefined || !leader.ownTermCommitted || isJoint(leader.configuration)) return false;
    const { commitIndex, lastIndex, configuration, leader: self } = leader;
    if (self === undefined || !isVoter(configuration, self) || commitIndex !== lastIndex) return false;
    return memberIds(configuration).every((member) => {
      const core = this.#replica(member).core;
      return core?.lastIndex === lastIndex && core.commitIndex === lastIndex && core.leader === self;
    });
  }

  /** INV-9 and INV-6, once nothing disturbs the group any more. */
  whyUnsettled(): string | undefined {
    for (let steps = 0; !this.#settled(); steps++) {
      if (steps === calmStepsMax) return 'INV-9: the group does not come to rest';
      this.step();
    }
    const leader = [...this.replicas.values()].find(({ core }) => core?.role === 'leader');
    if (leader === undefined) return 'INV-9: no leader';
    const wanted = leader.bodies.join();
    for (const member of memberIds(leader.running.configuration)) {
      if (this.#replica(member).bodies.join() !== wanted) return `INV-6: ${member} differs from ${leader.id}`;
    }
    return undefined;
  }
}

/** A message that makes no sense is ignored, as src/corelet does. */
function receive(core: Replica['running'], from: MemberId, message: RaftMessage<string>, nowMs: number): void {
  try {
    core.receive(from, message, nowMs);
  } catch (error) {
    if (!(error instanceof RemoteProtocolError)) throw error;
  }
}

function whyBroken(storm: Storm): string | undefined {
  try {
    for (let i = 0; i < stormSteps; i++) storm.step();
    storm.calm();
    return storm.whyUnsettled();
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
}

interface Look {
  readonly violation: { readonly invariant: string; readonly summary: string } | undefined;
  readonly worked: number;
}

/** One storm per seed, for src/sim/mutations. */
export function chaosLook(weatherName: string): (seed: number) => Promise<Look> {
  const weather = weathers[weatherName];
  if (weather === undefined) throw new Error(`no such weather: ${weatherName}`);
  return (seed) => {
    const storm = new Storm(weather, seed);
    const summary = whyBroken(storm)?.split('\n', 1)[0];
    const invariant = /INV-\d+/.exec(summary ?? '')?.[0] ?? 'ASSERT';
    const worked = storm.checker.committed.length - 1 + storm.checker.elections;
    return Promise.resolve({ violation: summary === undefined ? undefined : { invariant, summary }, worked });
  };
}

/** One story of test/scenarios/consensus. `STORY`: it went otherwise than it says. */
export function coreStoryLook(name: string): () => Promise<Look> {
  const text = readFileSync(new URL(`../scenarios/consensus/${name}.txt`, import.meta.url), 'utf8');
  return () => {
    let summary: string | undefined;
    try {
      new Scenario().run(`${name}.txt`, text);
    } catch (error) {
      summary = (error as Error).message.split('\n', 2).join(' ');
    }
    const invariant = /INV-\d+/.exec(summary ?? '')?.[0] ?? 'STORY';
    return Promise.resolve({ violation: summary === undefined ? undefined : { invariant, summary }, worked: 1 });
  };
}
