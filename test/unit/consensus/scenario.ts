import assert from 'node:assert/strict';
import { defaultRaftLimits } from '../../../src/consensus/raft.ts';
import { commitDelayMs } from '../../../src/consensus/replication.ts';
import type { Configuration, MemberId, ProposeResult, RaftLimits, RaftMessage } from '../../../src/consensus/types.ts';
import { Checker } from './checker.ts';
import { Replica } from './replica.ts';

interface Queued {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly message: RaftMessage<string>;
}

const roundsMax = 1000;
/** A body of more than a few letters fills a message. */
/** Leases bring waits of their own: scenarios about them turn them on. */
const scenarioLimits: RaftLimits = { ...defaultRaftLimits, appendBytesMax: 16, leases: false };

function members(text: string | undefined): MemberId[] {
  return text === undefined || text === '' ? [] : text.split(',');
}

/**
 * Runs one scenario: a group whose messages wait until the text says `deliver`, and whose clock moves only with `advance`
 * and `run`. The words are explained in test/scenarios/consensus/README.md.
 */
export class Scenario {
  readonly replicas = new Map<MemberId, Replica>();
  readonly checker = new Checker(this.replicas);
  #queue: Queued[] = [];
  readonly #cut = new Set<string>();
  #nowMs = 0;
  #limits = scenarioLimits;
  /** How much faster than true time a replica's clock runs, in parts per million. */
  readonly #drifts = new Map<MemberId, number>();
  #refusal = '';

  readonly #words: Record<string, (words: string[]) => void> = {
    limits: (settings) => {
      const given = settings.map((setting) => setting.split('=') as [string, string]);
      const values = given.map(([name, value]) => [name, value === 'on' ? true : Number(value)] as const);
      this.#limits = { ...this.#limits, ...Object.fromEntries(values) };
    },
    clock: ([id, ppm]) => {
      this.#drifts.set(this.#replica(id).id, Number(ppm));
    },
    cluster: (ids) => this.#cluster(ids),
    campaign: ([id]) => this.#campaign(this.#replica(id)),
    elect: ([id]) => {
      this.#campaign(this.#replica(id));
      this.#deliver('');
      assert.equal(this.#replica(id).running.role, 'leader');
    },
    propose: ([id, ...bodies]) => {
      for (const body of bodies) this.#note(this.#replica(id).running.propose(body, body.length, this.#timeOf(id)));
      this.#replica(id).drain();
    },
    change: ([id, ...fields]) => this.#change(this.#replica(id), fields),
    deliver: ([link]) => this.#deliver(link ?? ''),
    drop: ([link]) => {
      this.#queue = this.#queue.filter((queued) => link !== undefined && !this.#isOn(queued, link));
    },
    cut: (links) => {
      for (const link of links) this.#cut.add(link);
    },
    isolate: (ids) => {
      for (const id of ids)
        for (const other of this.replicas.keys()) this.#cut.add(`${id}>${other}`).add(`${other}>${id}`);
    },
    heal: () => this.#cut.clear(),
    dead: ([id, ...others]) => this.#alive(this.#replica(id), others, false),
    alive: ([id, ...others]) => this.#alive(this.#replica(id), others, true),
    reset: ([id, other]) => {
      this.#replica(id).running.reset(other as MemberId, this.#timeOf(id));
      this.#replica(id).drain();
    },
    cause: ([id, cause]) => this.#replica(id).running.cause(cause as 'lapse', this.#timeOf(id)),
    hold: ([id]) => {
      this.#replica(id).autoSync = false;
    },
    sync: ([id]) => {
      this.#replica(id).sync();
      this.#replica(id).autoSync = true;
      this.#replica(id).drain();
    },
    crash: ([id]) => {
      this.#replica(id).crash();
      this.#replica(id).autoSync = true;
      this.#queue = this.#queue.filter((queued) => queued.to !== id);
    },
    restart: ([id]) => this.#replica(id).start(),
    compact: ([id]) => this.#replica(id).compact(),
    copy: ([id, member, use]) => this.#copy(this.#replica(id), member as MemberId, use !== 'useless'),
    read: ([id, token]) => this.#read(this.#replica(id), Number(token)),
    renew: ([id]) => {
      this.#replica(id).running.renewLease(this.#timeOf(id));
      this.#replica(id).drain();
    },
    transfer: ([id, to]) => {
      assert.ok(this.#replica(id).running.transfer(to as MemberId, this.#timeOf(id)));
      this.#replica(id).drain();
    },
    abdicate: ([id]) => {
      this.#replica(id).running.abdicate(this.#timeOf(id));
      this.#replica(id).drain();
    },
    forget: ([id, other]) => {
      this.#replica(id).running.forget(other as MemberId, this.#timeOf(id));
      this.#replica(id).drain();
    },
    ineligible: ([id]) => {
      this.#replica(id).running.eligible = false;
    },
    advance: ([ms]) => this.#advance(Number(ms), false),
    run: ([ms]) => this.#advance(Number(ms), true),
    settle: () => this.#advance(2 * commitDelayMs, true),
    expect: (words) => this.#expect(words),
  };

  /** @throws with file name, line number and the state of the group when an expectation fails. */
  run(name: string, text: string): void {
    for (const [index, line] of text.split('\n').entries()) {
      const words = line.replace(/#.*/, '').trim().split(/\s+/);
      const [word, ...rest] = words;
      if (word === undefined || word === '') continue;
      const action = this.#words[word];
      try {
        assert.ok(action !== undefined, `no such word: ${word}`);
        action(rest);
      } catch (error) {
        const reason = (error as Error).message;
        throw new Error(`${name}:${index + 1}: ${line.trim()}\n${reason}\n${this.#describe()}`, { cause: error });
      }
    }
  }

  #replica(id: MemberId | undefined): Replica {
    const replica = this.replicas.get(id ?? '');
    assert.ok(replica !== undefined, `no such replica: ${id}`);
    return replica;
  }

  /** `cluster a b c outside d`: voters, then replicas that are in no configuration yet. */
  #cluster(ids: string[]): void {
    const border = ids.indexOf('outside');
    const voters = border < 0 ? ids : ids.slice(0, border);
    const all = ids.filter((id) => id !== 'outside');
    for (const id of all) {
      this.replicas.set(
        id,
        new Replica({
          id,
          configuration: { voters, votersOutgoing: [], learners: [] },
          limits: this.#limits,
          random: { u32: () => 0x8000_0000 },
          observer: this.checker,
          send: (from, to, message) => {
            if (!this.#cut.has(`${from}>${to}`)) this.#queue.push({ from, to, message });
          },
        }),
      );
    }
  }

  #timeOf(id: MemberId | undefined): number {
    return this.#nowMs * (1 + (this.#drifts.get(id ?? '') ?? 0) / 1_000_000);
  }

  #note(result: ProposeResult): void {
    this.#refusal = result.ok ? '' : result.code;
  }

  /** Its turn comes at once, before anybody else's. */
  #campaign(replica: Replica): void {
    const core = replica.running;
    const nowMs = this.#timeOf(replica.id);
    core.cause('view', nowMs);
    core.cause('no-leader', nowMs);
    if (core.deadlineMs !== Number.POSITIVE_INFINITY) core.tick(Math.max(core.deadlineMs, nowMs));
    replica.drain();
  }

  #change(replica: Replica, fields: string[]): void {
    const given = new Map(fields.map((field) => field.split('=') as [string, string]));
    const next: Configuration = {
      voters: members(given.get('voters')),
      votersOutgoing: members(given.get('outgoing')),
      learners: members(given.get('learners')),
    };
    this.#note(replica.running.proposeConfiguration(next, this.#timeOf(replica.id)));
    replica.drain();
  }

  #isOn(queued: Queued, link: string): boolean {
    const [from, to] = link.split('>');
    return (from === '' || from === queued.from) && (to === '' || to === undefined || to === queued.to);
  }

  /** Until nothing moves: all, or only `a>b`, `a>` or `>b`. */
  #deliver(link: string): void {
    for (let round = 0; round < roundsMax; round++) {
      const due = this.#queue.filter((queued) => link === '' || this.#isOn(queued, link));
      if (due.length === 0) return;
      this.#queue = this.#queue.filter((queued) => !due.includes(queued));
      for (const { from, to, message } of due) {
        const replica = this.#replica(to);
        replica.core?.receive(from, message, this.#timeOf(to));
        replica.drain();
      }
    }
    assert.fail('messages never end');
  }

  #advance(delayMs: number, deliver: boolean): void {
    for (let i = 0; i < delayMs; i++) {
      this.#nowMs += 1;
      for (const replica of this.replicas.values()) {
        const nowMs = this.#timeOf(replica.id);
        if (replica.core !== undefined && replica.core.deadlineMs <= nowMs) replica.core.tick(nowMs);
        replica.drain();
      }
      if (deliver) this.#deliver('');
    }
  }

  #alive(replica: Replica, others: string[], alive: boolean): void {
    for (const other of others) replica.running.setAlive(other, alive, this.#timeOf(replica.id));
    replica.drain();
  }

  #copy(leader: Replica, member: MemberId, useful: boolean): void {
    const snapshot = leader.snapshot();
    const installed = this.#replica(member).install(snapshot, this.#timeOf(member));
    if (!useful && !installed) return;
    // Where it should have been refused, what follows shows what is lost.
    assert.ok(installed, 'the copy was of no use');
    leader.running.copied(member, snapshot.index, this.#timeOf(leader.id));
    leader.drain();
  }

  #read(replica: Replica, token: number): void {
    this.checker.readAsked(token);
    const result = replica.running.readIndex(token, this.#timeOf(replica.id));
    if (!result.ok) this.checker.readRefused(replica, token);
    replica.drain();
  }

  #expect(words: string[]): void {
    const [subject, ...facts] = words;
    if (subject === 'read') {
      assert.equal(this.checker.readResults.get(Number(facts[0])), facts[1]);
      return;
    }
    if (subject === 'refused') {
      assert.equal(this.#refusal, facts[0]);
      return;
    }
    if (subject === 'copy') {
      assert.deepEqual(
        this.checker.copiesNeeded.splice(0).map(({ leader, member }) => `${leader}>${member}`),
        facts,
      );
      return;
    }
    if (subject === 'queued') {
      assert.equal(this.#queue.filter((queued) => this.#isOn(queued, facts[0] ?? '>')).length, Number(facts[1]));
      return;
    }
    for (const fact of facts) this.#expectFact(this.#replica(subject), fact);
  }

  #expectFact(replica: Replica, fact: string): void {
    const core = replica.running;
    const [name, wanted] = fact.split('=');
    switch (name) {
      case 'leader':
        assert.equal(wanted === undefined ? core.role : (core.leader ?? 'none'), wanted ?? 'leader');
        return;
      case 'term':
      case 'commit':
      case 'last':
        assert.equal({ term: core.term, commit: core.commitIndex, last: core.lastIndex }[name], Number(wanted), fact);
        return;
      case 'log':
        assert.equal(this.#log(replica), wanted);
        return;
      case 'applied':
        assert.equal(replica.bodies.join(','), wanted);
        return;
      case 'voters':
        assert.equal(core.configuration.voters.join(','), wanted);
        return;
      case 'outgoing':
        assert.equal(core.configuration.votersOutgoing.join(','), wanted);
        return;
      case 'learners':
        assert.equal(core.configuration.learners.join(','), wanted);
        return;
      case 'lease':
        this.#replica(replica.id).core?.tick(this.#timeOf(replica.id));
        assert.equal(core.leaseHolds ? 'yes' : 'no', wanted);
        return;
      case 'idle':
        assert.equal(core.deadlineMs, Number.POSITIVE_INFINITY, 'waits for time');
        return;
      case 'durable':
        assert.equal(replica.disk.base.index + replica.disk.entries.length, Number(wanted), fact);
        return;
      default:
        assert.equal(core.role, name);
    }
  }

  /** Terms of the entries that are held: `1.1.2`. */
  #log(replica: Replica): string {
    const core = replica.running;
    const terms: number[] = [];
    for (let index = core.firstIndex; index <= core.lastIndex; index++) terms.push(core.termAt(index) ?? 0);
    return terms.join('.');
  }

  #describe(): string {
    const replicas = [...this.replicas.values()].map((replica) => {
      const { id, core } = replica;
      if (core === undefined) return `${id} crashed`;
      const { voters, votersOutgoing, learners } = core.configuration;
      return (
        `${id} ${core.role} term ${core.term} leader ${core.leader ?? 'none'} log ${this.#log(replica)} commit ${core.commitIndex} ` +
        `voters ${voters.join()} outgoing ${votersOutgoing.join()} learners ${learners.join()} due ${core.deadlineMs}`
      );
    });
    const queued = this.#queue.map(({ from, to, message }) => `${from}>${to} ${JSON.stringify(message)}`);
    return [`at ${this.#nowMs} ms`, ...replicas, ...queued].join('\n');
  }
}
