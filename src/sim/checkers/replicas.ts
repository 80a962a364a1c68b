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
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
}

const digestsPerArcMax = 64; // newest applied indexes; older ones can't meet again soon

/** Watches the replicas while the run goes on: what must be true at every moment (INV-3, INV-6, INV-10). */
export class ReplicaWatch {
  readonly violations: Violation[] = [];
  readonly #leaders = new Map<string, { readonly slot: number; readonly id: string; readonly atMs: number }>();
  readonly #seen = new Map<string, SeenReplica>();
  readonly #digests = new Map<
    number,
    Map<number, { readonly digest: string; readonly slot: number; readonly atMs: number }>
  >();

  /** Terms, leaders and indexes: cheap, for every few milliseconds of virtual time. */
  observe(corelets: readonly CoreletInspection[], atMs: number): void {
    for (const corelet of corelets) {
      for (const replica of corelet.replicas) {
        if (replica.role === 'leader') this.#observeLeader(corelet, replica, atMs);
        this.#observeProgress(corelet, replica, atMs);
      }
    }
  }

  /** Contents: dearer, for now and then. Replicas still being copied to hold nothing that could be compared. */
  compare(corelets: readonly CoreletInspection[], atMs: number): void {
    for (const { slot, replicas } of corelets) {
      for (const replica of replicas) {
        if (replica.complete && replica.appliedIndex > 0) this.#compareDigest(slot, replica, atMs);
      }
    }
  }

  #observeLeader({ slot, id }: CoreletInspection, { arc, term }: ReplicaInspection, atMs: number): void {
    const key = `${arc}/${term}`;
    const known = this.#leaders.get(key);
    if (known === undefined) this.#leaders.set(key, { slot, id, atMs });
    else if (known.id !== id) {
      this.#report('INV-3', `arc ${arc}: two leaders in term ${term}`, [
        `${known.atMs.toFixed(3)} ms: slot ${known.slot} leads arc ${arc} in term ${term}`,
        `${atMs.toFixed(3)} ms: slot ${slot} leads arc ${arc} in term ${term}`,
      ]);
    }
  }

  #observeProgress({ slot, id, start }: CoreletInspection, replica: ReplicaInspection, atMs: number): void {
    const { arc, generation, term, commitIndex, appliedIndex } = replica;
    const replicaKey = `${id}/${arc}/${generation}`;
    const known = this.#seen.get(`${replicaKey}/${start}`);
    const where = `arc ${arc} on slot ${slot}`;
    const at = `${atMs.toFixed(3)} ms`;
    if (appliedIndex > commitIndex) {
      this.#report('INV-3', `${where}: applied ${appliedIndex}, committed only ${commitIndex}`, [`${at}: ${where}`]);
    }
    if (
      known !== undefined &&
      (term < known.term || commitIndex < known.commitIndex || appliedIndex < known.appliedIndex)
    ) {
      this.#report('INV-3', `${where}: went back`, [
        `before: term ${known.term}, commit ${known.commitIndex}, applied ${known.appliedIndex}`,
        `${at}: term ${term}, commit ${commitIndex}, applied ${appliedIndex}`,
      ]);
    }
    const termBefore = this.#seen.get(replicaKey)?.term ?? 0;
    if (term < termBefore) {
      this.#report('INV-3', `${where}: forgot term ${termBefore} over a restart`, [`${at}: term ${term}`]);
    }
    const seen = { term, commitIndex, appliedIndex };
    this.#seen.set(`${replicaKey}/${start}`, seen);
    this.#seen.set(replicaKey, seen);
  }

  #compareDigest(slot: number, { arc, appliedIndex, digest }: ReplicaInspection, atMs: number): void {
    let ofArc = this.#digests.get(arc);
    if (ofArc === undefined) {
      ofArc = new Map();
      this.#digests.set(arc, ofArc);
    }
    const text = digest();
    if (text === undefined) return; // its map is being read: the next look will tell
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
  return reasonsOf(corelets, expected, (holders) => whyNotIdentical(holders));
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
  further: (voters: readonly Holder[]) => string | undefined,
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

function whyArcNotWhole(
  holders: readonly Holder[],
  copies: number,
  further: (voters: readonly Holder[]) => string | undefined,
): string | undefined {
  const leader = leaderOf(holders);
  if (leader === undefined) return 'no leader';
  const { voters } = leader.replica;
  if (voters.length !== copies) return `${voters.length} voters, ${copies} wanted`;
  const held = holders.filter(({ corelet, replica }) => voters.includes(`${corelet.id}.${replica.generation}`));
  if (held.length < copies) return `${held.length} of ${copies} voters run and hold a copy`;
  const incomplete = held.find(({ replica }) => !replica.complete);
  if (incomplete !== undefined) return `the copy on slot ${incomplete.corelet.slot} isn't complete`;
  return further(held);
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
