import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from '../ports/clock.ts';
import type { Random } from '../ports/random.ts';

/** How often a process asks itself whether it rests; each a little differently, so that two dozen don't collect at once. */
const lookMs = 5_000;
/** Of one core, between two looks: more, and it is not at rest. */
const restingShareMax = 0.15;
const restingLooksMin = 2;
/** A heap that has grown by less since the last time isn't worth the tens of milliseconds. */
const grownBytesMin = 3 * 1024 * 1024;

type Collect = (options: { type: 'major'; flavor: 'last-resort' }) => void;

/**
 * Gives memory back while the process has nothing to do. Under load the collector is let take its time (`program.ts`:
 * a young generation of 8 MiB, and no full collection before the heap has 128 MiB); that garbage, and what starting left,
 * would stay as long as nothing asks for memory: V8 doesn't look again by itself.
 */
export function collectAtRest(clock: Clock, random: Random): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as Collect;
  let keptBytes = 0;
  /** Once for each time that it had work: what rest itself leaves isn't worth it. */
  let hadWork = true;
  let restingLooks = 0;
  let usage = process.cpuUsage();
  let lookedMs = clock.nowMs();
  const look = (): void => {
    const nowMs = clock.nowMs();
    const { user, system } = process.cpuUsage(usage);
    const share = (user + system) / 1000 / (nowMs - lookedMs);
    hadWork ||= share >= restingShareMax;
    restingLooks = share < restingShareMax ? restingLooks + 1 : 0;
    if (hadWork && restingLooks >= restingLooksMin && process.memoryUsage().heapTotal - keptBytes > grownBytesMin) {
      hadWork = false;
      collect({ type: 'major', flavor: 'last-resort' });
      keptBytes = process.memoryUsage().heapTotal;
    }
    usage = process.cpuUsage();
    lookedMs = clock.nowMs();
    clock.after(lookMs * (0.75 + random.fraction() / 2), look);
  };
  clock.after(lookMs * (0.75 + random.fraction() / 2), look);
}
