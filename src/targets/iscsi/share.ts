import type { Budget } from '../budget.ts';

/** What of a connection is too little to be counted each time that it changes. */
const trifleBytes = 64 * 1024;

/** What one connection holds of the memory that all connections of a Corelet share. */
export class Share {
  readonly #budget: Budget;
  readonly #wake: () => void;
  #unreadBytes = 0;
  #unsentBytes = 0;
  #looseBytes = 0;

  /** `wake`: there may be room, for what was refused. */
  constructor(budget: Budget, wake: () => void) {
    this.#budget = budget;
    this.#wake = wake;
  }

  /** False: there is none; `wake` will be called. `force`: nobody may be kept waiting for ever. */
  take(bytes: number, force: boolean): boolean {
    return this.#budget.take(bytes, force, this.#wake);
  }

  give(bytes: number): void {
    if (bytes !== 0) this.#budget.give(bytes);
  }

  get isOver(): boolean {
    return this.#budget.isOver;
  }

  /** Data of commands that have no room of their own yet: nobody asked for them. */
  get looseBytes(): number {
    return this.#looseBytes;
  }

  collected(bytes: number): void {
    this.#looseBytes += bytes;
    this.#move(bytes);
  }

  /** Received and not yet worked on. */
  set unreadBytes(bytes: number) {
    this.#unreadBytes = this.#count(this.#unreadBytes, bytes);
  }

  /** Answered, and not taken by the system yet. */
  set unsentBytes(bytes: number) {
    this.#unsentBytes = this.#count(this.#unsentBytes, bytes);
  }

  /** The connection is gone: its buffers are. Its commands give back what is theirs. */
  close(): void {
    this.#budget.forget(this.#wake);
    this.unreadBytes = 0;
    this.unsentBytes = 0;
  }

  /** @returns what is counted now, instead of `before`. */
  #count(before: number, bytes: number): number {
    const counted = bytes < trifleBytes ? 0 : bytes;
    this.#move(counted - before);
    return counted;
  }

  #move(bytes: number): void {
    if (bytes > 0) this.#budget.hold(bytes);
    else if (bytes < 0) this.#budget.give(-bytes);
  }
}
