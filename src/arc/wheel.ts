import type { Clock, Timer } from '../ports/clock.ts';

/** Something that waits for time. */
export interface Timed {
  /** When `tick` is due; Infinity when it waits for nothing. */
  readonly deadlineMs: number;
  tick(): void;
}

/**
 * One timer for all arcs of a Corelet (design §10.13): idle ones cost nothing, busy ones a number each. A deadline mostly moves
 * away before it comes (what was sent is acknowledged), so that it is looked at again only when the one last heard of has come.
 */
export class Wheel {
  readonly #clock: Clock;
  /** Two turns are at least this far apart. */
  readonly #stepMs: number;
  /** By when each is looked at: its deadline, or earlier. */
  readonly #due = new Map<Timed, number>();
  /** Those that this turn looks at; kept, to be filled anew. */
  readonly #ripe: Timed[] = [];
  #timer: Timer | undefined;
  #turnMs = Number.POSITIVE_INFINITY;
  #stopped = false;

  constructor(clock: Clock, stepMs: number) {
    this.#clock = clock;
    this.#stepMs = stepMs;
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#due.clear();
  }

  /** Its deadline may be nearer than when it was last heard of. */
  arm(timed: Timed, deadlineMs: number): void {
    const due = this.#due.get(timed);
    if (this.#stopped || (due !== undefined && due <= deadlineMs)) return;
    this.#due.set(timed, deadlineMs);
    this.#turnAt(deadlineMs);
  }

  forget(timed: Timed): void {
    this.#due.delete(timed);
  }

  #turnAt(atMs: number): void {
    const now = this.#clock.nowMs();
    const turnMs = Math.max(atMs, now + this.#stepMs);
    if (turnMs >= this.#turnMs) return;
    this.#timer?.cancel();
    this.#turnMs = turnMs;
    this.#timer = this.#clock.after(turnMs - now, () => this.#turn());
  }

  #turn(): void {
    this.#timer = undefined;
    this.#turnMs = Number.POSITIVE_INFINITY;
    const now = this.#clock.nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    // Without a pair made of each: hundreds of arcs are looked through a hundred times a second.
    this.#due.forEach((due, timed) => {
      if (due <= now) this.#ripe.push(timed);
      else if (due < nextMs) nextMs = due;
    });
    for (const timed of this.#ripe) {
      if (timed.deadlineMs <= now) timed.tick();
      const { deadlineMs } = timed;
      // Its place is kept: taken out and put in again, it would cost the map a new table time and again.
      if (deadlineMs < Number.POSITIVE_INFINITY && !this.#stopped) this.#due.set(timed, deadlineMs);
      else this.#due.delete(timed);
      if (deadlineMs < nextMs) nextMs = deadlineMs;
    }
    this.#ripe.length = 0;
    if (nextMs < Number.POSITIVE_INFINITY && !this.#stopped) this.#turnAt(nextMs);
  }
}
