import type { Clock } from '../ports/clock.ts';

/** Lets others run for `delayMs`; with 0, whatever is ready. */
export function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve);
  });
}
