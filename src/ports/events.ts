import type { CoreletId } from '../base/ids.ts';

/** One decision or observation, kept so that `corelet why` can tell it. Plain data, JSON-safe. */
export interface EventRecord {
  readonly atWallMs: number;
  /** Dotted, from the table in docs: `liveness.lapsed`, `view.changed`, `arc.replica-added` … */
  readonly kind: string;
  /** Who this is about, where it applies. */
  readonly slot?: number;
  readonly corelet?: string;
  readonly arc?: number;
  readonly volume?: string;
  /** One plain sentence. */
  readonly text: string;
  readonly data?: Readonly<Record<string, string | number | boolean | readonly (string | number)[]>>;
}

/** Stands for a Corelet in the text of an event, until it is recorded where its slot is known: "slot 3". */
export function placeOf(id: CoreletId): string {
  return `{${id}}`;
}

/** How people are told where that is: by the slot, where it is known. */
export function placeName(slot: number | undefined, id: string): string {
  return slot === undefined ? `Corelet ${id.slice(0, 8)}` : `slot ${slot}`;
}

export interface Events {
  record(event: Omit<EventRecord, 'atWallMs'>): void;
}
