import { Reader, Writer } from '../base/bytes.ts';
import type { ArcId, Generation } from '../base/ids.ts';
import type { Store } from '../store/store.ts';

/** So many of an arc's newest are remembered: offers that old are not under way any more. */
const livesPerArcMax = 16;
const registerPrefix = 'ended-lives/';

/**
 * Generations of replicas that were here and are no more (INV-10). A leader that slept may still offer one a copy: taken,
 * it would vote a second time in terms in which it has voted.
 */
export class EndedLives {
  readonly #store: Store;
  readonly #ofArc = new Map<ArcId, Generation[]>();

  /** `registers`: what the device kept of them. @throws RemoteProtocolError */
  constructor(store: Store, registers: ReadonlyMap<string, Uint8Array>) {
    this.#store = store;
    for (const [name, value] of registers) {
      if (!name.startsWith(registerPrefix)) continue;
      const reader = new Reader(value);
      const lives: Generation[] = [];
      for (let left = reader.count(livesPerArcMax, 4); left > 0; left--) lives.push(reader.u32());
      this.#ofArc.set(Number(name.slice(registerPrefix.length)) as ArcId, lives);
    }
  }

  has(arc: ArcId, generation: Generation): boolean {
    return this.#ofArc.get(arc)?.includes(generation) ?? false;
  }

  /**
   * Goes into the log with what is appended now: durable before anything that is told from here on. Returns the register
   * and its value.
   */
  add(arc: ArcId, generation: Generation): readonly [string, Uint8Array] {
    const lives = [...(this.#ofArc.get(arc) ?? []), generation].slice(-livesPerArcMax);
    this.#ofArc.set(arc, lives);
    const writer = new Writer(4 + 4 * livesPerArcMax);
    writer.u32(lives.length);
    for (const life of lives) writer.u32(life);
    const register = [`${registerPrefix}${arc}`, writer.copy()] as const;
    this.#store.setRegister(...register);
    return register;
  }
}
