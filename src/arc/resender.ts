import type { CoreletId, LogIndex } from '../base/ids.ts';
import type { AppendRequest } from '../consensus/types.ts';
import { placeOf } from '../ports/events.ts';
import type { Replica as ReplicaName, WireEntry } from '../wire/peer/types.ts';
import type { ReplicaContext } from './context.ts';
import { type ArcEntry, bodyIn, type EntryBody, storedShape, wireEntry } from './entry.ts';
import { memberId } from './members.ts';
import type { Replica } from './replica.ts';

interface Outbox {
  readonly queue: AppendRequest<EntryBody>[];
}

function freshEntry(entry: ArcEntry): WireEntry {
  return wireEntry(entry, bodyIn(entry).data ?? []);
}

/**
 * Sends a leader's appends. Fresh entries have their data at hand and go at once; older ones are read back from the
 * store first, and what follows for the same follower waits behind them, so that appends arrive in order.
 */
export class Resender {
  readonly #replica: Replica;
  readonly #context: ReplicaContext;
  /** Followers for which a read is under way. Bounded by the core's in-flight limits. */
  readonly #outboxes = new Map<CoreletId, Outbox>();

  constructor(replica: Replica, context: ReplicaContext) {
    this.#replica = replica;
    this.#context = context;
  }

  send(to: ReplicaName, message: AppendRequest<EntryBody>): void {
    const outbox = this.#outboxes.get(to.id);
    if (outbox !== undefined) {
      outbox.queue.push(message);
      return;
    }
    const entries = this.#ready(message.entries);
    if (entries !== undefined) this.#transmit(to, message, entries);
    else void this.#readAndSend(to, message);
  }

  /** The connection to a follower is new: what was queued for it is void, the core starts again from a probe. */
  reset(id: CoreletId): void {
    const outbox = this.#outboxes.get(id);
    if (outbox !== undefined) outbox.queue.length = 0;
  }

  #ready(entries: readonly ArcEntry[]): WireEntry[] | undefined {
    for (const entry of entries) if (bodyIn(entry).data === undefined) return undefined;
    return entries.map(freshEntry);
  }

  async #readAndSend(to: ReplicaName, first: AppendRequest<EntryBody>): Promise<void> {
    const outbox: Outbox = { queue: [first] };
    this.#outboxes.set(to.id, outbox);
    for (let message = outbox.queue.shift(); message !== undefined; message = outbox.queue.shift()) {
      const entries = await this.#read(to, message);
      if (entries === undefined || !this.#replica.isLeader || this.#replica.core.term !== message.term) break;
      this.#transmit(to, message, entries);
    }
    this.#outboxes.delete(to.id);
  }

  /** Undefined: an entry's data can't be read here: never skipped, and never sent as it is (INV-7). */
  async #read(to: ReplicaName, message: AppendRequest<EntryBody>): Promise<WireEntry[] | undefined> {
    const entries: WireEntry[] = [];
    for (const entry of message.entries) {
      const data = bodyIn(entry).data;
      if (data !== undefined) {
        entries.push(wireEntry(entry, data));
        continue;
      }
      const read = await this.#context.store.readEntryData(storedShape(this.#replica.arc, entry, message.commit));
      if (typeof read === 'string') {
        this.#bad(to, entry.index, read);
        return undefined;
      }
      entries.push(wireEntry(entry, [read]));
    }
    return entries;
  }

  /**
   * What is applied, a copy of the arc brings: its blocks are mended on the way, or were replaced since. What isn't may be
   * on no majority yet: a voter that can read it must lead, and this one not before it has been applied.
   */
  #bad(to: ReplicaName, index: LogIndex, code: 'CORRUPT' | 'UNREADABLE'): void {
    const replica = this.#replica;
    this.#context.events.record({
      kind: 'flash.bad-entry',
      arc: replica.arc,
      corelet: this.#context.self,
      text: `Entry ${index} of arc ${replica.arc} is ${code.toLowerCase()} on the flash in ${placeOf(this.#context.self)}; it was not sent.`,
    });
    if (index <= replica.core.appliedIndex) replica.core.requireCopy(memberId(to.id, to.generation));
    else replica.distrustUpTo(index);
    replica.flush();
  }

  #transmit(to: ReplicaName, message: AppendRequest<EntryBody>, entries: readonly WireEntry[]): void {
    this.#replica.transmit(to.id, {
      type: 'append',
      arc: this.#replica.arc,
      fromGeneration: this.#replica.generation,
      toGeneration: to.generation,
      term: message.term,
      prevIndex: message.prevIndex,
      prevTerm: message.prevTerm,
      commit: message.commit,
      entries,
    });
  }
}
