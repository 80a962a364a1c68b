import { healingLimits } from '../healing/healer.ts';
import type { Clock, Timer } from '../ports/clock.ts';

/** Between two rounds while nothing happens; `healingLimits.tickMs` apart for a while after something did. */
const restMs = 1000;
const wakefulMs = 5000;

/** When a Corelet looks after the arcs that it leads: often for a while after something happened, else seldom. */
export class Rounds {
  readonly #clock: Clock;
  readonly #round: (nowMs: number) => void;
  #wakefulUntilMs = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(clock: Clock, round: (nowMs: number) => void) {
    this.#clock = clock;
    this.#round = round;
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

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #run(): void {
    if (this.#isStopped) return;
    const now = this.#clock.nowMs();
    this.#round(now);
    // At rest all that looks around now and then does it in the same turn: membership at every second one, the hardware too.
    const delayMs = now < this.#wakefulUntilMs ? healingLimits.tickMs : restMs - (now % restMs);
    this.#timer = this.#clock.after(delayMs, () => this.#run());
  }
}
