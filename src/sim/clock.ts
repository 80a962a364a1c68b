import type { Clock, Timer } from '../ports/clock.ts';
import type { SimEngine, SimProcess } from './engine.ts';

const wallStartMs = Date.UTC(2026, 0, 1);

export interface ClockFaults {
  /** What it shows at virtual time 0. */
  readonly offsetMs: number;
  /** Its milliseconds per virtual millisecond: 1.0002 gains 0.2 ms per second. */
  readonly rate: number;
}

export const trueClock: ClockFaults = { offsetMs: 0, rate: 1 };

/** The clock of one process on virtual time; it may drift, and it stops for ever with its process. */
export class SimClock implements Clock {
  readonly #engine: SimEngine;
  readonly #owner: SimProcess;
  #faults: ClockFaults;

  constructor(engine: SimEngine, owner: SimProcess, faults: ClockFaults = trueClock) {
    this.#engine = engine;
    this.#owner = owner;
    this.#faults = faults;
  }

  nowMs(): number {
    return this.#faults.offsetMs + this.#engine.nowMs * this.#faults.rate;
  }

  /** From now on it runs at `rate`; what it shows doesn't jump. Timers that are set fire as they were set. */
  setRate(rate: number): void {
    this.#faults = { offsetMs: this.nowMs() - this.#engine.nowMs * rate, rate };
  }

  /** Shows `byMs` more from now on. */
  jump(byMs: number): void {
    this.#faults = { ...this.#faults, offsetMs: this.#faults.offsetMs + byMs };
  }

  wallMs(): number {
    return wallStartMs + this.nowMs();
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#engine.schedule(this.#owner, this.#engine.nowMs + Math.max(0, delayMs) / this.#faults.rate, run);
  }

  soon(run: () => void): void {
    this.#engine.soon(this.#owner, run);
  }
}
