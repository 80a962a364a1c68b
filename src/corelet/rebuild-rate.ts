/** How much each new measurement counts against the ones before. */
const smoothing = 0.3;

export interface RebuildProgress {
  readonly bytesLeft: number;
  readonly bytesPerSecond: number;
  readonly secondsLeft: number | null;
}

/** Follows the bytes that copies still have to move and estimates when they are done. Sample it at a steady pace. */
export class RebuildRate {
  #bytesLeft = 0;
  #bytesPerSecond = 0;
  #sampledMs: number | undefined;

  sample(bytesLeft: number, nowMs: number): void {
    const before = this.#sampledMs;
    if (before !== undefined && nowMs > before) {
      const moved = Math.max(0, this.#bytesLeft - bytesLeft);
      const rate = (moved * 1000) / (nowMs - before);
      this.#bytesPerSecond =
        this.#bytesPerSecond === 0 ? rate : this.#bytesPerSecond * (1 - smoothing) + rate * smoothing;
    }
    if (bytesLeft === 0) this.#bytesPerSecond = 0;
    this.#bytesLeft = bytesLeft;
    this.#sampledMs = nowMs;
  }

  progress(): RebuildProgress {
    const bytesPerSecond = Math.round(this.#bytesPerSecond);
    const left = this.#bytesLeft;
    const secondsLeft = left === 0 ? 0 : bytesPerSecond > 0 ? Math.ceil(left / bytesPerSecond) : null;
    return { bytesLeft: left, bytesPerSecond, secondsLeft };
  }
}
