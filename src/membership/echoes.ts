import type { CoreletId } from '../base/ids.ts';

/** What we sent so long ago a peer that hears us has heard, whenever it speaks. */
const deafMs = 2000;

/** Whether peers that we hear hear us too: each of their messages names the newest of ours that reached them. */
export class Echoes {
  /** Per peer the first message sent since the last one that it echoed. */
  readonly #open = new Map<CoreletId, { readonly sequence: number; readonly atMs: number }>();

  sent(to: CoreletId, sequence: number, nowMs: number): void {
    if (!this.#open.has(to)) this.#open.set(to, { sequence, atMs: nowMs });
  }

  /** A message from it, with that echo. True: it is deaf to us. Sequences are u32 and wrap. */
  isDeaf(from: CoreletId, echo: number, nowMs: number): boolean {
    const open = this.#open.get(from);
    if (open === undefined) return false;
    if ((echo - open.sequence) >>> 0 < 0x8000_0000) {
      this.#open.delete(from);
      return false;
    }
    return nowMs - open.atMs >= deafMs;
  }

  /** A new connection, or no peer any more: nothing is open. */
  forget(id: CoreletId): void {
    this.#open.delete(id);
  }
}
