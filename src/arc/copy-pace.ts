/** How fast copies go out from one Corelet. Rates in bytes per second, times in milliseconds. */
export const copyPaceLimits = {
  rateMax: 1024 * 1024 * 1024,
  /** However busy hosts are, copies of safe arcs don't stand still … */
  safeRateMin: 1024 * 1024,
  /** … and those of arcs that may lose nothing more run at least so fast, … */
  endangeredRateMin: 8 * 1024 * 1024,
  /** … and so much faster that all of them are out of danger in this time; where that can't be, flat out. */
  endangeredMs: 16_000,
  /** Of that time, what is always left to plan with: behind it, the rate stays. */
  endangeredLeftMsMin: 2_000,
  /** Hosts have to bear operations that take so many times as long as without copies; beyond it, copies give way. */
  latencyFactorMax: 1.2,
  /** Latencies are compared as if none were below this: the grain of clocks and of one sync. */
  latencyMsMin: 1,
  /** Without an operation for so long, there is nobody to give way to. */
  quietMs: 300,
  slowDown: 0.7,
  speedUp: 1.15,
} as const;

/** Weight of one operation in the latency of now, and in that of the time without copies. */
const nowWeight = 0.05;
const usualWeight = 0.005;

/**
 * The pace of healing (design §6): speed follows risk. Copies of safe arcs take what hosts leave, measured by how long the
 * operations of hosts take here against how long they took before; copies of arcs one loss from losing their quorum have a
 * floor that brings them out of danger soon. Below the floor hosts win, above it copies do only where hosts don't notice.
 */
export class CopyPace {
  #usualMs = 0;
  #nowMs = 0;
  #heardMs = Number.NEGATIVE_INFINITY;
  #copying = false;
  #rate: number = copyPaceLimits.rateMax;
  #floor: number = copyPaceLimits.endangeredRateMin;
  #endangeredSinceMs: number | undefined;
  /** Of what has left already, how much the rate hasn't allowed yet, as of then. */
  #debtBytes = 0;
  #paidMs = 0;

  /** An operation of a host took so long, from its arrival at its leader here to its outcome. */
  served(tookMs: number, nowMs: number): void {
    this.#heardMs = nowMs;
    this.#nowMs += (tookMs - this.#nowMs) * (this.#nowMs === 0 ? 1 : nowWeight);
    if (this.#copying) return;
    this.#usualMs += (tookMs - this.#usualMs) * (this.#usualMs === 0 ? 1 : usualWeight);
  }

  /** Looks at how hosts fare. `endangeredBytes`: what copies of endangered arcs led here still have to move. Call it every 100 ms or so. */
  look(nowMs: number, copying: boolean, endangeredBytes: number): void {
    this.#copying = copying;
    this.#adjustFloor(nowMs, endangeredBytes);
    const { latencyFactorMax, latencyMsMin, quietMs, rateMax, safeRateMin, slowDown, speedUp } = copyPaceLimits;
    if (this.isQuiet(nowMs, quietMs)) {
      this.#rate = rateMax;
      return;
    }
    if (!copying) {
      this.#rate = this.#floor; // where the next copies begin: hosts that just lost a Corelet wait long enough as it is
      return;
    }
    const isSlow = this.#nowMs > Math.max(this.#usualMs, latencyMsMin) * latencyFactorMax;
    // From "as fast as it goes", the way down begins where copies really are.
    const from = Math.min(this.#rate, isSlow ? 8 * this.#floor : rateMax);
    this.#rate = Math.min(rateMax, Math.max(safeRateMin, from * (isSlow ? slowDown : speedUp)));
  }

  #adjustFloor(nowMs: number, endangeredBytes: number): void {
    const { endangeredMs, endangeredLeftMsMin, endangeredRateMin } = copyPaceLimits;
    if (endangeredBytes === 0) {
      this.#endangeredSinceMs = undefined;
      this.#floor = endangeredRateMin;
      return;
    }
    this.#endangeredSinceMs ??= nowMs;
    const leftMs = Math.max(endangeredLeftMsMin, this.#endangeredSinceMs + endangeredMs - nowMs);
    // It doesn't fall while there is danger: what is left would take ever longer.
    this.#floor = Math.max(this.#floor, (endangeredBytes * 1000) / leftMs);
  }

  /** Bytes per second that copies of safe or of endangered arcs may send now. */
  rate(endangered: boolean): number {
    return endangered ? Math.max(this.#rate, this.#floor) : this.#rate;
  }

  /** No host has had an operation done here for so long. */
  isQuiet(nowMs: number, forMs: number): boolean {
    return nowMs - this.#heardMs > forMs;
  }

  /** Asks for the turn of so many bytes. @returns 0: they may leave; else ask again after so many milliseconds. */
  take(bytes: number, endangered: boolean, nowMs: number): number {
    const rate = this.rate(endangered);
    this.#debtBytes = Math.max(0, this.#debtBytes - (Math.max(0, nowMs - this.#paidMs) * rate) / 1000);
    this.#paidMs = nowMs;
    if (this.#debtBytes > 0) return (this.#debtBytes * 1000) / rate;
    this.#debtBytes = bytes;
    return 0;
  }
}
