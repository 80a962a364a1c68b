import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CoreletId } from '../../../src/base/ids.ts';
import { defaultLivenessLimits, PairLiveness } from '../../../src/membership/liveness.ts';
import { memberOf } from './network.ts';

const { answerMs, slackMs, restPerPeerMs, ticketMs } = defaultLivenessLimits;
const id = (n: number): CoreletId => memberOf(n).id;

/** Corelets that tell each other as `PairLiveness` says, on one clock; messages take 1 ms. */
class Group {
  readonly pairs = new Map<CoreletId, PairLiveness>();
  readonly wanting = new Set<CoreletId>();
  /** Neither sends nor hears; its clock runs on. */
  readonly stopped = new Set<CoreletId>();
  readonly log: string[] = [];
  sent = 0;
  nowMs = 0;
  #flying: { readonly atMs: number; readonly run: () => void }[] = [];

  constructor(count: number) {
    const ids = Array.from({ length: count }, (_, n) => id(n));
    for (const self of ids) {
      const pairs = new PairLiveness(self);
      pairs.setPeers(
        ids.filter((peer) => peer !== self),
        0,
      );
      this.pairs.set(self, pairs);
    }
  }

  run(durationMs: number): void {
    for (const untilMs = this.nowMs + durationMs; this.nowMs < untilMs; this.nowMs++) {
      const due = this.#flying.filter(({ atMs }) => atMs <= this.nowMs);
      this.#flying = this.#flying.filter(({ atMs }) => atMs > this.nowMs);
      for (const { run } of due) run();
      for (const [self, pairs] of this.pairs) {
        if (!this.stopped.has(self) && pairs.deadlineMs() <= this.nowMs) this.#tick(self, pairs);
      }
    }
  }

  #tick(self: CoreletId, pairs: PairLiveness): void {
    const step = pairs.tick(this.nowMs);
    for (const lapsed of step.lapsed) this.log.push(`${self.slice(-1)} lost ${lapsed.slice(-1)} at ${this.nowMs}`);
    for (const { id: to, ...rhythm } of step.due) {
      this.sent++;
      const wantsTickets = this.wanting.has(self);
      const hear = (): void => {
        const peer = this.pairs.get(to);
        if (peer === undefined || this.stopped.has(to)) return;
        peer.heard(self, this.nowMs);
        peer.told(self, { ...rhythm, wantsTickets }, this.nowMs);
      };
      this.#flying.push({ atMs: this.nowMs + 1, run: hear });
    }
  }

  of(n: number): PairLiveness {
    return this.pairs.get(id(n)) as PairLiveness;
  }
}

test('at rest a Corelet of 24 tells half a dozen others a second, not all of them ten times', () => {
  const group = new Group(24);
  group.run(5000);
  group.sent = 0;
  group.run(20_000);
  const perSecond = group.sent / 24 / 20;
  assert.ok(perSecond <= 1000 / restPerPeerMs + 1, `${perSecond} messages a second and Corelet`);
  assert.deepEqual(group.log, [], 'nobody was lost');
});

test('a Corelet that stops is noticed by one of 24 early, by all others within the rhythm', () => {
  const group = new Group(24);
  group.run(7000);
  group.stopped.add(id(5));
  group.run(1);
  const stoppedMs = group.nowMs;
  group.run(7500);
  assert.equal(group.log.length, 23);
  const noticedMs = group.log.map((line) => Number(line.split(' at ')[1]) - stoppedMs).sort((a, b) => a - b);
  assert.ok((noticedMs[0] as number) <= slackMs + answerMs + 5 * restPerPeerMs, `first after ${noticedMs[0]} ms`);
  assert.ok(
    (noticedMs.at(-1) as number) <= 1.1 * 23 * restPerPeerMs + slackMs + answerMs + 10,
    `last after ${noticedMs.at(-1)}`,
  );
});

test('a doubt is settled in a moment: who lives answers, who stands still lapses', () => {
  const group = new Group(3);
  group.run(3000);
  group.of(0).ask(id(1));
  group.run(answerMs + 10);
  assert.deepEqual(group.log, []);
  group.stopped.add(id(1));
  group.of(0).ask(id(1));
  const askedMs = group.nowMs;
  group.run(answerMs + 1);
  assert.deepEqual(group.log, [`1 lost 2 at ${askedMs + answerMs}`]);
  assert.ok(!group.of(0).isLive(id(1)));
});

test('a peer that stood still returns with its next message, and is told soon that it is back', () => {
  const group = new Group(3);
  group.run(3000);
  group.stopped.add(id(2));
  group.run(2000);
  assert.equal(group.log.length, 2);
  group.stopped.delete(id(2));
  group.run(defaultLivenessLimits.lapsedMs + 50);
  for (const n of [0, 1]) assert.ok(group.of(n).isLive(id(2)), `${n} hears 2 again`);
  assert.equal(group.log.length, 2, 'who stood still itself accuses nobody of it');
});

test('a gateway gets tickets often from all, and rest returns when it wants none any more', () => {
  const group = new Group(6);
  group.run(3000);
  group.wanting.add(id(0));
  for (let n = 1; n < 6; n++) group.of(0).tell(id(n));
  group.run(100);
  group.sent = 0;
  group.run(10_000);
  const rest = (30 * 10_000) / (5 * restPerPeerMs);
  const wanted = (5 * 10_000) / ticketMs + (25 * 10_000) / (5 * restPerPeerMs);
  assert.ok(group.sent >= wanted * 0.95 && group.sent <= wanted * 1.25, `${group.sent} of ${wanted}`);
  group.wanting.clear();
  group.run(2000);
  group.sent = 0;
  group.run(10_000);
  assert.ok(Math.abs(group.sent - rest) < rest * 0.1, `${group.sent} of ${rest}`);
});

test('a reset lapses at once: elections need not wait for silence', () => {
  const group = new Group(2);
  group.run(1000);
  group.of(0).reset(id(1));
  assert.equal(group.of(0).deadlineMs(), Number.NEGATIVE_INFINITY);
  assert.deepEqual(group.of(0).tick(group.nowMs).lapsed, [id(1)]);
});

test('a message of any kind is a sign of life: no question while somebody speaks', () => {
  const pairs = new PairLiveness(id(0));
  pairs.setPeers([id(1)], 0);
  pairs.heard(id(1), 0);
  pairs.told(id(1), { nextMs: 100, answer: false, wantsTickets: false }, 0);
  for (let nowMs = 0; nowMs < 3000; nowMs += 25) {
    pairs.heard(id(1), nowMs);
    assert.ok(pairs.tick(nowMs).due.every((message) => !message.answer));
  }
});

test('after a stall of our own no peer lapses by it, and the stall is told', () => {
  const group = new Group(3);
  group.run(3000);
  const step = group.of(0).tick(group.nowMs + 5000);
  assert.deepEqual(step.lapsed, []);
  assert.ok(step.stalledMs > 4000);
});

test('a peer that was never heard is not live, and lapses once', () => {
  const group = new Group(2);
  group.stopped.add(id(1));
  assert.equal(group.of(0).heardMs(id(1)), undefined);
  group.run(2000);
  assert.deepEqual(group.log, [`1 lost 2 at ${slackMs + answerMs}`]);
  assert.ok(!group.of(0).isLive(id(1)));
});
