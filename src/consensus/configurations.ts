import type { LogIndex } from '../base/ids.ts';
import type { Configuration } from './types.ts';

interface Placed {
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

/** The configurations of the log: the latest appended one is active; truncating a suffix brings back the one before. */
export class ConfigurationHistory {
  /** Never empty: the first is the one of the compacted part. */
  #placed: Placed[];

  constructor(index: LogIndex, configuration: Configuration) {
    this.#placed = [{ index, configuration }];
  }

  get active(): Configuration {
    return (this.#placed.at(-1) as Placed).configuration;
  }

  get activeIndex(): LogIndex {
    return (this.#placed.at(-1) as Placed).index;
  }

  /** The one that holds at `index`, which isn't below what was compacted. */
  at(index: LogIndex): Configuration {
    let found = this.#placed[0] as Placed;
    for (const placed of this.#placed) if (placed.index <= index) found = placed;
    return found.configuration;
  }

  push(index: LogIndex, configuration: Configuration): void {
    this.#placed.push({ index, configuration });
  }

  /** True when the active configuration changed. */
  truncateFrom(index: LogIndex): boolean {
    const before = this.#placed.length;
    while (this.#placed.length > 1 && this.activeIndex >= index) this.#placed.pop();
    return this.#placed.length !== before;
  }

  compact(index: LogIndex): void {
    while (this.#placed.length > 1 && (this.#placed[1] as Placed).index <= index) this.#placed.shift();
  }

  restart(index: LogIndex, configuration: Configuration): void {
    this.#placed = [{ index, configuration }];
  }
}
