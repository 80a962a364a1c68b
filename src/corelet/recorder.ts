import type { CoreletId } from '../base/ids.ts';
import { type EventRecord, type Events, placeName } from '../ports/events.ts';
import type { AddressBook } from './address-book.ts';

const places = /\{([0-9a-f]{32})\}/g;

/** Adds the slot to records that name a Corelet only, so that `why SLOT` finds them, and names slots in their text. */
export class Recorder implements Events {
  readonly #events: Events;
  readonly #book: AddressBook;

  constructor(events: Events, book: AddressBook) {
    this.#events = events;
    this.#book = book;
  }

  record(event: Omit<EventRecord, 'atWallMs'>): void {
    const slot = event.slot ?? (event.corelet === undefined ? undefined : this.#slotOf(event.corelet));
    const text = event.text.replaceAll(places, (_, id: string) => placeName(this.#slotOf(id), id));
    this.#events.record(slot === undefined ? { ...event, text } : { ...event, slot, text });
  }

  #slotOf(id: string): number | undefined {
    return this.#book.get(id as CoreletId)?.slot;
  }
}
