import assert from 'node:assert/strict';
import type { CoreletId } from '../../../src/base/ids.ts';
import { MembershipCore } from '../../../src/membership/core.ts';
import type { MembershipEvent, MembershipLimits, ViewChange } from '../../../src/membership/types.ts';
import { mix32 } from '../../../src/ring/hash.ts';
import { type Member, type View, viewOf } from '../../../src/ring/view.ts';
import { Seeded } from './seeded.ts';

export function memberOf(slot: number, change: Partial<Member> = {}): Member {
  const module = change.id ?? ((slot + 1).toString(16).padStart(32, '0') as CoreletId);
  return {
    id: module,
    address: `tcp:127.0.0.1:${9000 + slot}`,
    slot,
    zone: String(slot),
    weight: 1,
    place: mix32(slot + 77),
    role: 'active',
    ...change,
  };
}

export function blankModule(slot: number, serial: number): Member {
  return memberOf(slot, {
    id: (0x1000 + serial * 256 + slot).toString(16).padStart(32, 'b') as CoreletId,
    place: mix32(serial),
  });
}

interface Pending {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

interface Module {
  readonly self: Member;
  readonly founding: View | undefined;
  core: MembershipCore | undefined;
  life: number;
  /** What survives a crash. */
  disk: Uint8Array | undefined;
  /** Registers handed out whose sync hasn't returned, oldest first. */
  syncing: Uint8Array[];
  waiting: { readonly to: CoreletId; readonly body: Uint8Array; readonly syncs: number }[];
  syncsDone: number;
  syncsAsked: number;
  changes: ViewChange[];
  events: MembershipEvent[];
  /** When each peer was last heard: what liveness between pairs would know. */
  heardMs: Map<CoreletId, number>;
  /** Of the earliest tick that is scheduled. */
  tickAtMs: number;
}

/** Unheard for so long: it was asked and didn't answer. */
const lapseMs = 400;
const answerMs = 150;

export interface Taken {
  readonly id: CoreletId;
  readonly kinds: readonly number[];
  readonly persisted: boolean;
}

/** Corelets' membership cores on a simulated clock, network and disk; checks that all see one sequence of views. */
export class Network {
  readonly random: Seeded;
  readonly modules = new Map<CoreletId, Module>();
  readonly views = new Map<number, string>();
  /** Members of every view agreed so far, by its number. */
  readonly memberIds = new Map<number, readonly CoreletId[]>();
  readonly limits: Partial<MembershipLimits>;
  nowMs = 0;
  dropRate = 0;
  /** Whether nothing gets from one to the other. */
  blocked: (from: CoreletId, to: CoreletId) => boolean = () => false;
  /** Which kinds of membership messages (by number on the wire) get lost; liveness goes on. */
  drops: (from: CoreletId, to: CoreletId, kind: number) => boolean = () => false;
  /** Called when a module's effects are taken, before any is carried out: true crashes it here. */
  crashes: (taken: Taken) => boolean = () => false;
  #queue: Pending[] = [];
  #order = 0;

  constructor(seed: number, limits: Partial<MembershipLimits> = {}) {
    this.random = new Seeded(seed);
    this.limits = limits;
  }

  at(delayMs: number, run: () => void): void {
    const pending = { atMs: this.nowMs + delayMs, order: this.#order++, run };
    const queue = this.#queue;
    let i = queue.length;
    queue.push(pending);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(pending, queue[parent] as Pending)) break;
      queue[i] = queue[parent] as Pending;
      i = parent;
    }
    queue[i] = pending;
  }

  #next(): Pending {
    const queue = this.#queue;
    const top = queue[0] as Pending;
    const last = queue.pop() as Pending;
    if (queue.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= queue.length) break;
      if (child + 1 < queue.length && before(queue[child + 1] as Pending, queue[child] as Pending)) child++;
      if (!before(queue[child] as Pending, last)) break;
      queue[i] = queue[child] as Pending;
      i = child;
    }
    queue[i] = last;
    return top;
  }

  runFor(durationMs: number): void {
    this.runUntil(() => false, durationMs, true);
  }

  /** Virtual milliseconds until `done` holds; fails when it doesn't within the limit. */
  runUntil(done: () => boolean, limitMs: number, quiet = false): number {
    const startMs = this.nowMs;
    let checkedMs = Number.NEGATIVE_INFINITY;
    for (;;) {
      if (this.nowMs - checkedMs >= 5) {
        if (done()) return this.nowMs - startMs;
        checkedMs = this.nowMs;
      }
      const next = this.#queue[0];
      if (next === undefined || next.atMs > startMs + limitMs) break;
      this.#next();
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
    }
    this.nowMs = startMs + limitMs;
    assert.ok(quiet || done(), `not within ${limitMs} ms: ${this.describe()}`);
    return limitMs;
  }

  describe(): string {
    return [...this.modules.values()]
      .map((m) => {
        const state =
          m.core === undefined ? 'down' : `${m.core.standing} v${m.core.viewNumber} ${m.core.frozen.reason}`;
        return `slot ${m.self.slot} ${m.self.id.slice(-4)}: ${state}`;
      })
      .join('; ');
  }

  add(self: Member, founding?: View): CoreletId {
    this.modules.set(self.id, {
      self,
      founding,
      core: undefined,
      life: 0,
      disk: undefined,
      syncing: [],
      waiting: [],
      syncsDone: 0,
      syncsAsked: 0,
      changes: [],
      events: [],
      heardMs: new Map(),
      tickAtMs: Number.POSITIVE_INFINITY,
    });
    return self.id;
  }

  found(members: readonly Member[]): CoreletId[] {
    const founding = viewOf(1, members);
    return members.map((self) => this.add(self, founding));
  }

  start(id: CoreletId, change: Partial<Member> = {}): void {
    const module = this.module(id);
    assert.ok(module.core === undefined);
    module.life++;
    module.syncing = [];
    module.waiting = [];
    module.syncsDone = 0;
    module.syncsAsked = 0;
    module.heardMs.clear();
    module.tickAtMs = Number.POSITIVE_INFINITY;
    const core = new MembershipCore({
      self: { ...module.self, ...change },
      incarnation: module.life,
      random: this.random,
      limits: this.limits,
      ...(module.disk === undefined ? {} : { restored: module.disk }),
      ...(module.founding === undefined ? {} : { founding: module.founding }),
    });
    module.core = core;
    core.start(this.nowMs);
    const seeds = [...this.modules.values()].filter((m) => m.core !== undefined && m !== module);
    if (core.view === undefined)
      core.join(
        seeds.map((m) => ({ id: m.self.id, address: m.self.address })),
        this.nowMs,
      );
    this.#drain(module);
    const life = module.life;
    this.at(this.random.fraction() * 100, () => this.#beat(module, life));
  }

  startAll(): void {
    for (const id of this.modules.keys()) this.start(id);
  }

  /** The process ends at once. What wasn't synced may or may not be there. */
  crash(id: CoreletId, resets = true): void {
    const module = this.module(id);
    assert.ok(module.core !== undefined);
    module.core = undefined;
    const kept = this.random.below(module.syncing.length + 1);
    if (kept > 0) module.disk = module.syncing[kept - 1];
    module.life++;
    if (!resets) return;
    for (const other of this.modules.values()) {
      if (other.core === undefined || this.blocked(id, other.self.id)) continue;
      const { life } = other;
      this.at(1, () => {
        if (other.life === life) this.step(other.self.id, (core) => core.reset(id, this.nowMs));
      });
    }
  }

  module(id: CoreletId): Module {
    const module = this.modules.get(id);
    assert.ok(module !== undefined);
    return module;
  }

  core(id: CoreletId): MembershipCore {
    const { core } = this.module(id);
    assert.ok(core !== undefined);
    return core;
  }

  up(): CoreletId[] {
    return [...this.modules.values()].filter((m) => m.core !== undefined).map((m) => m.self.id);
  }

  step(id: CoreletId, run: (core: MembershipCore) => void): void {
    const module = this.modules.get(id);
    if (module?.core === undefined) return;
    run(module.core);
    this.#drain(module);
  }

  /** All of these have the same view, and it has exactly these members. */
  agreed(ids: readonly CoreletId[], members: readonly CoreletId[] = ids): boolean {
    const wanted = members.toSorted().join();
    const number = this.core(ids[0] as CoreletId).viewNumber;
    return ids.every((id) => {
      const { view } = this.core(id);
      return view?.number === number && view.members.map((m) => m.id).join() === wanted;
    });
  }

  #tick(module: Module, life: number): void {
    const { core } = module;
    if (core === undefined || module.life !== life || this.nowMs < module.tickAtMs) return;
    module.tickAtMs = Number.POSITIVE_INFINITY;
    core.tick(this.nowMs);
    this.#drain(module);
  }

  #arm(module: Module): void {
    const { core, life } = module;
    if (core === undefined) return;
    const atMs = Math.max(this.nowMs + 1, core.deadlineMs());
    if (atMs >= module.tickAtMs) return;
    module.tickAtMs = atMs;
    this.at(atMs - this.nowMs, () => this.#tick(module, life));
  }

  #beat(module: Module, life: number): void {
    const { core } = module;
    if (core === undefined || module.life !== life) return;
    const from = module.self.id;
    for (const to of core.contacts().keys()) {
      if (!this.#arrives(from, to)) continue;
      const theirs = core.viewNumber;
      this.modules.get(to)?.heardMs.set(from, this.nowMs);
      this.step(to, (peer) => {
        peer.heard(from, this.nowMs);
        if (peer.viewNumber !== theirs) peer.behind(from, theirs, this.nowMs);
      });
    }
    for (const peer of core.contacts().keys()) {
      const heardMs = module.heardMs.get(peer);
      if (heardMs === undefined) module.heardMs.set(peer, this.nowMs);
      else if (this.nowMs - heardMs >= lapseMs) this.step(from, (self) => self.silent(peer, this.nowMs));
    }
    if (module.life === life) this.at(100, () => this.#beat(module, life));
  }

  /** A question, and the answer or its absence. */
  #ask(from: CoreletId, to: CoreletId): void {
    const answers = this.modules.get(to)?.core !== undefined && this.#arrives(from, to) && this.#arrives(to, from);
    const { life } = this.module(from);
    this.at(answers ? 2 : answerMs, () => {
      if (this.modules.get(from)?.life !== life) return;
      if (answers) this.step(from, (core) => core.heard(to, this.nowMs));
      else this.step(from, (core) => core.silent(to, this.nowMs));
    });
  }

  #arrives(from: CoreletId, to: CoreletId): boolean {
    return !this.blocked(from, to) && !(this.dropRate > 0 && this.random.fraction() < this.dropRate);
  }

  #send(from: CoreletId, to: CoreletId, body: Uint8Array): void {
    if (!this.#arrives(from, to) || this.drops(from, to, body[1] as number)) return;
    this.at(0.1 + this.random.fraction() * 3, () => this.step(to, (core) => core.receive(from, body, this.nowMs)));
  }

  #drain(module: Module): void {
    const { core } = module;
    if (core === undefined) return;
    const from = module.self.id;
    const { persist, messages, viewChanges, events, asks } = core.takeEffects();
    for (const id of asks) this.#ask(from, id);
    for (const change of viewChanges) this.#check(module, change);
    module.events.push(...events);
    if (persist !== undefined || messages.length > 0) {
      const kinds = messages.map((message) => message.body[1] as number);
      if (this.crashes({ id: from, kinds, persisted: persist !== undefined })) {
        if (persist !== undefined) module.syncing.push(persist);
        this.crash(from);
        return;
      }
    }
    if (persist !== undefined) this.#sync(module, persist);
    for (const message of messages) {
      if (message.afterSync && module.syncsDone < module.syncsAsked) {
        module.waiting.push({ ...message, syncs: module.syncsAsked });
      } else this.#send(from, message.to, message.body);
    }
    this.#arm(module);
  }

  #sync(module: Module, register: Uint8Array): void {
    module.syncsAsked++;
    module.syncing.push(register);
    const { life } = module;
    const delayMs = module.syncing.length > 1 ? 6 : 0; // the device syncs one after the other
    this.at(delayMs + 1 + this.random.fraction() * 4, () => {
      if (module.life !== life) return;
      module.disk = module.syncing.shift();
      module.syncsDone++;
      const ready = module.waiting.filter((message) => message.syncs <= module.syncsDone);
      module.waiting = module.waiting.filter((message) => message.syncs > module.syncsDone);
      for (const message of ready) this.#send(module.self.id, message.to, message.body);
    });
  }

  #check(module: Module, change: ViewChange): void {
    const { view } = change;
    const text = view.members
      .map((m) => [m.id.slice(-4), m.address, m.slot, m.zone, m.weight, m.place, m.role].join(' '))
      .join('\n');
    const known = this.views.get(view.number);
    assert.ok(known === undefined || known === text, `two views with number ${view.number}:\n${known}\n${text}`);
    this.views.set(view.number, text);
    this.memberIds.set(
      view.number,
      view.members.map((m) => m.id),
    );
    assert.ok((change.previous?.number ?? 0) < view.number, 'view numbers rise');
    module.changes.push(change);
  }
}

function before(a: Pending, b: Pending): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
