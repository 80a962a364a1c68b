/** Bytes that all connections of a target share. Who gets none waits its turn, in order. */
export class Budget {
  readonly #bytesMax: number;
  #bytes = 0;
  readonly #waiting = new Set<() => void>();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** `force`: whoever holds nothing else gets what it needs, so that everybody goes on. False: `wake` is called once there is room. */
  take(bytes: number, force: boolean, wake: () => void): boolean {
    if (!force && this.#bytes + bytes > this.#bytesMax) {
      this.#waiting.add(wake);
      return false;
    }
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
    for (const wake of this.#waiting) {
      if (this.#bytes >= this.#bytesMax) return;
      this.#waiting.delete(wake);
      wake();
    }
  }

  /** The one who waited is gone. */
  forget(wake: () => void): void {
    this.#waiting.delete(wake);
  }
}
