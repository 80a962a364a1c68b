import { assert } from '../base/assert.ts';
import type { LogIndex, Term } from '../base/ids.ts';
import type { Entry } from './types.ts';

/** Dropped slots that are kept at the front of the array before it is cut: makes compaction cheap however often it comes. */
const droppedSlotsMax = 1024;
/** Entries in one append message, however small they are. */
export const appendEntriesMax = 1024;

/** The part of the log that is in memory: contiguous from `firstIndex`; of what was before, only the last index and term. */
export class RaftLog<Body> {
  #entries: (Entry<Body> | undefined)[] = [];
  #dropped = 0;
  /** The last index that isn't held any more, and its term; 0 and 0 when the log begins at 1. */
  compactedIndex: LogIndex;
  compactedTerm: Term;

  constructor(compactedIndex: LogIndex, compactedTerm: Term) {
    this.compactedIndex = compactedIndex;
    this.compactedTerm = compactedTerm;
  }

  get firstIndex(): LogIndex {
    return this.compactedIndex + 1;
  }

  get lastIndex(): LogIndex {
    return this.compactedIndex + this.#entries.length - this.#dropped;
  }

  get lastTerm(): Term {
    return this.#entries.length > this.#dropped ? (this.#entries.at(-1) as Entry<Body>).term : this.compactedTerm;
  }

  entry(index: LogIndex): Entry<Body> | undefined {
    if (index <= this.compactedIndex) return undefined;
    return this.#entries[this.#dropped + index - this.compactedIndex - 1];
  }

  /** Undefined where the log doesn't know: below what was compacted, or beyond the end. */
  termAt(index: LogIndex): Term | undefined {
    return index === this.compactedIndex ? this.compactedTerm : this.entry(index)?.term;
  }

  push(entry: Entry<Body>): void {
    assert(entry.index === this.lastIndex + 1, 'INV-3: an entry out of its place', entry.index, this.lastIndex);
    assert(entry.term >= this.lastTerm, 'INV-3: an entry of an earlier term', entry.term, this.lastTerm);
    this.#entries.push(entry);
  }

  /** Drops the entries from `index` on. */
  truncateFrom(index: LogIndex): void {
    assert(index > this.compactedIndex, 'INV-3: truncating what was compacted', index, this.compactedIndex);
    this.#entries.length = this.#dropped + index - this.compactedIndex - 1;
  }

  /** Drops the entries up to and including `index` from memory. */
  compact(index: LogIndex): void {
    if (index <= this.compactedIndex) return;
    const term = this.termAt(index);
    assert(term !== undefined, 'compacting what is not there', index, this.lastIndex);
    const upTo = this.#dropped + index - this.compactedIndex;
    this.#entries.fill(undefined, this.#dropped, upTo);
    this.#dropped = upTo;
    this.compactedIndex = index;
    this.compactedTerm = term;
    if (this.#dropped > droppedSlotsMax || this.#dropped === this.#entries.length) {
      this.#entries.splice(0, this.#dropped);
      this.#dropped = 0;
    }
  }

  /** Forgets everything: the log continues after a state that was copied from elsewhere. */
  restart(index: LogIndex, term: Term): void {
    this.#entries = [];
    this.#dropped = 0;
    this.compactedIndex = index;
    this.compactedTerm = term;
  }

  /** Entries from `from` on, up to `bytesMax` of them (but one at least) and `appendEntriesMax`. `from` must be held or the end + 1. */
  slice(from: LogIndex, bytesMax: number): Entry<Body>[] {
    const last = Math.min(this.lastIndex, from + appendEntriesMax - 1);
    let end = from;
    for (let bytes = 0; end <= last; end++) {
      bytes += (this.entry(end) as Entry<Body>).bytes;
      if (bytes > bytesMax && end > from) break;
    }
    const start = this.#dropped + from - this.compactedIndex - 1;
    return this.#entries.slice(start, start + end - from) as Entry<Body>[];
  }

  /** The highest index ≤ `index` whose term is ≤ `term`, but not below `floor`: where two logs can agree at best. */
  highestWithTermUpTo(index: LogIndex, term: Term, floor: LogIndex): LogIndex {
    let at = Math.min(index, this.lastIndex);
    while (at > floor) {
      const here = this.termAt(at);
      if (here === undefined || here <= term) break;
      at -= 1;
    }
    return Math.max(at, floor);
  }
}
