/** A turn longer than this is counted: hosts notice it. */
const longTurnMs = 100;

/**
 * How long the event loop took at a time to come round, told by watches that look at the clock anyway while hosts are connected
 * (poll-watch.ts): a process without hosts isn't woken for it. A turn is measured from look to look, so never too short.
 */
export class LoopTurns {
  longestMs = 0;
  /** Turns over 100 ms. */
  longCount = 0;
  #countedUntilMs = Number.NEGATIVE_INFINITY;

  /** Several watches tell of the same one, each where hosts of its protocol are connected: it is counted once. */
  took(turnMs: number, endedMs: number): void {
    if (turnMs > this.longestMs) this.longestMs = turnMs;
    if (turnMs <= longTurnMs || endedMs - turnMs < this.#countedUntilMs) return;
    this.#countedUntilMs = endedMs;
    this.longCount += 1;
  }
}
