import type { ReplicaInspection } from '../../corelet/types.ts';
import type { Violation } from './violation.ts';

type Log = NonNullable<ReplicaInspection['log']>;

/** What was seen of one replica's log when it was looked at last. */
interface SeenLog {
  checkedTo: number;
  checkedTerm: number;
  commitIndex: number;
  role: string;
  term: number;
}

/** An entry that some replica knew to be committed. */
interface Committed {
  readonly term: number;
  /** The term of whoever said so: leaders of later terms have the entry. */
  readonly knownInTerm: number;
  readonly slot: number;
}

/** What the logs of one arc agree on. */
interface ArcLogs {
  /** By index, then by the entry's term: the term of the entry before it. */
  readonly predecessors: Map<number, Map<number, number>>;
  readonly committed: Map<number, Committed>;
  committedTo: number;
  /** Terms whose leader was looked at for completeness. */
  readonly leadersSeen: Set<number>;
}

/** Entries that an arc's checker remembers: far more than replicas keep in memory. */
const rememberedMax = 50_000;

/**
 * Raft's properties of logs (INV-3), by looking at every entry in every replica's memory once:
 * log matching (the same index and term always follow the same term, so by induction the same log), leader append-only,
 * leader completeness (what was known to be committed in an earlier term is in every later leader's log) and state machine
 * safety (no two replicas commit different entries at one index).
 */
export class LogWatch {
  readonly violations: Violation[] = [];
  readonly #arcs = new Map<number, ArcLogs>();
  readonly #seen = new WeakMap<ReplicaInspection, SeenLog>();

  observe(slot: number, replica: ReplicaInspection, atMs: number): void {
    const { log } = replica;
    if (log === undefined) return;
    const known = this.#seen.get(replica);
    const unchanged =
      known !== undefined &&
      known.checkedTo === log.lastIndex &&
      known.checkedTerm === log.lastTerm &&
      known.commitIndex === replica.commitIndex &&
      known.role === replica.role &&
      known.term === replica.term;
    if (unchanged) return;
    const arc = this.#arc(replica.arc);
    this.#newEntries(arc, slot, replica, log, known, atMs);
    this.#newCommits(arc, slot, replica, log, known?.commitIndex ?? 0, atMs);
    if (replica.role === 'leader' && !arc.leadersSeen.has(replica.term)) this.#newLeader(arc, slot, replica, log, atMs);
    const { role, term, commitIndex } = replica;
    if (known === undefined) {
      this.#seen.set(replica, { checkedTo: log.lastIndex, checkedTerm: log.lastTerm, commitIndex, role, term });
    } else {
      Object.assign(known, { checkedTo: log.lastIndex, checkedTerm: log.lastTerm, commitIndex, role, term });
    }
  }

  #arc(number: number): ArcLogs {
    let arc = this.#arcs.get(number);
    if (arc === undefined) {
      arc = { predecessors: new Map(), committed: new Map(), committedTo: 0, leadersSeen: new Set() };
      this.#arcs.set(number, arc);
    }
    return arc;
  }

  #newEntries(
    arc: ArcLogs,
    slot: number,
    replica: ReplicaInspection,
    log: Log,
    known: SeenLog | undefined,
    atMs: number,
  ): void {
    let from = log.firstIndex;
    if (known !== undefined) {
      const kept =
        log.lastIndex >= known.checkedTo && (log.termAt(known.checkedTo) ?? known.checkedTerm) === known.checkedTerm;
      if (kept) from = Math.max(from, known.checkedTo + 1);
      else if (known.role === 'leader' && replica.role === 'leader' && known.term === replica.term) {
        this.#report(`arc ${replica.arc}: slot ${slot} changed its own log while it led term ${replica.term}`, [
          `before: up to ${known.checkedTo} of term ${known.checkedTerm}`,
          `${atMs.toFixed(3)} ms: up to ${log.lastIndex} of term ${log.lastTerm}`,
        ]);
      }
    }
    for (let index = from; index <= log.lastIndex; index++) {
      const term = log.termAt(index);
      const before = log.termAt(index - 1);
      if (term === undefined || before === undefined) continue;
      let terms = arc.predecessors.get(index);
      if (terms === undefined) {
        terms = new Map();
        arc.predecessors.set(index, terms);
        if (arc.predecessors.size > rememberedMax) {
          const oldest = arc.predecessors.keys().next().value as number;
          arc.predecessors.delete(oldest);
          arc.committed.delete(oldest);
        }
      }
      const expected = terms.get(term);
      if (expected === undefined) terms.set(term, before);
      else if (expected !== before) {
        this.#report(`arc ${replica.arc}: logs with the same entry ${index} of term ${term} differ before it`, [
          `elsewhere it follows an entry of term ${expected}`,
          `${atMs.toFixed(3)} ms: on slot ${slot} it follows one of term ${before}`,
        ]);
      }
    }
  }

  #newCommits(arc: ArcLogs, slot: number, replica: ReplicaInspection, log: Log, before: number, atMs: number): void {
    for (let index = Math.max(before + 1, log.firstIndex); index <= replica.commitIndex; index++) {
      const term = log.termAt(index);
      if (term === undefined) continue;
      const known = arc.committed.get(index);
      if (known === undefined) arc.committed.set(index, { term, knownInTerm: replica.term, slot });
      else if (known.term !== term) {
        this.#report(`arc ${replica.arc}: two different entries committed at ${index}`, [
          `slot ${known.slot} committed one of term ${known.term}`,
          `${atMs.toFixed(3)} ms: slot ${slot} committed one of term ${term}`,
        ]);
      }
      arc.committedTo = Math.max(arc.committedTo, index);
    }
  }

  #newLeader(arc: ArcLogs, slot: number, replica: ReplicaInspection, log: Log, atMs: number): void {
    arc.leadersSeen.add(replica.term);
    for (let index = Math.max(1, log.firstIndex); index <= arc.committedTo; index++) {
      const committed = arc.committed.get(index);
      if (committed === undefined || committed.knownInTerm >= replica.term) continue;
      const term = index > log.lastIndex ? undefined : log.termAt(index);
      if (term === committed.term) continue;
      this.#report(`arc ${replica.arc}: the leader of term ${replica.term} lacks committed entry ${index}`, [
        `slot ${committed.slot} knew it to be committed, of term ${committed.term}, in term ${committed.knownInTerm}`,
        `${atMs.toFixed(3)} ms: slot ${slot} leads with ${term === undefined ? 'nothing' : `one of term ${term}`} there`,
      ]);
      return;
    }
  }

  #report(summary: string, story: readonly string[]): void {
    if (this.violations.some((violation) => violation.summary === summary)) return;
    this.violations.push({ invariant: 'INV-3', summary, story });
  }
}
