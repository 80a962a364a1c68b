import { blockBytes, type CoreletId } from '../base/ids.ts';
import type { Append } from '../wire/peer/types.ts';
import type { ReplicaContext } from './context.ts';

/** Payload that waits for room; what comes beyond that is dropped, and the leader sends it again. */
const heldBytesMax = 16 * 1024 * 1024;
const lookAgainMs = 5;

interface Held {
  readonly from: CoreletId;
  readonly append: Append;
  readonly bytes: number;
}

/**
 * What a follower's device has no room for at the moment waits here, in order, while space is given back: a leader asks
 * its own device at the door, and knows of another's only what the last heartbeat said.
 */
export class Intake {
  readonly #context: ReplicaContext;
  readonly #deliver: (from: CoreletId, append: Append) => void;
  readonly #held: Held[] = [];
  #heldBytes = 0;
  #stopped = false;

  constructor(context: ReplicaContext, deliver: (from: CoreletId, append: Append) => void) {
    this.#context = context;
    this.#deliver = deliver;
  }

  stop(): void {
    this.#stopped = true;
    this.#held.length = 0;
  }

  /** Delivers now, or when there is room. */
  take(from: CoreletId, append: Append): void {
    let bytes = 0;
    for (const entry of append.entries) bytes += entry.crcs.length * blockBytes;
    if (this.#held.length === 0 && this.#hasRoom(bytes)) {
      this.#deliver(from, append);
      return;
    }
    if (this.#heldBytes + bytes > heldBytesMax) return;
    this.#held.push({ from, append, bytes });
    this.#heldBytes += bytes;
    if (this.#held.length === 1) this.#lookAgain();
  }

  #hasRoom(bytes: number): boolean {
    return bytes === 0 || this.#context.store.roomFor(bytes, 'accepted') === 'ok';
  }

  #lookAgain(): void {
    this.#context.clock.after(lookAgainMs, () => {
      if (this.#stopped) return;
      for (let next = this.#held[0]; next !== undefined && this.#hasRoom(next.bytes); next = this.#held[0]) {
        this.#held.shift();
        this.#heldBytes -= next.bytes;
        this.#deliver(next.from, next.append);
      }
      if (this.#held.length > 0) this.#lookAgain();
    });
  }
}
