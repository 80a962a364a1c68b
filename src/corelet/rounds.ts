import { healingLimits } from '../healing/healer.ts';
import type { Clock, Timer } from '../ports/clock.ts';

/** Between two rounds while nothing happens; `healingLimits.tickMs` apart for a while after something did. */
const restMs = 1000;
const wakefulMs = 5000;

/** When a Corelet looks after the arcs that it leads: often for a while after something happened, else seldom. */
export class Rounds {
  readonly #clock: Clock;
  readonly #round: (nowMs: number) => void;
  readonly #step: () => void;
  #wakefulUntilMs = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;
  #hurryTimer: Timer | undefined;
  #steppedMs = Number.NEGATIVE_INFINITY;
  #isStopped = false;

  /** `step` is what a round does that others wait for. */
  constructor(clock: Clock, round: (nowMs: number) => void, step: () => void) {
    this.#clock = clock;
    this.#round = round;
    this.#step = step;
  }

  /** The first one at once. */
  start(): void {
    this.stayAwake();
    this.#run();
  }

  /** There is work: the next rounds come soon. */
  stayAwake(): void {
    this.#wakefulUntilMs = this.#clock.nowMs() + wakefulMs;
  }

  /** Something changed: the next round comes soon even if it was to come late. */
  wake(): void {
    const slept = this.#clock.nowMs() >= this.#wakefulUntilMs;
    this.stayAwake();
    if (!slept || this.#timer === undefined || this.#isStopped) return;
    this.#timer.cancel();
    this.#timer = this.#clock.after(healingLimits.tickMs, () => this.#run());
  }

  /** A next step may be possible: it is taken at once, or `hurryMs` after the last one. */
  hurry(): void {
    if (this.#hurryTimer !== undefined || this.#timer === undefined || this.#isStopped) return;
    const delayMs = Math.max(0, this.#steppedMs + healingLimits.hurryMs - this.#clock.nowMs());
    this.#hurryTimer = this.#clock.after(delayMs, () => {
      this.#hurryTimer = undefined;
      if (this.#isStopped) return;
      this.#steppedMs = this.#clock.nowMs();
      this.#step();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#hurryTimer?.cancel();
  }

  #run(): void {
    if (this.#isStopped) return;
    const now = this.#clock.nowMs();
    this.#steppedMs = now;
    this.#round(now);
    // At rest all that looks around now and then does it in the same turn: membership at every second one, the hardware too.
    const delayMs = now < this.#wakefulUntilMs ? healingLimits.tickMs : restMs - (now % restMs);
    this.#timer = this.#clock.after(delayMs, () => this.#run());
  }
}
