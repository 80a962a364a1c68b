import type { EventsAnswer } from '../admin/types.ts';
import type { EventRecord } from '../ports/events.ts';

/** The same fact, told by several Corelets within this time, is one line. */
const sameFactMs = 5_000;

export interface MergedEvent extends EventRecord {
  /** Slots of the Corelets that tell it. */
  readonly slots: readonly number[];
}

/** All Corelets' events by time, what several of them tell as one. */
export function mergeEvents(answers: readonly EventsAnswer[]): readonly MergedEvent[] {
  const all = answers.flatMap(({ answeredBy, events }) => events.map((event) => ({ event, slot: answeredBy.slot })));
  all.sort((a, b) => a.event.atWallMs - b.event.atWallMs);
  const merged: (EventRecord & { slots: number[] })[] = [];
  const newest = new Map<string, EventRecord & { slots: number[] }>();
  for (const { event, slot } of all) {
    const fact = JSON.stringify([event.kind, event.slot, event.corelet, event.arc, event.volume, event.text]);
    const before = newest.get(fact);
    if (before !== undefined && event.atWallMs - before.atWallMs <= sameFactMs) {
      if (!before.slots.includes(slot)) before.slots.push(slot);
      continue;
    }
    const fresh = { ...event, slots: [slot] };
    newest.set(fact, fresh);
    merged.push(fresh);
  }
  for (const event of merged) event.slots.sort((a, b) => a - b);
  return merged;
}
