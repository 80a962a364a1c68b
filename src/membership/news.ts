import type { CoreletId } from '../base/ids.ts';
import { membersMax } from '../ring/view.ts';
import type { Decided } from '../wire/membership/types.ts';
import type { Outbox } from './outbox.ts';

const askRepeatMs = 100;
const tellRepeatMs = 50;

/** How views reach those that missed one: whoever is behind asks, whoever is ahead tells; neither floods. */
export class News {
  readonly #outbox: Outbox;
  readonly #toldMs = new Map<CoreletId, number>();
  #nextAskMs = 0;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  /** There is a newer view: everybody may be told again. */
  clear(): void {
    this.#toldMs.clear();
  }

  ask(whom: CoreletId, viewNumber: number, nowMs: number): void {
    if (nowMs < this.#nextAskMs) return;
    this.#nextAskMs = nowMs + askRepeatMs;
    this.#outbox.send(whom, { type: 'ask', viewNumber });
  }

  /** After the sync, as the founding view and that of a lone Corelet are decided by our own disk. */
  tell(whom: CoreletId, newest: Decided, nowMs: number): void {
    if (nowMs < (this.#toldMs.get(whom) ?? Number.NEGATIVE_INFINITY) + tellRepeatMs) return;
    this.told(whom, nowMs);
    this.#outbox.send(whom, newest, true);
  }

  /** It was sent the newest view just now. */
  told(whom: CoreletId, nowMs: number): void {
    if (this.#toldMs.size >= 2 * membersMax) this.#toldMs.clear();
    this.#toldMs.set(whom, nowMs);
  }
}
