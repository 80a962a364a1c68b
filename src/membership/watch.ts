import type { CoreletId } from '../base/ids.ts';
import type { Member } from '../ring/view.ts';
import { type MembershipLimits, stallMs } from './types.ts';

interface Watched {
  /** The deadline counts from here: the last message, or a start with its grace. */
  heardMs: number;
  /** When its connection ended, until it is heard again. */
  resetMs: number | undefined;
  everHeard: boolean;
  accused: boolean;
  lapsed: boolean;
}

export interface WatchChange {
  readonly accused: readonly CoreletId[];
  readonly withdrawn: readonly CoreletId[];
}

/** What one Corelet itself hears of the others, and whom it accuses for it. */
export class Watch {
  readonly #limits: MembershipLimits;
  readonly #peers = new Map<CoreletId, Watched>();
  #withdrawn: CoreletId[] = [];
  #tickMs: number | undefined;
  #graceEndMs = 0;

  constructor(limits: MembershipLimits) {
    this.#limits = limits;
  }

  /** Our own start: whole chassis start at once, slowly, in any order; nobody is accused before its grace is over. */
  start(nowMs: number): void {
    this.#graceEndMs = nowMs + this.#limits.startGraceMs;
  }

  /** Watches these and no others; who is new gets the grace of a start. */
  watch(members: readonly Member[], self: CoreletId, nowMs: number): void {
    const wanted = new Set(members.map((member) => member.id));
    for (const id of this.#peers.keys()) if (!wanted.has(id)) this.#peers.delete(id);
    const graceMs = this.#limits.startGraceMs - this.#limits.suspectAfterMs;
    for (const id of wanted) {
      if (id === self || this.#peers.has(id)) continue;
      const heardMs = nowMs + graceMs;
      this.#peers.set(id, { heardMs, resetMs: undefined, everHeard: false, accused: false, lapsed: false });
    }
  }

  heard(id: CoreletId, nowMs: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    peer.heardMs = nowMs;
    peer.everHeard = true;
    peer.resetMs = undefined;
    peer.lapsed = false;
    if (!peer.accused) return;
    peer.accused = false;
    this.#withdrawn.push(id);
  }

  reset(id: CoreletId, nowMs: number): void {
    const peer = this.#peers.get(id);
    if (peer !== undefined && peer.everHeard) peer.resetMs ??= nowMs;
  }

  lapsed(id: CoreletId): void {
    const peer = this.#peers.get(id);
    if (peer !== undefined) peer.lapsed = true;
  }

  /** Whom we accuse since the last scan, and whom no longer. One pass over all peers. */
  scan(nowMs: number): WatchChange {
    this.#forgiveOwnStall(nowMs);
    const accused: CoreletId[] = [];
    for (const [id, peer] of this.#peers) {
      if (nowMs < this.#graceEndMs) break;
      if (peer.accused) continue;
      const silent = nowMs - peer.heardMs >= this.#limits.suspectAfterMs;
      const cutOff = peer.resetMs !== undefined && nowMs - peer.resetMs >= this.#limits.resetSuspectAfterMs;
      if (!silent && !cutOff) continue;
      peer.accused = true;
      accused.push(id);
    }
    const withdrawn = this.#withdrawn;
    this.#withdrawn = [];
    return { accused, withdrawn };
  }

  // While this process stood still it could hear nobody: that time counts against none of the others.
  #forgiveOwnStall(nowMs: number): void {
    const gapMs = this.#tickMs === undefined ? 0 : nowMs - this.#tickMs;
    this.#tickMs = nowMs;
    if (gapMs < stallMs) return;
    for (const peer of this.#peers.values()) {
      peer.heardMs += Math.min(gapMs, Math.max(0, nowMs - peer.heardMs));
      if (peer.resetMs !== undefined) peer.resetMs += Math.min(gapMs, Math.max(0, nowMs - peer.resetMs));
    }
  }

  accuses(id: CoreletId): boolean {
    return this.#peers.get(id)?.accused === true;
  }

  accused(): CoreletId[] {
    return [...this.#peers].filter(([, peer]) => peer.accused).map(([id]) => id);
  }

  /** How many members we hear or give grace, ourselves included. */
  hears(): number {
    let count = 1;
    for (const peer of this.#peers.values()) if (!peer.accused) count++;
    return count;
  }

  /** Heard since the watch began, not lapsed, not accused. */
  isLive(id: CoreletId): boolean {
    const peer = this.#peers.get(id);
    return peer !== undefined && peer.everHeard && !peer.lapsed && !peer.accused;
  }
}
