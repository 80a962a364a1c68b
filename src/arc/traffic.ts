import type { CoreletId } from '../base/ids.ts';

/** Length of a window; the decision rests on the last whole one. */
const windowMs = 1000;
/** Fewer operations in a window say nothing about where the work is. */
const operationsMin = 4;
/** A gateway that does more than this share of an arc's operations is its home. */
const homeShareMin = 0.75;
/** An arc that nobody used for so long has no home any more. */
const forgetMs = 10_000;

/**
 * Through which gateways an arc's operations come. A leader beside the gateway that does most of them saves two hops of
 * each (design §3): healing gives the leadership there when that gateway is a voter.
 */
export class Traffic {
  readonly #counts = new Map<CoreletId, number>();
  #windowEndMs = 0;
  #home: CoreletId | undefined;
  #decidedMs = 0;

  count(from: CoreletId): void {
    this.#counts.set(from, (this.#counts.get(from) ?? 0) + 1);
  }

  /** Where most of the work comes in; undefined when it comes from several sides, or too little is known. */
  home(nowMs: number): CoreletId | undefined {
    if (nowMs >= this.#windowEndMs) {
      this.#windowEndMs = nowMs + windowMs;
      this.#decide(nowMs);
      this.#counts.clear();
    }
    return this.#home;
  }

  #decide(nowMs: number): void {
    let total = 0;
    let most: CoreletId | undefined;
    let mostCount = 0;
    for (const [id, count] of this.#counts) {
      total += count;
      if (count > mostCount) {
        most = id;
        mostCount = count;
      }
    }
    if (total >= operationsMin) {
      this.#home = mostCount > total * homeShareMin ? most : undefined;
      this.#decidedMs = nowMs;
    } else if (nowMs - this.#decidedMs > forgetMs) {
      this.#home = undefined;
    }
  }
}
