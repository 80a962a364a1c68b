import type { Clock } from '../ports/clock.ts';
import { ticketLifeMs } from '../wire/peer/limits.ts';

/** A first host waits at most this long for the tickets of the leaders that live. */
const readyMsMax = 1000;
const lookAgainMs = 10;
/** A ticket received longer ago would soon be refused. */
const freshMs = ticketLifeMs / 2;
/**
 * … and this long after them: its target may know only somewhat late that a command can't have come before a ticket
 * (platform/poll-watch.ts).
 */
const settleMs = 60;

export interface HostPresenceOptions {
  readonly clock: Clock;
  readonly wantTickets: (wanted: boolean) => void;
  /** Whether there is a ticket of every leader that lives, received between the two. */
  readonly isReady: (sinceMs: number, beforeMs: number) => boolean;
}

/** Counts hosts that are connected here: while there are any, peers send tickets often. */
export class HostPresence {
  readonly #options: HostPresenceOptions;
  #count = 0;

  constructor(options: HostPresenceOptions) {
    this.#options = options;
  }

  came(): void {
    this.#count += 1;
    if (this.#count === 1) this.#options.wantTickets(true);
  }

  left(): void {
    this.#count -= 1;
    if (this.#count === 0) this.#options.wantTickets(false);
  }

  /** Resolves when the commands of a new host will find tickets, or when that took too long: then some are refused. */
  async ready(): Promise<void> {
    const { clock, isReady } = this.#options;
    const endMs = clock.nowMs() + readyMsMax;
    for (let now = clock.nowMs(); now < endMs && !isReady(now - freshMs, now - settleMs); now = clock.nowMs()) {
      await new Promise<void>((resolve) => void clock.after(lookAgainMs, resolve));
    }
  }
}
