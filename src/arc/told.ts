export const toldLimits = {
  /** What hasn't changed is told again after this: an event log has an end. */
  againMs: 60_000,
  /** Names remembered; for more all are forgotten together. */
  namesMax: 1024,
} as const;

/** What was told of whom: what is tried over and over isn't told each time. */
export class Told {
  readonly #told = new Map<string, { readonly text: string; readonly atMs: number }>();

  /** Whether that hasn't been told of `name` lately. If so it counts as told. */
  isNews(name: string, text: string, nowMs: number): boolean {
    const before = this.#told.get(name);
    if (before?.text === text && nowMs - before.atMs < toldLimits.againMs) return false;
    if (this.#told.size >= toldLimits.namesMax) this.#told.clear();
    this.#told.set(name, { text, atMs: nowMs });
    return true;
  }

  /** It changed since: whatever comes is news. */
  forget(name: string): void {
    this.#told.delete(name);
  }
}
