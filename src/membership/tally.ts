import type { CoreletId } from '../base/ids.ts';
import { majority, type View } from '../ring/view.ts';
import type { Alert, Removal } from '../wire/membership/types.ts';
import { ringsOf } from './rings.ts';
import type { MembershipLimits } from './types.ts';

/** H and L on K = 10 rings. Rapid has H = 9; one less lets two observers of ten be slow, or just have started. */
const ringsHigh = 8;
const ringsLow = 3;

/** Who accuses a subject, and when each did last. */
type Accusers = Map<CoreletId, number>;

interface Standing {
  readonly id: CoreletId;
  readonly observers: readonly CoreletId[];
  readonly high: number;
  readonly low: number;
}

/**
 * The alerts of all members under one view, and the cut that follows: Rapid's stable cut (Suresh et al., 2018, §4.2). A
 * subject that H of its observers accuse is in it, and it is stable when nobody is between L and H and it hasn't changed
 * for a while. An observer that is itself accused by L counts as an accuser of whoever else is (implicit alerts): those
 * that are lost together can't accuse each other.
 *
 * An accusation isn't taken back. But it grows old, as our views may stand for months: accusations of different days must
 * not add up.
 */
export class Tally {
  readonly #limits: MembershipLimits;
  readonly #accused = new Map<CoreletId, Accusers>();
  readonly #leaving = new Set<CoreletId>();
  /** There was a cut to make, and too many had been lost shortly before. */
  braked = false;
  /** Since when a subject has been between L and H. */
  readonly #unstableSinceMs = new Map<CoreletId, number>();
  #cutKey = '';
  #cutSinceMs = 0;

  constructor(limits: MembershipLimits) {
    this.#limits = limits;
  }

  /** A new view: every accusation is to be made anew. */
  clear(): void {
    this.#accused.clear();
    this.#leaving.clear();
    this.#unstableSinceMs.clear();
    this.#cutKey = '';
    this.braked = false;
  }

  /** Accusations of those who don't watch the subject under `view` are hints, which count for nothing here. */
  hear(view: View, accuser: CoreletId, alert: Alert, nowMs: number): void {
    // Who hears fewer than half is more likely to be cut off itself than right about all the others.
    if (alert.hears * 2 < view.members.length) return;
    const rings = ringsOf(view);
    for (const subject of alert.subjects) {
      if (!rings.observes(accuser, subject)) continue;
      let accusers = this.#accused.get(subject);
      if (accusers === undefined) {
        accusers = new Map();
        this.#accused.set(subject, accusers);
      }
      accusers.set(accuser, nowMs);
    }
  }

  /** It said itself that it goes: no more witnesses are needed. */
  leaves(id: CoreletId): void {
    this.#leaving.add(id);
  }

  /**
   * The cut to propose: empty while there is none or it isn't stable. `heard`: the members that we don't accuse
   * ourselves, we included. `floor`: so many must stay if anybody is removed for silence (losses.ts).
   */
  cut(view: View, heard: ReadonlySet<CoreletId>, floor: number, nowMs: number): readonly Removal[] {
    this.braked = false;
    if (heard.size < majority(view.members.length)) return [];
    const standings = this.#standings(view, heard);
    const removals: Removal[] = this.#goers(view).map((id) => ({ id, reason: 'left', observers: [] }));
    const unstable = new Set<CoreletId>();
    for (const { id, observers, high, low } of standings) {
      if (removals.some((removal) => removal.id === id)) continue;
      if (observers.length >= high) removals.push({ id, reason: 'silent', observers: observers.toSorted() });
      else if (observers.length >= low) unstable.add(id);
    }
    this.#noteUnstable(unstable, nowMs);
    // Those who stay could not decide it; after a partition healed, both sides may still stand accused by the other.
    if (view.members.length - removals.length < majority(view.members.length)) return [];
    this.braked = removals.some(({ reason }) => reason === 'silent') && view.members.length - removals.length < floor;
    if (this.braked) return [];
    removals.sort((a, b) => (a.id < b.id ? -1 : 1));
    const key = removals.map((removal) => removal.id).join();
    if (key !== this.#cutKey) {
      this.#cutKey = key;
      this.#cutSinceMs = nowMs;
    }
    const ageMs = nowMs - this.#cutSinceMs;
    return ageMs >= (unstable.size > 0 ? this.#limits.unstableMaxMs : this.#limits.settleMs) ? removals : [];
  }

  /** Accusations that nobody repeated for long. */
  forgetOld(nowMs: number): void {
    for (const [subject, accusers] of this.#accused) {
      for (const [accuser, atMs] of accusers) if (nowMs - atMs > this.#limits.alertLifeMs) accusers.delete(accuser);
      if (accusers.size === 0) this.#accused.delete(subject);
    }
  }

  /** Whether anybody is leaving, or accused by more than one, so that time matters: a single voice changes nothing. */
  busy(): boolean {
    if (this.#leaving.size > 0) return true;
    for (const accusers of this.#accused.values()) if (accusers.size > 1) return true;
    return false;
  }

  /**
   * Subjects that have been neither in nor out for long: their other observers accuse them too (reinforcement), so that one
   * whom a part of the members can't reach doesn't stay in between for ever. Not when there are many: then it is the
   * network that is divided, and nobody is to be removed for it.
   */
  stuck(view: View, nowMs: number): CoreletId[] {
    if (ringsOf(view).complete) return [];
    const stuck = [...this.#unstableSinceMs].filter(([, sinceMs]) => nowMs - sinceMs >= this.#limits.reinforceMs);
    return stuck.length * 8 <= view.members.length ? stuck.map(([id]) => id) : [];
  }

  // A chassis that is switched off says so everywhere at once: it shall find itself as it was when it comes back.
  #goers(view: View): CoreletId[] {
    const goers = view.members.map((member) => member.id).filter((id) => this.#leaving.has(id));
    return goers.length <= Math.max(1, Math.floor(view.members.length / 4)) ? goers : [];
  }

  #standings(view: View, heard: ReadonlySet<CoreletId>): Standing[] {
    const rings = ringsOf(view);
    const standings: Standing[] = [];
    for (const { id } of view.members) {
      const observers = [...(this.#accused.get(id)?.keys() ?? [])].filter((accuser) => heard.has(accuser));
      if (observers.length === 0) continue;
      const others = heard.size - (heard.has(id) ? 1 : 0);
      const high = rings.complete ? Math.max(2, majority(others)) : ringsHigh;
      const low = rings.complete ? Math.max(2, Math.ceil(high / 3)) : ringsLow;
      standings.push({ id, observers, high, low });
    }
    if (rings.complete) return standings; // H is a majority of those we hear: the lost don't count anyway
    const doubtful = new Set(standings.filter((one) => one.observers.length >= one.low).map((one) => one.id));
    for (const id of this.#leaving) doubtful.add(id);
    if (doubtful.size * 2 >= view.members.length) return standings; // then it is the network, not the members
    return standings.map((one) => {
      if (!doubtful.has(one.id)) return one;
      const implicit = rings.observersOf(one.id).filter((id) => doubtful.has(id) && !one.observers.includes(id));
      return { ...one, observers: [...one.observers, ...implicit] };
    });
  }

  #noteUnstable(unstable: ReadonlySet<CoreletId>, nowMs: number): void {
    for (const id of this.#unstableSinceMs.keys()) if (!unstable.has(id)) this.#unstableSinceMs.delete(id);
    for (const id of unstable) if (!this.#unstableSinceMs.has(id)) this.#unstableSinceMs.set(id, nowMs);
  }
}
