/** Bytes that all connections of a target share. Who gets none waits its turn, in order. */
export class Budget {
  readonly #bytesMax: number;
  #bytes = 0;
  /** What to call, and for how much room. */
  readonly #waiting = new Map<() => void, number>();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** More is held than there should be: what is forced isn't refused. */
  get isOver(): boolean {
    return this.#bytes > this.#bytesMax;
  }

  /**
   * `force`: whoever holds nothing else gets what it needs, so that everybody goes on; as does whoever is alone. False: `wake` is called once
   * there is room.
   */
  take(bytes: number, force: boolean, wake: () => void): boolean {
    if (!force && this.#bytes > 0 && this.#bytes + bytes > this.#bytesMax) {
      this.#waiting.set(wake, bytes); // again: keeps its place
      return false;
    }
    this.#bytes += bytes;
    return true;
  }

  /** What is there already, whether there is room or not. */
  hold(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Whoever is woken finds room for what it asked for; nobody overtakes the first, whose request may be large. */
  give(bytes: number): void {
    this.#bytes -= bytes;
    for (const [wake, wantedBytes] of this.#waiting) {
      if (this.#bytes > 0 && this.#bytes + wantedBytes > this.#bytesMax) return;
      this.#waiting.delete(wake);
      wake();
    }
  }

  /** The one who waited is gone, or needs no more. */
  forget(wake: () => void): void {
    this.#waiting.delete(wake);
  }
}
