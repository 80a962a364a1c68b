const samplesMax = 512;

/** How long the newest syncs took, for the health of the device. */
export class SyncTimes {
  readonly #ms = new Float64Array(samplesMax);
  count = 0;

  add(tookMs: number): void {
    this.#ms[this.count % samplesMax] = tookMs;
    this.count++;
  }

  /** The p-th percentile in milliseconds over the newest syncs; 0 before the first. */
  percentile(p: number): number {
    const filled = Math.min(this.count, samplesMax);
    if (filled === 0) return 0;
    const sorted = this.#ms.slice(0, filled).sort();
    return sorted[Math.min(filled - 1, Math.floor((filled * p) / 100))] as number;
  }
}
