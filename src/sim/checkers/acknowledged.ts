import { replicaOf } from '../../arc/members.ts';
import type { MemberId } from '../../consensus/types.ts';
import { majority } from '../../ring/view.ts';
import type { RegisterKey } from '../history.ts';
import type { Operation } from '../history.ts';
import type { CoreletInspection } from './replicas.ts';
import { tellOperation } from './violation.ts';
import type { Violation } from './violation.ts';

/** One medium, as the checker looks at it: past every Corelet. */
export interface MediumInSlot {
  readonly slot: number;
  readonly id: string;
  /** Whether the write of `value` to the register is durable there. */
  readonly holds: (key: RegisterKey, value: number) => boolean;
}

/** A configuration change this shortly before an operation may have moved its copies while it ran. */
const changeMarginMs = 100;

/**
 * INV-1 at the moment of every acknowledgement: the bytes are on the media of a majority of every active voter set. The
 * media are asked, not the Corelets.
 */
export class AcknowledgedWatch {
  readonly violations: Violation[] = [];
  /** Newest configuration of each arc that was seen, and when. */
  readonly #configurations = new Map<number, { index: number; atMs: number }>();
  checked = 0;

  observe(corelets: readonly CoreletInspection[], atMs: number): void {
    for (const { replicas } of corelets) {
      for (const { arc, configurationIndex } of replicas) {
        if (configurationIndex === undefined) continue;
        const known = this.#configurations.get(arc);
        if (known === undefined) this.#configurations.set(arc, { index: configurationIndex, atMs });
        else if (configurationIndex > known.index) {
          known.index = configurationIndex;
          known.atMs = atMs;
        }
      }
    }
  }

  /** `written`: one register of the operation and the arc that it lies in. */
  acknowledged(
    operation: Operation,
    written: { readonly arc: number; readonly key: RegisterKey },
    corelets: readonly CoreletInspection[],
    media: readonly MediumInSlot[],
    copies: number,
    atMs: number,
  ): void {
    const { arc, key } = written;
    const holders = media.filter(({ holds }) => holds(key, operation.number));
    this.checked++;
    const sets = votersOf(arc, corelets);
    const held = (members: readonly MemberId[]) =>
      members.filter((member) => holders.some(({ id }) => id === replicaOf(member).id)).length;
    if (sets.length > 0 && sets.every((members) => held(members) >= majority(members.length))) return;
    this.observe(corelets, atMs);
    // Copies were moved while the operation ran: then it was a majority of the voters before, or nobody leads now.
    const changedMs = this.#configurations.get(arc)?.atMs ?? 0;
    const moved = sets.length === 0 || changedMs + changeMarginMs >= operation.invokedMs;
    if (moved && holders.length >= majority(copies)) return;
    const names = sets.map((members) => members.map((member) => nameOf(member, media)).join(', '));
    this.violations.push({
      invariant: 'INV-1',
      summary: `op ${operation.number} was acknowledged, but is durable on ${holders.length} media only`,
      story: [
        tellOperation(operation, operation.number),
        `durable on slots ${holders.map(({ slot }) => slot).join(', ') || '(none)'}`,
        ...names.map((voters) => `arc ${arc} has the voters ${voters}`),
        `${atMs.toFixed(3)} ms: acknowledged`,
      ],
    });
  }
}

function nameOf(member: MemberId, media: readonly MediumInSlot[]): string {
  const { id, generation } = replicaOf(member);
  const slot = media.find((medium) => medium.id === id)?.slot;
  return `${slot === undefined ? id : `slot ${slot}`} (generation ${generation})`;
}

/** Of the newest leader that runs; none known: empty. */
function votersOf(arc: number, corelets: readonly CoreletInspection[]): readonly (readonly MemberId[])[] {
  let term = -1;
  let sets: readonly (readonly MemberId[])[] = [];
  for (const { replicas } of corelets) {
    for (const replica of replicas) {
      if (replica.arc !== arc || replica.role !== 'leader' || replica.term <= term) continue;
      term = replica.term;
      const { voters, votersOutgoing = [] } = replica;
      sets = votersOutgoing.length > 0 ? [voters, votersOutgoing] : [voters];
    }
  }
  return sets;
}
