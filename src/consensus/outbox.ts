import type { LogIndex, Term } from '../base/ids.ts';
import type { Effects, Entry, HardState, MemberId, Outgoing, RaftMessage } from './types.ts';

/** What most effects have none of: one array for all of them, which nobody changes. */
const none: never[] = [];

/** `list` with one more. The first one comes in an array of just its size: an empty array makes room for seventeen. */
function withOne<Item>(list: Item[], item: Item): Item[] {
  if (list.length === 0) return [item];
  list.push(item);
  return list;
}

/** Collects what a batch of events asks of the owner, until `take`. */
export class Outbox<Body> {
  #truncateFrom: LogIndex | undefined;
  #append: Entry<Body>[] = none;
  #messages: Outgoing<Body>[] = none;
  #readsReady: { token: number; index: LogIndex }[] = none;
  #readsRefused: number[] = none;
  #copyNeeded: MemberId[] = none;
  #commitTaken: LogIndex;
  /** Highest index that was handed to the owner: only what is at or below needs a truncation there. */
  #handedIndex: LogIndex;
  hardStateChanged = false;
  changed = false;

  constructor(handedIndex: LogIndex, commitTaken: LogIndex) {
    this.#handedIndex = handedIndex;
    this.#commitTaken = commitTaken;
  }

  append(entry: Entry<Body>): void {
    this.#append = withOne(this.#append, entry);
  }

  truncateFrom(index: LogIndex): void {
    while (this.#append.length > 0 && (this.#append.at(-1) as Entry<Body>).index >= index) this.#append.pop();
    if (index > this.#handedIndex) return;
    this.#truncateFrom = index;
    this.#handedIndex = index - 1;
  }

  /** The owner has installed a copied state that replaces the log up to `index`. */
  restart(index: LogIndex): void {
    this.#append = none;
    this.#truncateFrom = undefined;
    this.#handedIndex = index;
    this.#commitTaken = index;
  }

  send(to: MemberId, message: RaftMessage<Body>, afterSync: boolean): void {
    this.#messages = withOne(this.#messages, { to, message, afterSync });
  }

  /** The last message queued, if it goes to `to` after the sync and says "matched" in `term`: a newer answer replaces it. */
  replaceMatchedReply(to: MemberId, term: Term, index: LogIndex): void {
    const last = this.#messages.at(-1);
    const message = last?.message;
    const fresh = { type: 'appendReply', term, matched: true, index, hintTerm: 0 } as const;
    if (last?.to === to && message?.type === 'appendReply' && message.matched && message.term === term) {
      if (message.index >= index) return;
      this.#messages[this.#messages.length - 1] = { to, message: fresh, afterSync: true };
    } else {
      this.send(to, fresh, true);
    }
  }

  readReady(token: number, index: LogIndex): void {
    this.#readsReady = withOne(this.#readsReady, { token, index });
  }

  readRefused(token: number): void {
    this.#readsRefused = withOne(this.#readsRefused, token);
  }

  needCopy(member: MemberId): void {
    if (!this.#copyNeeded.includes(member)) this.#copyNeeded = withOne(this.#copyNeeded, member);
  }

  #empty(commitIndex: LogIndex): boolean {
    return (
      commitIndex === this.#commitTaken &&
      !this.changed &&
      !this.hardStateChanged &&
      this.#truncateFrom === undefined &&
      this.#append.length === 0 &&
      this.#messages.length === 0 &&
      this.#readsReady.length === 0 &&
      this.#readsRefused.length === 0 &&
      this.#copyNeeded.length === 0
    );
  }

  /** Hands everything over and starts anew; the arrays are the owner's to keep, but not to change. */
  take(hardState: HardState, commitIndex: LogIndex): Effects<Body> | undefined {
    if (this.#empty(commitIndex)) return undefined;
    const effects: Effects<Body> = {
      truncateFrom: this.#truncateFrom,
      append: this.#append,
      hardState: this.hardStateChanged ? { term: hardState.term, vote: hardState.vote } : undefined,
      messages: this.#messages,
      commitIndex,
      readsReady: this.#readsReady,
      readsRefused: this.#readsRefused,
      copyNeeded: this.#copyNeeded,
      changed: this.changed,
    };
    const last = this.#append.at(-1);
    if (last !== undefined) this.#handedIndex = last.index;
    this.#truncateFrom = undefined;
    this.#commitTaken = commitIndex;
    this.hardStateChanged = false;
    this.changed = false;
    // The owner keeps them until its sync ends: they are never used again here.
    this.#append = none;
    this.#messages = none;
    this.#readsReady = none;
    this.#readsRefused = none;
    this.#copyNeeded = none;
    return effects;
  }
}
