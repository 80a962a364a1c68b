/**
 * A host's way to give a command up: ABORT TASK, LUN RESET, a queue deleted, a session replaced. Whatever is open of the
 * command then settles when it is applied or can't be any more (design §10.1); its answers are nobody's.
 */
export class Abandonment {
  readonly #open = new Set<() => void>();
  #isGivenUp = false;

  get isGivenUp(): boolean {
    return this.#isGivenUp;
  }

  giveUp(): void {
    if (this.#isGivenUp) return;
    this.#isGivenUp = true;
    for (const giveUp of this.#open) giveUp();
  }

  /** Called once when the command is given up, at once if it has been. */
  attach(giveUp: () => void): void {
    this.#open.add(giveUp);
    if (this.#isGivenUp) giveUp();
  }

  detach(giveUp: () => void): void {
    this.#open.delete(giveUp);
  }
}
