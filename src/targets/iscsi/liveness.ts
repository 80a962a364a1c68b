import type { Clock, Timer } from '../../ports/clock.ts';
import type { IscsiLimits } from './limits.ts';

export interface LivenessOptions {
  readonly clock: Clock;
  readonly limits: IscsiLimits;
  /** Whether commands are under way. */
  readonly isBusy: () => boolean;
  /** The initiator holds what others wait for, and does nothing about it: whatever it says, it is dead. */
  readonly isStuck: (nowMs: number) => boolean;
  readonly ping: () => void;
  readonly dead: () => void;
}

/**
 * Asks an initiator that falls silent whether it is there: seldom at rest, soon while its commands are under way, so that they don't
 * count as given up (docs/decisions/0020). One question at a time; no word after it in time: dead.
 */
export class Liveness {
  readonly #options: LivenessOptions;
  #heardMs: number;
  #askedMs: number | undefined;
  #timer: Timer | undefined;
  #isBusyTimer = false;

  constructor(options: LivenessOptions) {
    this.#options = options;
    this.#heardMs = options.clock.nowMs();
    this.#arm();
  }

  heard(): void {
    this.#heardMs = this.#options.clock.nowMs();
  }

  answered(): void {
    this.#askedMs = undefined;
  }

  /** A command has begun. */
  busy(): void {
    if (!this.#isBusyTimer) this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #arm(): void {
    const { clock, limits, isBusy } = this.#options;
    this.#timer?.cancel();
    this.#isBusyTimer = isBusy();
    this.#timer = clock.after(this.#isBusyTimer ? limits.busyPingMs : limits.idlePingMs, () => this.#look());
  }

  #look(): void {
    const { clock, limits, isBusy, isStuck, ping, dead } = this.#options;
    const now = clock.nowMs();
    const silentMs = now - this.#heardMs;
    const asked = this.#askedMs;
    if (asked !== undefined && now - Math.max(asked, this.#heardMs) >= limits.pingAnswerMsMax) return dead();
    if (isStuck(now)) return dead();
    const askAfterMs = isBusy() ? limits.busyPingMs : limits.idlePingMs;
    if (asked === undefined && silentMs >= askAfterMs) {
      this.#askedMs = now;
      ping();
    }
    this.#arm();
  }
}
