import type { CoreletId } from '../base/ids.ts';

export interface LivenessLimits {
  /** Between two messages to a peer. */
  readonly intervalMs: number;
  /** Unheard for so long: lapsed. */
  readonly lapseMs: number;
}

export const defaultLivenessLimits: LivenessLimits = { intervalMs: 100, lapseMs: 300 };

interface Pair {
  heardMs: number;
  state: 'new' | 'live' | 'lapsed';
}

export interface LivenessStep {
  /** To whom to send a liveness message now. Valid until the next tick. */
  readonly due: readonly CoreletId[];
  readonly lapsed: readonly CoreletId[];
  /** Heard for the first time, or again after a lapse. */
  readonly returned: readonly CoreletId[];
  /** We stood still ourselves for so long, 0 if we didn't: operations read before may be stale. */
  readonly stalledMs: number;
}

/**
 * Liveness between this Corelet and each of its peers, shared by all arcs: one message per pair and interval, one scan
 * per tick, no timer per peer. Call `tick` at `deadlineMs()`; a call that comes late by more than half a lapse means
 * that *we* stood still, and the peers get that time as an extension.
 */
export class PairLiveness {
  readonly #limits: LivenessLimits;
  readonly #pairs = new Map<CoreletId, Pair>();
  #ids: readonly CoreletId[] = [];
  readonly #returned = new Set<CoreletId>();
  readonly #lapsed = new Set<CoreletId>();
  #nextSendMs = Number.NEGATIVE_INFINITY;
  #tickMs: number | undefined;

  constructor(limits: LivenessLimits = defaultLivenessLimits) {
    this.#limits = limits;
  }

  /** Whom to watch; a new peer has one lapse of time to be heard. */
  setPeers(ids: Iterable<CoreletId>, nowMs: number): void {
    const wanted = new Set(ids);
    for (const id of this.#pairs.keys()) if (!wanted.has(id)) this.#pairs.delete(id);
    for (const id of wanted) if (!this.#pairs.has(id)) this.#pairs.set(id, { heardMs: nowMs, state: 'new' });
    this.#ids = [...this.#pairs.keys()];
  }

  /** Any message from it proves it alive. */
  heard(id: CoreletId, nowMs: number): void {
    const pair = this.#pairs.get(id);
    if (pair === undefined) return;
    pair.heardMs = nowMs;
    if (pair.state === 'live') return;
    pair.state = 'live';
    this.#returned.add(id);
  }

  /** Its connection ended: lapsed at the next tick unless it is heard before. */
  reset(id: CoreletId): void {
    const pair = this.#pairs.get(id);
    if (pair === undefined || pair.state === 'lapsed') return;
    pair.state = 'lapsed';
    this.#lapsed.add(id);
  }

  tick(nowMs: number): LivenessStep {
    const stalledMs = this.#ownStallMs(nowMs);
    this.#tickMs = nowMs;
    for (const [id, pair] of this.#pairs) {
      if (stalledMs > 0) pair.heardMs = Math.min(nowMs, pair.heardMs + stalledMs);
      if (pair.state === 'lapsed' || nowMs - pair.heardMs < this.#limits.lapseMs) continue;
      pair.state = 'lapsed';
      this.#lapsed.add(id);
    }
    const lapsed = [...this.#lapsed].filter((id) => this.#pairs.get(id)?.state === 'lapsed');
    const returned = [...this.#returned].filter((id) => this.#pairs.get(id)?.state === 'live');
    this.#lapsed.clear();
    this.#returned.clear();
    const due = nowMs >= this.#nextSendMs ? this.#ids : [];
    if (due.length > 0) {
      this.#nextSendMs += this.#limits.intervalMs;
      if (!(this.#nextSendMs > nowMs)) this.#nextSendMs = nowMs + this.#limits.intervalMs;
    }
    return { due, lapsed, returned, stalledMs };
  }

  #ownStallMs(nowMs: number): number {
    if (this.#tickMs === undefined) return 0;
    const lateMs = nowMs - this.#tickMs - this.#limits.intervalMs;
    return lateMs > this.#limits.lapseMs / 2 ? lateMs : 0;
  }

  /** When to tick next: at least once per interval. */
  deadlineMs(): number {
    return this.#tickMs === undefined ? Number.NEGATIVE_INFINITY : this.#tickMs + this.#limits.intervalMs / 2;
  }

  /** Heard, and within the lapse. */
  isLive(id: CoreletId): boolean {
    return this.#pairs.get(id)?.state === 'live';
  }

  /** When this peer was last heard; undefined for one that never was. */
  heardMs(id: CoreletId): number | undefined {
    const pair = this.#pairs.get(id);
    return pair === undefined || pair.state === 'new' ? undefined : pair.heardMs;
  }
}
