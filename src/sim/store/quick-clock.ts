import type { Clock, Timer } from '../../ports/clock.ts';

const noTimer: Timer = { cancel: () => {} };

/** A clock that stands still, for restarts on a device without latency: what waits for time to pass never goes on. */
export const quickClock: Clock = {
  nowMs: () => 0,
  wallMs: () => 0,
  soon: (run) => {
    queueMicrotask(run);
  },
  after: () => noTimer,
};
