import type { Clock, Timer } from '../../../src/ports/clock.ts';

interface Event {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** Virtual time that goes on by itself: whenever nothing else runs, the next event is due. */
export class TestClock implements Clock {
  #nowMs = 0;
  #order = 0;
  readonly #events: Event[] = [];
  #pumping = false;

  nowMs(): number {
    return this.#nowMs;
  }
  wallMs(): number {
    return this.#nowMs;
  }
  soon(run: () => void): void {
    queueMicrotask(run);
  }
  after(delayMs: number, run: () => void): Timer {
    const event: Event = { atMs: this.#nowMs + delayMs, order: this.#order++, run };
    this.#events.push(event);
    this.#pump();
    return {
      cancel: () => {
        event.run = undefined;
      },
    };
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      this.#events.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
      const event = this.#events.shift();
      if (event === undefined) return;
      this.#nowMs = event.atMs;
      event.run?.();
      if (this.#events.length > 0) this.#pump();
    });
  }
}
