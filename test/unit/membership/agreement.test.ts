import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreletId } from '../../../src/base/ids.ts';
import { Agreement, type AgreementMessage } from '../../../src/membership/agreement.ts';
import { defaultLimits } from '../../../src/membership/types.ts';
import { viewOf } from '../../../src/ring/view.ts';
import type { AcceptedValue, Ballot, MembershipMessage } from '../../../src/wire/membership/types.ts';
import { memberOf } from './network.ts';
import { Seeded } from './seeded.ts';

interface Durable {
  readonly promised: Ballot | undefined;
  readonly accepted: AcceptedValue | undefined;
}
interface InFlight {
  readonly from: CoreletId;
  readonly to: CoreletId;
  readonly message: AgreementMessage;
}

/** Acceptors and proposers of one instance in which everybody always wants something else. */
class Instance {
  readonly #random: Seeded;
  readonly #view;
  readonly #nodes = new Map<CoreletId, Node>();
  readonly #flying: InFlight[] = [];
  readonly decided = new Set<number>();
  /** Decided by votes under the fast ballot. */
  fastDecisions = 0;
  #values = 0;
  #nowMs = 0;

  constructor(random: Seeded, count: number) {
    this.#random = random;
    this.#view = viewOf(
      1,
      Array.from({ length: count }, (_, slot) => memberOf(slot)),
    );
    for (const { id } of this.#view.members) {
      const node = new Node(this.#random, id, this.#flying, (value, ballot) => {
        this.decided.add(value);
        if (ballot.round === 0) this.fastDecisions++;
      });
      node.restart(this.#view);
      this.#nodes.set(id, node);
    }
  }

  /** One thing happens, chosen at random: time, a message, a sync, a proposal, rarely a crash. */
  step(crashShare: number, syncShare: number, proposeShare = 0.05): void {
    const random = this.#random;
    const node = random.pick([...this.#nodes.values()]);
    const dice = random.fraction();
    if (dice < crashShare) {
      node.restart(this.#view);
    } else if (dice < 0.2 - proposeShare) {
      this.#nowMs += random.below(200);
      node.agreement.tick(this.#nowMs);
    } else if (dice < 0.2) {
      this.#propose(node);
    } else if (dice < 0.2 + syncShare) {
      node.sync();
    } else if (this.#flying.length > 0) {
      const at = random.below(this.#flying.length);
      const { from, to, message } = this.#flying[at] as InFlight;
      const fate = random.fraction(); // lost, delivered and to come again, or delivered
      if (fate < 0.95) this.#flying.splice(at, 1);
      if (fate > 0.1) this.#nodes.get(to)?.receive(from, message, this.#nowMs);
    }
  }

  #propose(node: Node): void {
    if (node.agreement.proposing) return;
    if (this.#random.below(40) > 0 && node.agreement.mayVote(this.#view.members.length)) {
      // Mostly they see the same cut, not always.
      const sparesWanted = this.#random.below(8) === 0 ? 1001 : 1000;
      node.agreement.vote({ view: { ...this.#view, number: 2 }, removals: [], sparesWanted }, this.#nowMs);
      return;
    }
    this.#values++;
    const view = { ...this.#view, number: 2 };
    node.agreement.propose({ view, removals: [], sparesWanted: this.#values }, this.#nowMs);
  }
}

class Node {
  readonly #random: Seeded;
  readonly #id: CoreletId;
  readonly #flying: InFlight[];
  readonly #decided: (value: number, ballot: Ballot) => void;
  #agreement: Agreement | undefined;
  #disk: Durable = { promised: undefined, accepted: undefined };
  #unsynced: Durable | undefined;
  #held: InFlight[] = [];
  /** Counted with our own vote before that was durable: told to nobody until it is. */
  #heldDecision: (() => void) | undefined;

  constructor(random: Seeded, id: CoreletId, flying: InFlight[], decided: (value: number, ballot: Ballot) => void) {
    this.#random = random;
    this.#id = id;
    this.#flying = flying;
    this.#decided = decided;
  }

  get agreement(): Agreement {
    assert.ok(this.#agreement !== undefined);
    return this.#agreement;
  }

  restart(view: ReturnType<typeof viewOf>): void {
    this.#unsynced = undefined;
    this.#held = [];
    this.#heldDecision = undefined;
    const agreement = new Agreement(this.#id, defaultLimits, this.#random, {
      persist: () => {
        this.#unsynced = { promised: agreement.promised, accepted: agreement.accepted };
      },
      send: (to, message, afterSync) => {
        const one = { from: this.#id, to, message };
        if (afterSync && this.#unsynced !== undefined) this.#held.push(one);
        else this.#flying.push(one);
      },
      decided: (ballot, decision) => {
        const told = () => this.#decided(decision.sparesWanted, ballot);
        if (this.#unsynced !== undefined && ballot.round === 0) this.#heldDecision = told;
        else told();
      },
    });
    agreement.begin(view, this.#disk.promised, this.#disk.accepted);
    this.#agreement = agreement;
  }

  sync(): void {
    if (this.#unsynced !== undefined) this.#disk = this.#unsynced;
    this.#unsynced = undefined;
    this.#flying.push(...this.#held);
    this.#held = [];
    this.#heldDecision?.();
    this.#heldDecision = undefined;
  }

  receive(from: CoreletId, message: AgreementMessage, nowMs: number): void {
    this.agreement.receive(from, message, nowMs);
  }
}

test('one view number, one view: whatever is lost, doubled, reordered or crashed', () => {
  const runs = 6000;
  let decidedRuns = 0;
  for (let seed = 0; seed < runs; seed++) {
    const instance = new Instance(new Seeded(seed), 2 + (seed % 4));
    const crashShare = [0.01, 0.03, 0.06, 0][(seed >> 2) % 4] as number;
    const syncShare = [0.3, 0.15, 0.08][(seed >> 4) % 3] as number;
    for (let i = 0; i < 1500; i++) instance.step(crashShare, syncShare);
    assert.ok(instance.decided.size <= 1, `seed ${seed}: decided ${[...instance.decided].join(', ')}`);
    decidedRuns += instance.decided.size;
  }
  console.log(`${decidedRuns} of ${runs} runs decided`);
  assert.ok(decidedRuns > runs / 2, 'a test in which nothing is decided shows nothing');
});

test('fast votes, classic rounds and crashes together: still one view per number', () => {
  const runs = 1200;
  let fast = 0;
  let decidedRuns = 0;
  for (let seed = 0; seed < runs; seed++) {
    const instance = new Instance(new Seeded(seed + 50_000), 7 + (seed % 5));
    const crashShare = [0, 0.005, 0.02][seed % 3] as number;
    for (let i = 0; i < 4000; i++) instance.step(crashShare, 0.3, (seed & 4) === 0 ? 0.004 : 0.02);
    assert.ok(instance.decided.size <= 1, `seed ${seed}: decided ${[...instance.decided].join(', ')}`);
    decidedRuns += instance.decided.size;
    if (instance.fastDecisions > 0) fast++;
  }
  console.log(`${decidedRuns} of ${runs} runs decided, ${fast} of them by fast votes`);
  assert.ok(fast > runs / 50 && decidedRuns - fast > runs / 20, 'both ways to a decision are taken');
});

test('what an acceptor says is durable first, and a restart takes nothing of it back', () => {
  const view = viewOf(
    1,
    [0, 1, 2].map((slot) => memberOf(slot)),
  );
  const [self, other, third] = view.members.map((m) => m.id) as [CoreletId, CoreletId, CoreletId];
  const sent: { readonly message: MembershipMessage; readonly afterSync: boolean; readonly persists: number }[] = [];
  let persists = 0;
  const effects = {
    persist: () => {
      persists++;
    },
    send: (_: CoreletId, message: MembershipMessage, afterSync: boolean) => sent.push({ message, afterSync, persists }),
    decided: () => assert.fail('nobody accepted'),
  };
  const acceptor = new Agreement(self, defaultLimits, new Seeded(1), effects);
  acceptor.begin(view);
  const high = { round: 7, proposer: third };
  const low = { round: 7, proposer: other };
  acceptor.receive(third, { type: 'prepare', number: 2, ballot: high }, 0);
  assert.deepEqual(sent.pop(), {
    message: { type: 'promise', number: 2, ballot: high, accepted: undefined },
    afterSync: true,
    persists: 1,
  });

  const restarted = new Agreement(self, defaultLimits, new Seeded(1), effects);
  restarted.begin(view, acceptor.promised, acceptor.accepted);
  const decision = { view: { ...view, number: 2 }, removals: [], sparesWanted: 0 };
  restarted.receive(other, { type: 'accept', ballot: low, decision }, 0);
  assert.equal(sent.pop()?.message.type, 'refusal');
  restarted.receive(third, { type: 'accept', ballot: high, decision }, 0);
  assert.deepEqual(sent.pop(), {
    message: { type: 'accepted', number: 2, ballot: high },
    afterSync: true,
    persists: 2,
  });
  assert.deepEqual(restarted.accepted, { ballot: high, decision });

  // Its own next ballot is above everything that it promised before the restart, and waits for the disk too.
  const again = new Agreement(self, defaultLimits, new Seeded(1), effects);
  again.begin(view, restarted.promised, restarted.accepted);
  again.propose(decision, 0);
  const own = sent.pop();
  assert.deepEqual(own?.message, { type: 'prepare', number: 2, ballot: { round: 8, proposer: self } });
  assert.equal(own?.afterSync, true);
});

test('nobody speaks for a ballot of another, nor from outside the view', () => {
  const view = viewOf(
    1,
    [0, 1, 2].map((slot) => memberOf(slot)),
  );
  const [self, other, third] = view.members.map((m) => m.id) as [CoreletId, CoreletId, CoreletId];
  const acceptor = new Agreement(self, defaultLimits, new Seeded(1), {
    persist: () => assert.fail('nothing to remember'),
    send: () => assert.fail('nothing to say'),
    decided: () => assert.fail('nothing decided'),
  });
  acceptor.begin(view);
  acceptor.receive(other, { type: 'prepare', number: 2, ballot: { round: 1, proposer: third } }, 0);
  const stranger = memberOf(9).id;
  acceptor.receive(stranger, { type: 'prepare', number: 2, ballot: { round: 1, proposer: stranger } }, 0);
  acceptor.receive(other, { type: 'prepare', number: 3, ballot: { round: 1, proposer: other } }, 0);
});
