import { RaftCore } from '../../../src/consensus/raft.ts';
import type { RaftOptions } from '../../../src/consensus/state.ts';
import type {
  Configuration,
  Effects,
  Entry,
  HardState,
  MemberId,
  Outgoing,
  RaftLimits,
  RaftMessage,
} from '../../../src/consensus/types.ts';

/** The state machine: the bodies applied so far, and the configuration in force there. */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
  readonly bodies: readonly string[];
}

/** What survives a crash. */
interface Disk {
  hardState: HardState;
  base: Snapshot;
  entries: Entry<string>[];
  commitIndex: number;
}

/** What the cluster's checkers want to know. */
export interface Observer {
  appended(replica: Replica, entry: Entry<string>, previousTerm: number | undefined): void;
  applied(replica: Replica, entry: Entry<string>): void;
  changed(replica: Replica): void;
  readReady(replica: Replica, token: number, index: number): void;
  readRefused(replica: Replica, token: number): void;
  copyNeeded(replica: Replica, member: MemberId): void;
}

export interface ReplicaOptions {
  readonly id: MemberId;
  readonly configuration: Configuration;
  readonly limits: RaftLimits;
  readonly random: { u32(): number };
  readonly observer: Observer;
  readonly send: (from: MemberId, to: MemberId, message: RaftMessage<string>) => void;
}

/** The owner of a core as src/arc is one, on a disk in memory: what wasn't synced is lost in a crash. */
export class Replica {
  readonly id: MemberId;
  readonly #options: ReplicaOptions;
  readonly disk: Disk;
  /** Undefined while crashed. */
  core: RaftCore<string> | undefined;
  /** Effects that wait for their sync, oldest first. */
  pending: Effects<string>[] = [];
  bodies: string[] = [];
  #appliedIndex = 0;
  #appliedTerm = 0;
  #appliedConfiguration: Configuration;
  autoSync = true;

  constructor(options: ReplicaOptions) {
    this.id = options.id;
    this.#options = options;
    this.#appliedConfiguration = options.configuration;
    const base: Snapshot = { index: 0, term: 0, configuration: options.configuration, bodies: [] };
    this.disk = { hardState: { term: 0, vote: undefined }, base, entries: [], commitIndex: 0 };
    this.start();
  }

  get running(): RaftCore<string> {
    if (this.core === undefined) throw new Error(`${this.id} is crashed`);
    return this.core;
  }

  start(): void {
    const { base, entries, hardState, commitIndex } = this.disk;
    this.#install(base);
    const options: RaftOptions<string> = {
      self: this.id,
      limits: this.#options.limits,
      random: this.#options.random,
      restored: {
        hardState,
        configuration: base.configuration,
        compactedIndex: base.index,
        compactedTerm: base.term,
        entries,
        commitIndex,
        appliedIndex: base.index,
      },
    };
    this.core = new RaftCore(options);
    this.drain();
  }

  crash(): void {
    this.core = undefined;
    this.pending = [];
  }

  /** Does what the core asks, as `Effects` documents. */
  drain(): void {
    for (;;) {
      const core = this.core;
      const effects = core?.takeEffects();
      if (core === undefined || effects === undefined) return;
      const { observer } = this.#options;
      for (const entry of effects.append) observer.appended(this, entry, core.termAt(entry.index - 1));
      this.pending.push(effects);
      this.#transmit(effects.messages, false);
      this.#apply(core, effects.commitIndex);
      for (const { token, index } of effects.readsReady) observer.readReady(this, token, index);
      for (const token of effects.readsRefused) observer.readRefused(this, token);
      for (const member of effects.copyNeeded) observer.copyNeeded(this, member);
      if (effects.changed) observer.changed(this);
      if (this.autoSync) this.sync();
    }
  }

  #transmit(messages: readonly Outgoing<string>[], afterSync: boolean): void {
    for (const outgoing of messages) {
      if (outgoing.afterSync === afterSync) this.#options.send(this.id, outgoing.to, outgoing.message);
    }
  }

  #apply(core: RaftCore<string>, commitIndex: number): void {
    while (this.#appliedIndex < commitIndex) {
      const entry = core.entry(this.#appliedIndex + 1);
      if (entry === undefined) throw new Error(`${this.id}: entry ${this.#appliedIndex + 1} to apply isn't there`);
      this.#appliedIndex = entry.index;
      this.#appliedTerm = entry.term;
      if (entry.body !== undefined) this.bodies.push(entry.body);
      if (entry.configuration !== undefined) this.#appliedConfiguration = entry.configuration;
      this.#options.observer.applied(this, entry);
    }
    core.applied(commitIndex);
  }

  /** Makes the oldest `count` commits durable, in order, and does what waited for them. */
  sync(count: number = this.pending.length): void {
    for (const effects of this.pending.splice(0, count)) {
      const { disk } = this;
      const from = effects.truncateFrom;
      if (from !== undefined) disk.entries = disk.entries.filter((entry) => entry.index < from);
      disk.entries.push(...effects.append);
      if (effects.hardState !== undefined) disk.hardState = effects.hardState;
      // As the store does: the commit index is a hint that travels with records.
      const lastIndex = disk.base.index + disk.entries.length;
      if (effects.append.length > 0)
        disk.commitIndex = Math.max(disk.commitIndex, Math.min(effects.commitIndex, lastIndex));
      this.#transmit(effects.messages, true);
      const last = effects.append.at(-1);
      if (last !== undefined) this.core?.persisted(last.index, last.term);
    }
  }

  snapshot(): Snapshot {
    return {
      index: this.#appliedIndex,
      term: this.#appliedTerm,
      configuration: this.#appliedConfiguration,
      bodies: [...this.bodies],
    };
  }

  #install(snapshot: Snapshot): void {
    this.bodies = [...snapshot.bodies];
    this.#appliedIndex = snapshot.index;
    this.#appliedTerm = snapshot.term;
    this.#appliedConfiguration = snapshot.configuration;
  }

  /** Checkpoints the applied state, and drops the log up to it; only what is durable. */
  compact(): void {
    const { disk } = this;
    const state = this.snapshot();
    if (this.pending.length > 0 || state.index > disk.base.index + disk.entries.length) return;
    disk.base = state;
    disk.entries = disk.entries.filter((entry) => entry.index > state.index);
    disk.commitIndex = Math.max(disk.commitIndex, state.index);
    this.running.compact(state.index);
  }

  /** Installs a copied state, durably; false where it would bring nothing. */
  install(state: Snapshot, nowMs: number): boolean {
    const core = this.running;
    this.drain();
    this.sync();
    this.drain();
    if (core.role === 'leader' || !core.copyUseful(state.index, state.term)) return false;
    this.disk.base = state;
    this.disk.entries = [];
    this.disk.commitIndex = state.index;
    this.#install(state);
    core.restore(state, nowMs);
    this.drain();
    return true;
  }
}
