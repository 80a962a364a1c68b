import { Reader, Writer } from '../base/bytes.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { CoreletId } from '../base/ids.ts';
import type { Member } from '../ring/view.ts';

export interface Contact {
  readonly id: CoreletId;
  readonly slot: number;
  readonly address: string;
}

const bookFormat = 1;
const contactsMax = 1024;
const addressMax = 256;

/**
 * Where every Corelet was that this one has known, members no more included: an arc may still need the vote of one that
 * the view dropped (design §5), also after a restart. Names the slots of those who are gone, for status and records.
 */
export class AddressBook {
  readonly #contacts = new Map<CoreletId, Contact>();

  get(id: CoreletId): Contact | undefined {
    return this.#contacts.get(id);
  }

  all(): IterableIterator<Contact> {
    return this.#contacts.values();
  }

  /** True: something is new. The one known longest makes room when there are too many. */
  learn(members: readonly Pick<Member, 'id' | 'slot' | 'address'>[]): boolean {
    let news = false;
    for (const { id, slot, address } of members) {
      const known = this.#contacts.get(id);
      if (known?.slot === slot && known.address === address) continue;
      news = true;
      this.#contacts.delete(id);
      this.#contacts.set(id, { id, slot, address });
      const oldest = this.#contacts.keys().next().value;
      if (this.#contacts.size > contactsMax && oldest !== undefined) this.#contacts.delete(oldest);
    }
    return news;
  }

  // format u8 · count u32 × (id 16 · slot u32 · address text)
  encode(): Uint8Array {
    const writer = new Writer(1024);
    writer.u8(bookFormat);
    writer.u32(this.#contacts.size);
    for (const contact of this.#contacts.values()) {
      writer.id(contact.id);
      writer.u32(contact.slot);
      writer.text(contact.address);
    }
    return writer.copy();
  }

  /** @throws RemoteProtocolError */
  restore(bytes: Uint8Array): void {
    const reader = new Reader(bytes);
    const format = reader.u8();
    if (format !== bookFormat) throw new RemoteProtocolError(`address book of format ${format}`);
    for (let left = reader.count(contactsMax, 22); left > 0; left--) {
      const id = reader.id() as CoreletId;
      const slot = reader.u32();
      this.#contacts.set(id, { id, slot, address: reader.text(addressMax) });
    }
  }
}
