import type { Clock, Timer } from '../ports/clock.ts';

/** Rounds of callbacks that ask for callbacks, before I/O gets its turn: a bound for a loop that feeds itself (INV-8). */
const roundsMax = 64;

/**
 * Node cuts fractions off and counts from the beginning of a turn, so that a timer may come a millisecond before its time, find
 * nothing due and be set anew: two wake-ups for one. The short ones are wanted soon rather than exactly.
 */
const exactFromMs = 10;

/**
 * The machine's clock. `soon` collects callbacks until everything that one poll for I/O brought has been handled
 * (Node's check phase): the messages of all sockets that were readable together make one batch. What callbacks ask
 * for in turn runs in the same phase, so that a reply leaves without another trip through the event loop.
 */
class SystemClock implements Clock {
  #asked: (() => void)[] = [];
  #running: (() => void)[] = [];
  #scheduled = false;

  nowMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  after(delayMs: number, run: () => void): Timer {
    const timeout = setTimeout(run, delayMs < exactFromMs ? delayMs : Math.ceil(delayMs) + 1);
    return { cancel: () => clearTimeout(timeout) };
  }

  soon(run: () => void): void {
    this.#asked.push(run);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#drain);
  }

  readonly #drain = (): void => {
    let at = 0;
    try {
      for (let round = 0; round < roundsMax && this.#asked.length > 0; round++) {
        const batch = this.#asked;
        this.#asked = this.#running;
        this.#running = batch;
        for (at = 0; at < batch.length; ) (batch[at++] as () => void)();
        batch.length = 0;
        at = 0;
      }
    } finally {
      // A callback that threw must not take the others of its batch with it.
      if (at > 0) this.#asked.unshift(...this.#running.slice(at));
      this.#running.length = 0;
      this.#scheduled = this.#asked.length > 0;
      if (this.#scheduled) setImmediate(this.#drain);
    }
  };
}

export function createClock(): Clock {
  return new SystemClock();
}
