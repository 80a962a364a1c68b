import { readChassis, type SlotRecord, withSlot, writeChassis } from './chassis-file.ts';
import { acquireLock } from './lock.ts';
import { findRunning, isRunning } from './process.ts';

/** How often the chassis looks at its slots. Nothing depends on it but the sentence that an operator reads. */
const lookIntervalMs = 500;
const lockWaitMs = 15_000;

/** What the chassis program tells its operator. */
export interface SlotWatcher {
  /** A module's process ended and nobody pulled it. */
  ended(record: SlotRecord): void;
  pulled(record: SlotRecord): void;
  inserted(record: SlotRecord): void;
}

/**
 * Watches the slots until `stop` is called. The chassis is passive: a module that ends leaves its slot empty; only chassis.json
 * is brought up to date.
 */
export function watchSlots(dir: string, watcher: SlotWatcher): { stop(): void } {
  const known = new Map<number, number>(findRunning(dir));
  let stopped = false;
  const look = async (): Promise<void> => {
    const current = readChassis(dir);
    if (stopped || !current.ok) return;
    for (const record of current.chassis.slots) {
      const before = known.get(record.slot);
      if (before !== undefined && !isRunning(dir, record.slot, before)) {
        known.delete(record.slot);
        if (record.pulled) watcher.pulled(record);
        else if (record.pid === before) await markEnded(dir, record, watcher);
      }
      if (record.pid !== null && record.pid !== before && isRunning(dir, record.slot, record.pid)) {
        known.set(record.slot, record.pid);
        watcher.inserted(record);
      }
    }
  };
  const again = (): void => {
    if (stopped) return;
    void look().finally(() => {
      timer = setTimeout(again, lookIntervalMs);
    });
  };
  let timer = setTimeout(again, lookIntervalMs);
  return {
    stop(): void {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

/** Under the lock, and only if nobody pulled or replaced the module meanwhile. */
async function markEnded(dir: string, seen: SlotRecord, watcher: SlotWatcher): Promise<void> {
  const lock = await acquireLock(dir, 'change', lockWaitMs);
  if (lock === undefined) return;
  try {
    const current = readChassis(dir);
    const record = current.ok ? current.chassis.slots[seen.slot] : undefined;
    if (!current.ok || record === undefined) return;
    if (record.pulled) return watcher.pulled(record);
    if (record.pid !== seen.pid) return;
    writeChassis(dir, withSlot(current.chassis, seen.slot, { pid: null }));
    watcher.ended(record);
  } finally {
    lock.release();
  }
}
