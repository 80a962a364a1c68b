import { blockBytes } from '../../src/base/ids.ts';
import type { Owner } from './owner.ts';
import type { Payload } from './payloads.ts';

export interface Load {
  /** Writes under way at a time. */
  readonly depth: number;
  /** Ends after so many writes, or seconds, whichever comes first. */
  readonly writesMax: number;
  readonly secondsMax?: number;
  /** Block of the volume where write number `i` goes. */
  readonly at: (i: number) => number;
  readonly payload: (i: number) => Payload;
  /** Called when a write is durable, in order. */
  readonly acknowledged?: (i: number) => void;
}

export interface LoadResult {
  readonly writes: number;
  readonly seconds: number;
  /** How often a write had to wait at the door. */
  readonly busy: number;
}

/** A closed loop: as soon as a write is durable and applied the next one comes. Rejects when the store refuses or fails. */
export async function writeMany(owner: Owner, load: Load): Promise<LoadResult> {
  const startedMs = performance.now();
  const endMs = startedMs + (load.secondsMax ?? Number.POSITIVE_INFINITY) * 1000;
  let begun = 0;
  let ended = 0;
  let busy = 0;
  let stopped = false;
  /** Writes that wait at the door: all look again together. */
  let waiting = 0;
  await new Promise<void>((resolve, reject) => {
    owner.store.onFailed(reject);
    const finish = (): void => {
      if (ended === begun && waiting === 0) resolve();
    };
    const begin = (): void => {
      stopped ||= begun >= load.writesMax || performance.now() >= endMs;
      if (stopped) return finish();
      const payload = load.payload(begun);
      const room = owner.store.roomFor(payload.crcs.length * blockBytes);
      if (room === 'full') return reject(new Error(`the store is full: ${JSON.stringify(owner.store.health())}`));
      if (room === 'busy') {
        busy++;
        if (waiting++ === 0) setTimeout(again, 1);
        return;
      }
      const i = begun++;
      owner.write(load.at(i), payload, () => {
        ended++;
        load.acknowledged?.(i);
        begin();
      });
    };
    const again = (): void => {
      const all = waiting;
      waiting = 0;
      for (let i = 0; i < all; i++) begin();
    };
    for (let i = 0; i < load.depth; i++) begin();
  });
  return { writes: ended, seconds: (performance.now() - startedMs) / 1000, busy };
}

/** Overwrites the volume's first chunks, 1 MiB at a time, until `bytes` were written: the log has then been everywhere. */
export async function writeLap(owner: Owner, bytes: number, chunks: readonly Payload[]): Promise<void> {
  const first = 64;
  await writeMany(owner, {
    depth: 8,
    writesMax: Math.ceil(bytes / (256 * blockBytes)),
    at: (i) => (i % first) * 256,
    payload: (i) => chunks[i % chunks.length] as Payload,
  });
}
