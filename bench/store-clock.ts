import type { Clock, Timer } from '../src/ports/clock.ts';

/** The machine's time. */
export class RealClock implements Clock {
  nowMs(): number {
    return performance.now();
  }
  wallMs(): number {
    return Date.now();
  }
  soon(run: () => void): void {
    setImmediate(run);
  }
  after(delayMs: number, run: () => void): Timer {
    const timer = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timer) };
  }
}
