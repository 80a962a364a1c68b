import type { CoreletId } from '../base/ids.ts';
import type { Member } from '../ring/view.ts';
import { type MembershipLimits, stallMs } from './types.ts';

/** In what way a Corelet that can be heard has failed all the same. */
export type Failing = 'flash' | 'deaf';

interface Watched {
  /** When it was last heard, or since when it could have been. */
  heardMs: number;
  /** Not accused before that, unless it was heard: it may only be starting. */
  graceMs: number;
  /** When its connection ended, until it is heard again. */
  resetMs: number | undefined;
  everHeard: boolean;
  accused: boolean;
  /** Its flash hangs, or it doesn't hear us: it has failed, however well it speaks. */
  failing: Failing | undefined;
  /** Since when it hasn't answered a question, until it is heard again. */
  lapsedMs: number | undefined;
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
  /** When the next scan was due, as `deadlineMs` said. */
  #dueMs = Number.POSITIVE_INFINITY;
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
    const { startGraceMs } = this.#limits;
    for (const id of wanted) {
      if (id === self || this.#peers.has(id)) continue;
      const peer = { heardMs: nowMs, graceMs: nowMs + startGraceMs, resetMs: undefined, lapsedMs: undefined };
      this.#peers.set(id, { ...peer, everHeard: false, accused: false, failing: undefined });
    }
  }

  heard(id: CoreletId, nowMs: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    peer.heardMs = nowMs;
    peer.everHeard = true;
    peer.resetMs = undefined;
    peer.lapsedMs = undefined;
    if (!peer.accused || peer.failing !== undefined) return;
    peer.accused = false;
    this.#withdrawn.push(id);
  }

  /** What its own messages tell of it. True: that is news. */
  failing(id: CoreletId, failing: Failing | undefined, nowMs: number): boolean {
    const peer = this.#peers.get(id);
    if (peer === undefined || peer.failing === failing) return false;
    peer.failing = failing;
    if (failing === undefined) this.heard(id, nowMs);
    return true;
  }

  reset(id: CoreletId, nowMs: number): void {
    const peer = this.#peers.get(id);
    if (peer !== undefined && peer.everHeard) peer.resetMs ??= nowMs;
  }

  /** It was asked and didn't answer. */
  lapsed(id: CoreletId, nowMs: number): void {
    const peer = this.#peers.get(id);
    if (peer !== undefined) peer.lapsedMs ??= nowMs;
  }

  /** Whom we accuse since the last scan, and whom no longer. One pass over all peers. */
  scan(nowMs: number): WatchChange {
    this.#forgiveOwnStall(nowMs);
    const accused: CoreletId[] = [];
    for (const [id, peer] of this.#peers) {
      if (peer.accused || nowMs < this.#accusedAtMs(peer)) continue;
      peer.accused = true;
      accused.push(id);
    }
    const withdrawn = this.#withdrawn;
    this.#withdrawn = [];
    return { accused, withdrawn };
  }

  #accusedAtMs(peer: Watched): number {
    if (peer.failing !== undefined) return this.#graceEndMs;
    const { suspectAfterMs, resetSuspectAfterMs, silenceMaxMs } = this.#limits;
    const atMs = Math.min(
      peer.heardMs + silenceMaxMs,
      (peer.lapsedMs ?? Number.POSITIVE_INFINITY) + suspectAfterMs,
      (peer.resetMs ?? Number.POSITIVE_INFINITY) + resetSuspectAfterMs,
    );
    return Math.max(atMs, this.#graceEndMs, peer.everHeard ? Number.NEGATIVE_INFINITY : peer.graceMs);
  }

  /** When the next scan is due: somebody is to be accused then, or an accusation is to be taken back now. */
  deadlineMs(): number {
    if (this.#withdrawn.length > 0) return Number.NEGATIVE_INFINITY;
    let deadlineMs = Number.POSITIVE_INFINITY;
    for (const peer of this.#peers.values()) {
      if (!peer.accused) deadlineMs = Math.min(deadlineMs, this.#accusedAtMs(peer));
    }
    return deadlineMs;
  }

  // While this process stood still it could hear nobody: that time counts against none of the others.
  #forgiveOwnStall(nowMs: number): void {
    const lateMs = nowMs - this.#dueMs;
    this.#dueMs = Number.POSITIVE_INFINITY;
    if (!(lateMs >= stallMs)) return;
    for (const peer of this.#peers.values()) {
      peer.heardMs += Math.min(lateMs, Math.max(0, nowMs - peer.heardMs));
      if (peer.resetMs !== undefined) peer.resetMs += Math.min(lateMs, Math.max(0, nowMs - peer.resetMs));
      if (peer.lapsedMs !== undefined) peer.lapsedMs += Math.min(lateMs, Math.max(0, nowMs - peer.lapsedMs));
    }
  }

  /** The owner will scan at that time at the latest. */
  expectScan(atMs: number): void {
    this.#dueMs = atMs;
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
    return peer !== undefined && peer.everHeard && peer.lapsedMs === undefined && !peer.accused;
  }
}
