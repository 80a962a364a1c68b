import assert from 'node:assert/strict';
import type { CoreletId } from '../../../src/base/ids.ts';
import { type Echo, Echoes } from '../../../src/membership/echoes.ts';
import { MembershipCore } from '../../../src/membership/core.ts';
import { PairLiveness } from '../../../src/membership/liveness.ts';
import { EventHeap } from '../../../src/sim/heap.ts';
import { type View, viewOf } from '../../../src/ring/view.ts';
import { memberOf } from './network.ts';
import { Seeded } from './seeded.ts';

interface Peer {
  readonly id: CoreletId;
  readonly core: MembershipCore;
  readonly liveness: PairLiveness;
  up: boolean;
  stepAtMs: number;
  tickAtMs: number;
  syncs: number;
  readonly echoes: Echoes;
}

interface Told extends Echo {
  readonly answer: boolean;
  readonly nextMs: number;
  readonly viewNumber: number;
}

/**
 * Many Corelets' membership and liveness, and nothing else of them, on virtual time: a network that loses messages as
 * `loses` says, disks that take a moment. Says what was evicted, and how many views it took.
 */
export class Swarm {
  readonly random: Seeded;
  readonly ids: readonly CoreletId[];
  nowMs = 0;
  /** Share of the messages from one to another that is lost. */
  loses: (from: CoreletId, to: CoreletId) => number = () => 0;
  readonly evicted = new Set<CoreletId>();
  readonly views = new Map<number, string>();
  readonly #peers = new Map<CoreletId, Peer>();
  readonly #heap = new EventHeap<undefined>();

  constructor(seed: number, count: number) {
    this.random = new Seeded(seed);
    const founding = viewOf(
      1,
      Array.from({ length: count }, (_, slot) => memberOf(slot)),
    );
    this.ids = founding.members.map((member) => member.id);
    for (const self of founding.members) {
      const core = new MembershipCore({ self, incarnation: 1, random: this.random, founding });
      const peer: Peer = {
        id: self.id,
        core,
        liveness: new PairLiveness(self.id),
        up: true,
        stepAtMs: Number.POSITIVE_INFINITY,
        tickAtMs: Number.POSITIVE_INFINITY,
        syncs: 0,
        echoes: new Echoes(),
      };
      this.#peers.set(self.id, peer);
    }
    for (const peer of this.#peers.values()) {
      peer.core.start(0);
      peer.liveness.setPeers(peer.core.contacts().keys(), 0);
      this.#settle(peer);
    }
  }

  core(id: CoreletId): MembershipCore {
    return this.#peer(id).core;
  }

  view(id: CoreletId): View | undefined {
    return this.#peer(id).core.view;
  }

  /** Their processes end: the kernel tells all who are connected. */
  kill(ids: readonly CoreletId[]): void {
    for (const id of ids) this.#peer(id).up = false;
    for (const peer of this.#peers.values()) {
      if (!peer.up) continue;
      this.#at(0.5 + this.random.fraction(), () => {
        for (const id of ids) {
          peer.liveness.reset(id);
          peer.core.reset(id, this.nowMs);
        }
        this.#settle(peer);
      });
    }
  }

  runUntil(done: () => boolean, limitMs: number): number {
    const startMs = this.nowMs;
    let lookMs = this.nowMs;
    for (;;) {
      if (this.nowMs >= lookMs) {
        if (done()) return this.nowMs - startMs;
        lookMs = this.nowMs + 10;
      }
      const next = this.#heap.peek();
      if (next === undefined || next.atMs > startMs + limitMs) break;
      this.#heap.pop();
      this.nowMs = next.atMs;
      next.run?.();
    }
    this.nowMs = startMs + limitMs;
    return limitMs;
  }

  /** All of these have the same view, of exactly these members. */
  agreed(ids: readonly CoreletId[]): boolean {
    const wanted = ids.toSorted().join();
    return ids.every(
      (id) =>
        this.view(id)
          ?.members.map((member) => member.id)
          .join() === wanted,
    );
  }

  #peer(id: CoreletId): Peer {
    const peer = this.#peers.get(id);
    assert.ok(peer !== undefined);
    return peer;
  }

  #at(delayMs: number, run: () => void): void {
    this.#heap.push(this.nowMs + delayMs, undefined, run);
  }

  #send(from: CoreletId, to: CoreletId, arrive: (peer: Peer) => void): void {
    const peer = this.#peers.get(to);
    const share = this.loses(from, to);
    if (peer === undefined || (share > 0 && this.random.fraction() < share)) return;
    this.#at(0.1 + this.random.fraction(), () => {
      if (!peer.up) return;
      peer.liveness.heard(from, this.nowMs);
      arrive(peer);
      this.#settle(peer);
    });
  }

  #hear(peer: Peer, from: CoreletId, told: Told): void {
    peer.core.heard(from, this.nowMs);
    peer.core.failing(from, peer.echoes.heard(from, told, this.nowMs) ? 'deaf' : undefined, this.nowMs);
    peer.core.answerLatency(from, peer.echoes.answerMs(from, this.nowMs), this.nowMs);
    peer.liveness.told(from, { ...told, wantsTickets: false }, this.nowMs);
    if (told.viewNumber !== peer.core.viewNumber) peer.core.behind(from, told.viewNumber, this.nowMs);
  }

  /** Carries out what a step caused, and sets the timers. */
  #settle(peer: Peer): void {
    if (!peer.up) return;
    const effects = peer.core.takeEffects();
    for (const { view, removed } of effects.viewChanges) {
      const text = view.members.map((member) => member.id).join();
      assert.equal(this.views.get(view.number) ?? text, text, `two views with number ${view.number}`);
      this.views.set(view.number, text);
      for (const member of removed) this.evicted.add(member.id);
    }
    if (effects.viewChanges.length > 0) peer.liveness.setPeers(peer.core.contacts().keys(), this.nowMs);
    for (const id of effects.asks) peer.liveness.ask(id);
    if (effects.persist !== undefined) peer.syncs++;
    const syncMs = peer.syncs === 0 ? 0 : 1 + 2 * this.random.fraction();
    for (const { to, body, afterSync } of effects.messages) {
      const send = () => this.#send(peer.id, to, (other) => other.core.receive(peer.id, body, this.nowMs));
      if (afterSync) this.#at(syncMs, send);
      else send();
    }
    this.#arm(peer);
  }

  #arm(peer: Peer): void {
    const stepAtMs = Math.max(this.nowMs, peer.liveness.deadlineMs());
    if (stepAtMs < peer.stepAtMs) {
      peer.stepAtMs = stepAtMs;
      this.#at(stepAtMs - this.nowMs, () => this.#step(peer, stepAtMs));
    }
    const tickAtMs = Math.max(this.nowMs + 1, peer.core.deadlineMs());
    if (tickAtMs < peer.tickAtMs) {
      peer.tickAtMs = tickAtMs;
      this.#at(tickAtMs - this.nowMs, () => this.#tick(peer, tickAtMs));
    }
  }

  #step(peer: Peer, atMs: number): void {
    if (!peer.up || peer.stepAtMs !== atMs) return;
    peer.stepAtMs = Number.POSITIVE_INFINITY;
    const { due, lapsed } = peer.liveness.tick(this.nowMs);
    for (const id of lapsed) peer.core.silent(id, this.nowMs);
    const { viewNumber } = peer.core;
    for (const { id, answer, nextMs } of due) {
      const told = { ...peer.echoes.next(id, this.nowMs), answer, nextMs, viewNumber };
      this.#send(peer.id, id, (other) => this.#hear(other, peer.id, told));
    }
    this.#settle(peer);
  }

  #tick(peer: Peer, atMs: number): void {
    if (!peer.up || peer.tickAtMs !== atMs) return;
    peer.tickAtMs = Number.POSITIVE_INFINITY;
    peer.core.tick(this.nowMs);
    this.#settle(peer);
  }
}
