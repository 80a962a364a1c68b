import type { CoreletId } from '../base/ids.ts';
import type { EventRecord, Events } from '../ports/events.ts';
import type { AddressBook } from './address-book.ts';

/** Adds the slot to records that name a Corelet only, so that `why SLOT` finds them. */
export class Recorder implements Events {
  readonly #events: Events;
  readonly #book: AddressBook;

  constructor(events: Events, book: AddressBook) {
    this.#events = events;
    this.#book = book;
  }

  record(event: Omit<EventRecord, 'atWallMs'>): void {
    const slot =
      event.slot ?? (event.corelet === undefined ? undefined : this.#book.get(event.corelet as CoreletId)?.slot);
    this.#events.record(slot === undefined ? event : { ...event, slot });
  }
}
