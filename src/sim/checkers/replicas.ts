import type { ReplicaInspection } from '../../corelet/types.ts';
import type { Violation } from './violation.ts';

/** What one running Corelet shows of itself. */
export interface CoreletInspection {
  readonly slot: number;
  readonly id: string;
  /** Of this start: what a restart may forget is compared within one start only. */
  readonly start: number;
  readonly replicas: readonly ReplicaInspection[];
}

interface SeenReplica {
  start: number;
  generation: number;
  term: number;
  durableTerm: number;
  commitIndex: number;
  appliedIndex: number;
}

const digestsPerArcMax = 64; // newest applied indexes; older ones can't meet again soon

/** Watches the replicas while the run goes on: what must be true at every moment (INV-3, INV-6, INV-10). */
export class ReplicaWatch {
  readonly violations: Violation[] = [];
  /** By arc and term. */
  readonly #leaders = new Map<
    number,
    Map<number, { readonly slot: number; readonly id: string; readonly atMs: number }>
  >();
  /** By Corelet and arc: the newest life of its replica. */
  readonly #seen = new Map<string, Map<number, SeenReplica>>();
  /** What was compared last of each replica. */
  readonly #compared = new WeakMap<ReplicaInspection, number>();
  readonly #digests = new Map<
    number,
    Map<number, { readonly digest: string; readonly slot: number; readonly atMs: number }>
  >();

  /** Terms, leaders and indexes: cheap, for every few milliseconds of virtual time. */
  observe(corelets: readonly CoreletInspection[], atMs: number): void {
    for (const corelet of corelets) {
      let seen = this.#seen.get(corelet.id);
      if (seen === undefined) {
        seen = new Map();
        this.#seen.set(corelet.id, seen);
      }
      for (const replica of corelet.replicas) {
        if (replica.role === 'leader') this.#observeLeader(corelet, replica, atMs);
        this.#observeProgress(corelet, replica, seen, atMs);
      }
    }
  }

  /** Contents: dearer, for now and then. Replicas still being copied to hold nothing that could be compared. */
  compare(corelets: readonly CoreletInspection[], atMs: number): void {
    for (const { slot, replicas } of corelets) {
      for (const replica of replicas) {
        const { appliedIndex } = replica;
        if (!replica.complete || appliedIndex === 0 || this.#compared.get(replica) === appliedIndex) continue;
        if (this.#compareDigest(slot, replica, atMs)) this.#compared.set(replica, appliedIndex);
      }
    }
  }

  #observeLeader({ slot, id }: CoreletInspection, { arc, term }: ReplicaInspection, atMs: number): void {
    let terms = this.#leaders.get(arc);
    if (terms === undefined) {
      terms = new Map();
      this.#leaders.set(arc, terms);
    }
    const known = terms.get(term);
    if (known === undefined) terms.set(term, { slot, id, atMs });
    else if (known.id !== id) {
      this.#report('INV-3', `arc ${arc}: two leaders in term ${term}`, [
        `${known.atMs.toFixed(3)} ms: slot ${known.slot} leads arc ${arc} in term ${term}`,
        `${atMs.toFixed(3)} ms: slot ${slot} leads arc ${arc} in term ${term}`,
      ]);
    }
  }

  #observeProgress(
    { slot, start }: CoreletInspection,
    replica: ReplicaInspection,
    seen: Map<number, SeenReplica>,
    atMs: number,
  ): void {
    const { arc, generation, term, durableTerm, commitIndex, appliedIndex } = replica;
    const where = () => `arc ${arc} on slot ${slot}`;
    const at = () => `${atMs.toFixed(3)} ms`;
    if (appliedIndex > commitIndex) {
      this.#report('INV-3', `${where()}: applied ${appliedIndex}, committed only ${commitIndex}`, [
        `${at()}: ${where()}`,
      ]);
    }
    const known = seen.get(arc);
    if (known === undefined || known.generation !== generation) {
      seen.set(arc, { start, generation, term, durableTerm, commitIndex, appliedIndex });
      return;
    }
    if (term < known.durableTerm && known.start !== start) {
      this.#report('INV-3', `${where()}: forgot term ${known.durableTerm} over a restart`, [`${at()}: term ${term}`]);
    } else if (
      known.start === start &&
      (term < known.term || commitIndex < known.commitIndex || appliedIndex < known.appliedIndex)
    ) {
      this.#report('INV-3', `${where()}: went back`, [
        `before: term ${known.term}, commit ${known.commitIndex}, applied ${known.appliedIndex}`,
        `${at()}: term ${term}, commit ${commitIndex}, applied ${appliedIndex}`,
      ]);
    }
    known.term = known.start === start ? Math.max(known.term, term) : term;
    known.start = start;
    known.durableTerm = Math.max(known.durableTerm, durableTerm);
    known.commitIndex = commitIndex;
    known.appliedIndex = appliedIndex;
  }

  /** False: its map is being read, the next look will tell. */
  #compareDigest(slot: number, { arc, appliedIndex, digest }: ReplicaInspection, atMs: number): boolean {
    let ofArc = this.#digests.get(arc);
    if (ofArc === undefined) {
      ofArc = new Map();
      this.#digests.set(arc, ofArc);
    }
    const text = digest();
    if (text === undefined) return false;
    const known = ofArc.get(appliedIndex);
    if (known === undefined) {
      ofArc.set(appliedIndex, { digest: text, slot, atMs });
      if (ofArc.size > digestsPerArcMax) ofArc.delete(ofArc.keys().next().value as number);
    } else if (known.digest !== text) {
      this.#report('INV-6', `arc ${arc}: replicas differ at applied index ${appliedIndex}`, [
        `${known.atMs.toFixed(3)} ms: slot ${known.slot} has digest ${known.digest}`,
        `${atMs.toFixed(3)} ms: slot ${slot} has digest ${text}`,
      ]);
    }
    return true;
  }

  #report(invariant: string, summary: string, story: readonly string[]): void {
    if (this.violations.some((violation) => violation.summary === summary)) return;
    this.violations.push({ invariant, summary, story });
  }
}

export interface ExpectedArcs {
  readonly arcs: number;
  readonly copies: number;
}

/** Why the arcs aren't all at full redundancy with identical copies now; empty when they are (INV-9). */
export function whyNotConverged(corelets: readonly CoreletInspection[], expected: ExpectedArcs): readonly string[] {
  return reasonsOf(corelets, expected, (voters, holders) => whyNotIdentical(voters) ?? whyOneTooMany(voters, holders));
}

/** Every arc has a leader, and all its voters run with complete copies, though hosts go on writing: one module may be lost for good. */
export function canLoseOne(corelets: readonly CoreletInspection[], expected: ExpectedArcs): boolean {
  return reasonsOf(corelets, expected, () => undefined).length === 0;
}

interface Holder {
  readonly corelet: CoreletInspection;
  readonly replica: ReplicaInspection;
}

function reasonsOf(
  corelets: readonly CoreletInspection[],
  expected: ExpectedArcs,
  further: (voters: readonly Holder[], holders: readonly Holder[]) => string | undefined,
): readonly string[] {
  const reasons: string[] = [];
  const byArc = new Map<number, Holder[]>();
  for (const corelet of corelets) {
    for (const replica of corelet.replicas) {
      const list = byArc.get(replica.arc);
      if (list === undefined) byArc.set(replica.arc, [{ corelet, replica }]);
      else list.push({ corelet, replica });
    }
  }
  for (let arc = 0; arc < expected.arcs; arc++) {
    const reason = whyArcNotWhole(byArc.get(arc) ?? [], expected.copies, further);
    if (reason !== undefined) reasons.push(`arc ${arc}: ${reason}`);
  }
  return reasons;
}

function leaderOf(holders: readonly Holder[]): Holder | undefined {
  let leader: Holder | undefined;
  for (const holder of holders) {
    if (holder.replica.role !== 'leader') continue;
    if (leader === undefined || holder.replica.term > leader.replica.term) leader = holder;
  }
  return leader;
}

function tellHolder({ corelet, replica }: Holder): string {
  const { role, term, generation, commitIndex, appliedIndex, complete, voters, log } = replica;
  const votes = voters.includes(`${corelet.id}.${generation}`) ? 'votes' : 'has no vote';
  return (
    `slot ${corelet.slot} (generation ${generation}, ${votes}${complete ? '' : ', incomplete'}): ${role} of term ${term}, ` +
    `applied ${appliedIndex}, committed ${commitIndex}, log to ${log?.lastIndex ?? '?'} of term ${log?.lastTerm ?? '?'}`
  );
}

function whyArcNotWhole(
  holders: readonly Holder[],
  copies: number,
  further: (voters: readonly Holder[], holders: readonly Holder[]) => string | undefined,
): string | undefined {
  const leader = leaderOf(holders);
  if (leader === undefined) return `no leader; ${holders.map(tellHolder).join('; ') || 'nobody holds a copy'}`;
  const { voters } = leader.replica;
  if (voters.length !== copies) return `${voters.length} voters, ${copies} wanted`;
  const held = holders.filter(({ corelet, replica }) => voters.includes(`${corelet.id}.${replica.generation}`));
  if (held.length < copies) return `${held.length} of ${copies} voters run and hold a copy`;
  const incomplete = held.find(({ replica }) => !replica.complete);
  if (incomplete !== undefined) return `the copy on slot ${incomplete.corelet.slot} isn't complete`;
  return further(held, holders);
}

function whyNotIdentical(voters: readonly Holder[]): string | undefined {
  const leader = leaderOf(voters);
  if (leader === undefined) return 'its leader is no voter';
  const { commitIndex } = leader.replica;
  const lagging = voters.find(({ replica }) => replica.appliedIndex !== commitIndex);
  if (lagging !== undefined) {
    return `slot ${lagging.corelet.slot} applied ${lagging.replica.appliedIndex}, committed is ${commitIndex}`;
  }
  const digest = leader.replica.digest();
  if (voters.some(({ replica }) => replica.digest() === undefined)) return 'maps are being read';
  const other = voters.find(({ replica }) => replica.digest() !== digest);
  return other === undefined ? undefined : `slot ${other.corelet.slot} differs from its leader at the same index`;
}

/** A whole copy that its arc goes on without costs space, and nobody mends it. */
function whyOneTooMany(voters: readonly Holder[], holders: readonly Holder[]): string | undefined {
  const orphan = holders.find((holder) => holder.replica.complete && !voters.includes(holder));
  return orphan === undefined ? undefined : `slot ${orphan.corelet.slot} keeps a copy that the arc goes on without`;
}
