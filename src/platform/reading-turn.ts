/**
 * What is read from sockets in one turn of the event loop. Once that is enough, whoever has more goes on in the next one, behind
 * what timers and others have to do.
 */
export class ReadingTurn {
  readonly #bytesMax: number;
  readonly #soon: (run: () => void) => void;
  #bytes = 0;
  #isCounting = false;
  #waiting: (() => void)[] = [];

  /** `soon`: runs something once all that is ready in this turn has been looked at, before the next one begins (`setImmediate`). */
  constructor(bytesMax: number, soon: (run: () => void) => void) {
    this.#bytesMax = bytesMax;
    this.#soon = soon;
  }

  /** @returns whether that is enough for this turn. */
  took(bytes: number): boolean {
    this.#bytes += bytes;
    if (!this.#isCounting) {
      this.#isCounting = true;
      this.#soon(this.#next);
    }
    return this.#bytes >= this.#bytesMax;
  }

  /** `goOn` is called when the next turn may read. */
  whenNext(goOn: () => void): void {
    this.#waiting.push(goOn);
  }

  readonly #next = (): void => {
    this.#bytes = 0;
    this.#isCounting = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const goOn of waiting) goOn();
  };
}
