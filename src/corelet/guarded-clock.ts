import type { Clock } from '../ports/clock.ts';

/** A clock whose callbacks run under `guard`. */
export function guardedClock(clock: Clock, guard: (run: () => void) => void): Clock {
  return {
    nowMs: () => clock.nowMs(),
    wallMs: () => clock.wallMs(),
    after: (delayMs, run) => clock.after(delayMs, () => guard(run)),
    soon: (run) => clock.soon(() => guard(run)),
  };
}
