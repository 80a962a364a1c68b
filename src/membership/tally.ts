import type { CoreletId } from '../base/ids.ts';
import { majority, type View } from '../ring/view.ts';
import type { Alert, Removal } from '../wire/membership/types.ts';
import type { MembershipLimits } from './types.ts';

interface Voice {
  readonly sequence: number;
  readonly hears: number;
  readonly subjects: ReadonlySet<CoreletId>;
  readonly atMs: number;
}

/**
 * The alerts of all members under one view, and the cut that follows: Rapid's stable cut (Suresh et al., 2018), with all
 * watching all. Subjects that H distinct accusers name are in it, H a majority of those that we hear ourselves (at
 * least 2); it is stable when nobody is between L and H and it hasn't changed for a while.
 *
 * Unlike in Rapid an accuser may take its word back (a full list replaces its last one), as our views may stand for
 * months: accusations of different days must not add up. What is proposed is not taken back.
 */
export class Tally {
  readonly #limits: MembershipLimits;
  #voices = new Map<CoreletId, Voice>();
  #leaving = new Set<CoreletId>();
  #cutKey = '';
  #cutSinceMs = 0;

  constructor(limits: MembershipLimits) {
    this.#limits = limits;
  }

  /** A new view: every accusation is to be made anew. */
  clear(): void {
    this.#voices.clear();
    this.#leaving.clear();
    this.#cutKey = '';
  }

  hear(accuser: CoreletId, alert: Alert, nowMs: number): void {
    const known = this.#voices.get(accuser);
    // An older list that comes late; a much older number is an accuser that started anew.
    if (known !== undefined && alert.sequence < known.sequence && known.sequence - alert.sequence < 1000) return;
    const { sequence, hears } = alert;
    this.#voices.set(accuser, { sequence, hears, subjects: new Set(alert.subjects), atMs: nowMs });
  }

  /** It said itself that it goes: no more witnesses are needed. */
  leaves(id: CoreletId): void {
    this.#leaving.add(id);
  }

  /**
   * The cut to propose: empty while there is none or it isn't stable. `heard`: the members that we don't accuse
   * ourselves, we included.
   */
  cut(view: View, heard: ReadonlySet<CoreletId>, nowMs: number): readonly Removal[] {
    if (heard.size < majority(view.members.length)) return [];
    const removals: Removal[] = [];
    let unstable = false;
    for (const member of view.members) {
      const observers = this.#accusersOf(member.id, view.members.length, heard, nowMs);
      const others = heard.size - (heard.has(member.id) ? 1 : 0);
      const high = Math.max(2, majority(others));
      const low = Math.max(2, Math.ceil(high / 3));
      if (this.#leaving.has(member.id)) removals.push({ id: member.id, reason: 'left', observers: [] });
      else if (observers.length >= high) removals.push({ id: member.id, reason: 'silent', observers });
      else if (observers.length >= low) unstable = true;
    }
    const key = removals.map((removal) => removal.id).join();
    if (key !== this.#cutKey) {
      this.#cutKey = key;
      this.#cutSinceMs = nowMs;
    }
    const ageMs = nowMs - this.#cutSinceMs;
    return ageMs >= (unstable ? this.#limits.unstableMaxMs : this.#limits.settleMs) ? removals : [];
  }

  /** Whether anybody is accused or leaving, so that time matters. */
  busy(): boolean {
    if (this.#leaving.size > 0) return true;
    for (const voice of this.#voices.values()) if (voice.subjects.size > 0) return true;
    return false;
  }

  // Who hears fewer than half is more likely to be cut off itself than right about all the others.
  #accusersOf(subject: CoreletId, members: number, heard: ReadonlySet<CoreletId>, nowMs: number): CoreletId[] {
    const accusers: CoreletId[] = [];
    for (const [accuser, voice] of this.#voices) {
      if (!voice.subjects.has(subject) || accuser === subject || !heard.has(accuser)) continue;
      if (voice.hears * 2 < members || nowMs - voice.atMs > this.#limits.alertLifeMs) continue;
      accusers.push(accuser);
    }
    return accusers.sort();
  }
}
