import { assert } from '../base/assert.ts';
import type { ArcId, CoreletId } from '../base/ids.ts';
import { fold32, mix32 } from './hash.ts';
import { isArcCount } from './keys.ts';
import { negativeLogarithm } from './logarithm.ts';
import { type Member, stateOfMember, type View } from './view.ts';

/** No policy keeps more whole copies than this. */
export const copiesMax = 16;
/** A copy that an arc doesn't have yet never makes a flash fuller than this share of what may hold data (docs/decisions/0029). */
export const copyFillMax = 0.9;

const two26 = 0x400_0000;
const two52 = 0x10_0000_0000_0000;
const highSalt = 0x68697068;
const lowSalt = 0x6c6f7765;

/**
 * Where the copies of an arc belong, best first; a pure function of the view, the same on every machine.
 *
 * Weighted rendezvous hashing: every active member draws u ∈ (0, 1) from hash(place, arc) and scores −weight / ln(u);
 * the highest scores win. (We rank by −ln(u) / weight, the lowest first: the same order.) A member that comes or goes
 * changes nobody else's score, so only what it wins or held moves. At most one copy per zone while there are zones
 * enough; then the best of the rest. Spares hold nothing. Draining members hold nothing while the others are as many as
 * the copies: a drain never lowers redundancy. Fewer members than copies: fewer ids.
 */
export function place(view: View, arc: ArcId, copies: number): readonly CoreletId[] {
  return choose(view.members.filter(isActive), arc, copies);
}

/** The draw that decides what a place holds: uniform in (0, 1), 52 bits. */
function draw(placeSeed: number, arc: ArcId): number {
  const high = fold32(fold32(highSalt, placeSeed), arc);
  const low = mix32(fold32(fold32(lowSalt, arc), placeSeed) ^ high);
  return ((high >>> 6) * two26 + (low >>> 6) + 0.5) / two52;
}

function isActive(member: Member): boolean {
  return member.role === 'active';
}

function isDraining(member: Member): boolean {
  return stateOfMember(member) === 'draining';
}

interface Ranked {
  readonly member: Member;
  readonly rank: number;
}

function choose(active: readonly Member[], arc: ArcId, copies: number): readonly CoreletId[] {
  assert(copies >= 1 && copies <= copiesMax, `copies out of range: ${copies}`);
  const ranked: Ranked[] = active.map((member) => {
    assert(member.weight > 0, `weight must be positive: ${member.id}`);
    return { member, rank: negativeLogarithm(draw(member.place, arc)) / member.weight };
  });
  ranked.sort((a, b) => a.rank - b.rank || (a.member.id < b.member.id ? -1 : 1));
  const staying = ranked.filter(({ member }) => !isDraining(member));
  const chosen = spread(staying, copies);
  if (chosen.length === copies) return chosen;
  const rest = ranked.filter(({ member }) => isDraining(member)).map(({ member }) => member.id);
  return [...chosen, ...rest].slice(0, copies);
}

/** The best ranked: of different zones while there are enough, then the best of those passed over. */
function spread(ranked: readonly Ranked[], copies: number): CoreletId[] {
  const chosen: CoreletId[] = [];
  const zones = new Set<string>();
  const passedOver: CoreletId[] = [];
  for (const { member } of ranked) {
    if (chosen.length === copies) break;
    if (zones.has(member.zone)) {
      if (passedOver.length < copies) passedOver.push(member.id);
    } else {
      zones.add(member.zone);
      chosen.push(member.id);
    }
  }
  for (const id of passedOver) {
    if (chosen.length === copies) break;
    chosen.push(id);
  }
  return chosen;
}

/** Passes over the arcs that even the leaderships out; more change nothing. */
const evenPassesMax = 16;

/**
 * The placement of all arcs under one view, computed once. `of(arc)` has the members that `place` names, with the
 * preferred leader first: leaderships are evened out over the copies, as moving one moves no data.
 */
export class PlacementTable {
  readonly view: View;
  readonly arcs: number;
  readonly copies: number;
  readonly #lists: (readonly CoreletId[])[] = [];

  constructor(view: View, arcs: number, copies: number) {
    assert(isArcCount(arcs), `arcs must be a power of two: ${arcs}`);
    this.view = view;
    this.arcs = arcs;
    this.copies = copies;
    const active = view.members.filter(isActive);
    for (let arc = 0; arc < arcs; arc++) this.#lists.push(choose(active, arc as ArcId, copies));
    this.#evenLeaders(active);
  }

  /** Wanted voters of an arc, the preferred leader first. Empty only when the view has no active member. */
  of(arc: ArcId): readonly CoreletId[] {
    const list = this.#lists[arc];
    assert(list !== undefined, `no such arc: ${arc}`);
    return list;
  }

  leaderOf(arc: ArcId): CoreletId | undefined {
    return this.of(arc)[0];
  }

  /** The arcs of which this member should hold a copy, ascending. */
  arcsOf(id: CoreletId): readonly ArcId[] {
    const arcs: ArcId[] = [];
    for (let arc = 0; arc < this.arcs; arc++) if (this.#lists[arc]?.includes(id)) arcs.push(arc as ArcId);
    return arcs;
  }

  #leadsWithout(resting: ReadonlySet<CoreletId>): void {
    for (const [arc, list] of this.#lists.entries()) {
      const leader = list.find((id) => !resting.has(id));
      if (leader !== undefined) this.#lists[arc] = [leader, ...list.filter((id) => id !== leader)];
    }
  }

  // An arc passes to its copy with the least leaderships per weight, as long as that narrows the difference: the highest
  // rank leads first, so the result stays close to it and a change of view disturbs few arcs. Who sits out or drains leads
  // nothing that another copy could lead.
  #evenLeaders(active: readonly Member[]): void {
    const resting = new Set(active.filter((member) => stateOfMember(member) !== 'live').map((member) => member.id));
    if (resting.size > 0) this.#leadsWithout(resting);
    const weights = new Map(active.map((member) => [member.id, member.weight]));
    const leads = new Map(active.map((member) => [member.id, 0]));
    const count = (id: CoreletId): number => leads.get(id) ?? 0;
    const weight = (id: CoreletId): number => weights.get(id) ?? 1;
    for (const [leader] of this.#lists) if (leader !== undefined) leads.set(leader, count(leader) + 1);
    for (let pass = 0; pass < evenPassesMax; pass++) {
      let moved = false;
      for (let arc = 0; arc < this.arcs; arc++) {
        const list = this.#lists[arc] as readonly CoreletId[];
        const leader = list[0];
        if (leader === undefined) continue;
        let best = leader;
        let bestLoad = count(leader) / weight(leader);
        for (const id of list) {
          const load = (count(id) + 1) / weight(id);
          if (id !== leader && load < bestLoad && !resting.has(id)) {
            best = id;
            bestLoad = load;
          }
        }
        if (best === leader) continue;
        leads.set(leader, count(leader) - 1);
        leads.set(best, count(best) + 1);
        this.#lists[arc] = [best, ...list.filter((id) => id !== best)];
        moved = true;
      }
      if (!moved) return;
    }
  }
}

const tables = new WeakMap<View, PlacementTable>();

/** The table of a view, made at its first use and dropped with the view. */
export function placementOf(view: View, arcs: number, copies: number): PlacementTable {
  const known = tables.get(view);
  if (known !== undefined && known.arcs === arcs && known.copies === copies) return known;
  const table = new PlacementTable(view, arcs, copies);
  tables.set(view, table);
  return table;
}
