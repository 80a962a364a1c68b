import assert from 'node:assert/strict';
import type { Entry, MemberId } from '../../../src/consensus/types.ts';
import type { Observer, Replica } from './replica.ts';

interface Committed {
  readonly text: string;
  readonly term: number;
  /** Term of whoever committed it first. */
  readonly byTerm: number;
}

function textOf(entry: Entry<string>): string {
  return `${entry.term} ${entry.kind} ${entry.body ?? JSON.stringify(entry.configuration ?? null)}`;
}

/** INV-1, INV-2 (reads) and INV-3, checked at every append, commit, election and read of a whole cluster. */
export class Checker implements Observer {
  readonly replicas: ReadonlyMap<MemberId, Replica>;
  readonly #leaders = new Map<number, MemberId>();
  readonly #entries = new Map<string, string>();
  readonly committed: Committed[] = [{ text: '', term: 0, byTerm: 0 }];
  readonly #readFloors = new Map<number, number>();
  readonly readResults = new Map<number, 'pending' | 'ready' | 'refused'>();
  readonly copiesNeeded: { readonly leader: MemberId; readonly member: MemberId }[] = [];
  elections = 0;
  readsChecked = 0;

  constructor(replicas: ReadonlyMap<MemberId, Replica>) {
    this.replicas = replicas;
  }

  /** Log matching, by induction: equal (index, term) means equal entry and equal predecessor. */
  appended(replica: Replica, entry: Entry<string>, previousTerm: number | undefined): void {
    if (previousTerm === undefined) return; // its predecessor was compacted in the same batch
    const key = `${entry.index} ${entry.term}`;
    const text = `${previousTerm} | ${textOf(entry)}`;
    const known = this.#entries.get(key);
    if (known === undefined) this.#entries.set(key, text);
    else assert.equal(text, known, `INV-3: log matching broken at ${key} on ${replica.id}`);
  }

  applied(replica: Replica, entry: Entry<string>): void {
    const core = replica.running;
    const known = this.committed[entry.index];
    if (known !== undefined) {
      assert.equal(textOf(entry), known.text, `INV-3: state machine safety broken at ${entry.index} on ${replica.id}`);
      return;
    }
    assert.equal(entry.index, this.committed.length, 'committed in order');
    this.committed.push({ text: textOf(entry), term: entry.term, byTerm: core.term });
    if (core.role !== 'leader') return;
    const { voters, votersOutgoing } = core.configuration;
    for (const set of [voters, votersOutgoing]) {
      const holders = set.filter((member) => this.#isDurable(member, entry)).length;
      assert.ok(
        set.length === 0 || holders * 2 > set.length,
        `INV-1: ${entry.index} committed on ${holders} of ${set.join()}`,
      );
    }
  }

  #isDurable(member: MemberId, entry: Entry<string>): boolean {
    const disk = this.replicas.get(member)?.disk;
    if (disk === undefined) return false;
    return entry.index <= disk.base.index || disk.entries[entry.index - disk.base.index - 1]?.term === entry.term;
  }

  changed(replica: Replica): void {
    const core = replica.running;
    if (core.role !== 'leader') return;
    const known = this.#leaders.get(core.term);
    if (known === replica.id) return;
    assert.equal(known, undefined, `INV-3: election safety broken in term ${core.term}: ${known} and ${replica.id}`);
    this.#leaders.set(core.term, replica.id);
    this.elections += 1;
    for (let index = core.firstIndex; index < this.committed.length; index++) {
      const entry = this.committed[index] as Committed;
      if (entry.byTerm >= core.term) continue;
      assert.equal(
        core.termAt(index),
        entry.term,
        `INV-3: leader ${replica.id} of ${core.term} lacks committed ${index}`,
      );
    }
  }

  readAsked(token: number): void {
    this.#readFloors.set(token, this.committed.length - 1);
    this.readResults.set(token, 'pending');
  }

  readReady(replica: Replica, token: number, index: number): void {
    const floor = this.#readFloors.get(token) as number;
    assert.ok(index >= floor, `INV-2: read at ${replica.id} confirmed at ${index}, ${floor} was committed before`);
    this.readResults.set(token, 'ready');
    this.readsChecked += 1;
  }

  readRefused(_replica: Replica, token: number): void {
    this.readResults.set(token, 'refused');
  }

  copyNeeded(replica: Replica, member: MemberId): void {
    this.copiesNeeded.push({ leader: replica.id, member });
  }
}
