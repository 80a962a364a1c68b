/** Time, told from outside: the machine's on a real Corelet, virtual in the simulator. */
export interface Clock {
  /** Monotonic milliseconds, fractional, since an arbitrary start. The only time that decisions use. */
  nowMs(): number;
  /** Milliseconds since 1970, for records that people read; never for decisions. */
  wallMs(): number;
  /** Calls `run` once after `delayMs`. */
  after(delayMs: number, run: () => void): Timer;
  /** Calls `run` when the work at hand is done, before any later I/O or timer: the end of a batch. */
  soon(run: () => void): void;
}

export interface Timer {
  cancel(): void;
}
