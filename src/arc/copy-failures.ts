import type { ArcId } from '../base/ids.ts';
import type { MemberId } from '../consensus/types.ts';

export const copyRetryLimits = {
  /** After the first failure; twice as long after each further one … */
  firstMs: 50,
  /** … and no longer than this. */
  maxMs: 5000,
  /** A failure so long after the last try is the first one again. */
  forgetMs: 30_000,
} as const;

interface Failures {
  count: number;
  retryAtMs: number;
  reason: string;
}

/**
 * Copies that failed, by arc and receiver. Most succeed at the next try (leadership moved, the receiver was just starting); where the
 * reason stays, neither the flash nor whoever reads the events is troubled ten times a second.
 */
export class CopyFailures {
  readonly #arcs = new Map<ArcId, Map<MemberId, Failures>>();

  /** @returns how often in a row by now, and whether that is news: the first time, twice as often as when it was told last, or for another reason. */
  note(arc: ArcId, to: MemberId, reason: string, nowMs: number): { readonly count: number; readonly isNews: boolean } {
    const { firstMs, maxMs, forgetMs } = copyRetryLimits;
    const receivers = this.#arcs.get(arc) ?? new Map<MemberId, Failures>();
    this.#arcs.set(arc, receivers);
    for (const [member, { retryAtMs }] of receivers) if (nowMs - retryAtMs > forgetMs) receivers.delete(member);
    const before = receivers.get(to);
    const count = (before?.count ?? 0) + 1;
    const isNews = Number.isInteger(Math.log2(count)) || reason !== before?.reason;
    const retryAtMs = nowMs + Math.min(maxMs, firstMs * 2 ** (count - 1));
    receivers.set(to, { count, retryAtMs, reason });
    return { count, isNews };
  }

  /** Whether the next try has to wait. */
  waits(arc: ArcId, to: MemberId, nowMs: number): boolean {
    return nowMs < (this.#arcs.get(arc)?.get(to)?.retryAtMs ?? nowMs);
  }

  succeeded(arc: ArcId, to: MemberId): void {
    this.#arcs.get(arc)?.delete(to);
  }

  /** There is no copy of it here any more that others could be made from. */
  forget(arc: ArcId): void {
    this.#arcs.delete(arc);
  }
}
