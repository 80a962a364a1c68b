import { readFileSync } from 'node:fs';
import type { Clock, Timer } from '../ports/clock.ts';

/** Between two samples while anyone watches. */
const sampleMs = 20;
/** What libuv reads from a socket at once: a read that filled it may have left something behind. */
const readBytesMax = 65_536;
/** Where the kernel doesn't tell how much a socket may hold unread: more than any does by default. */
const receiveBufferBytesDefault = 64 * 1024 * 1024;

/**
 * Knows a recent moment since which the event loop has asked the kernel for input at least once in full: a connection that
 * brought nothing then was empty then (design §10.10). Also notices when this process stood still.
 *
 * A timer's turn comes before a poll, an immediate's after it: between the two lies one whole poll.
 */
export class PollWatch {
  /** By the clock: a whole poll has followed. */
  passedMs: number;
  readonly #clock: Clock;
  readonly #stalledMsMax: number;
  readonly #onStalled: (turnMs: number) => void;
  readonly #onTurn: (turnMs: number, endedMs: number) => void;
  #sampledMs = 0;
  #timer: Timer | undefined;

  /** `onTurn`: how long each took from look to look, the pause between two looks (20 ms) included, and when it ended by the clock. */
  constructor(
    clock: Clock,
    stalledMsMax: number,
    onStalled: (turnMs: number) => void,
    onTurn: (turnMs: number, endedMs: number) => void = () => undefined,
  ) {
    this.#clock = clock;
    this.#stalledMsMax = stalledMsMax;
    this.#onStalled = onStalled;
    this.#onTurn = onTurn;
    this.passedMs = clock.nowMs();
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#sampledMs = this.#clock.nowMs();
    // An immediate may be asked for in the middle of a poll: its own turn only begins what is to be measured.
    setImmediate(() => this.#sample());
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** What had arrived may be looked at before this watch is: then a connection is closed before the timer tells that all stood still. */
  noticeStall(): void {
    const now = this.#clock.nowMs();
    if (now - this.#sampledMs > this.#stalledMsMax) this.#look(now);
  }

  #schedule(): void {
    this.#timer = this.#clock.after(sampleMs, () => {
      this.#schedule();
      this.#sample();
    });
  }

  #look(now: number): void {
    const turnMs = now - this.#sampledMs;
    this.#sampledMs = now;
    this.#onTurn(turnMs, now);
    if (turnMs > this.#stalledMsMax) this.#onStalled(turnMs);
  }

  #sample(): void {
    const now = this.#clock.nowMs();
    this.#look(now);
    setImmediate(() => {
      this.passedMs = now;
    });
  }
}

/** Of one connection: a moment at which what it brings now had surely not arrived. */
export class Arrivals {
  readonly #watch: PollWatch;
  readonly #receiveBufferBytesMax: number;
  #drainedMs: number;
  /** When the last read filled its buffer or was the last of its turn, if so: there may have been more, until a whole poll brings nothing. */
  #filledMs = Number.NEGATIVE_INFINITY;
  /** When reading was taken up again: what comes may have waited, until a whole poll has passed. */
  #resumedMs = Number.NEGATIVE_INFINITY;
  #isPaused = false;
  #bytes = 0;
  /** Of a moment in the past: what had arrived by then is read when a whole receive buffer more has been. */
  #markMs: number;
  #markBytes = 0;

  constructor(watch: PollWatch, receiveBufferBytesMax: number) {
    this.#watch = watch;
    this.#receiveBufferBytesMax = receiveBufferBytesMax;
    this.#drainedMs = watch.passedMs;
    this.#markMs = watch.passedMs;
  }

  /** Nothing is read any more: for now, or because the other side has ended its part. */
  paused(): void {
    this.#isPaused = true;
  }

  /** Reading was paused and goes on at `nowMs`: what comes first may have waited. */
  resumed(nowMs: number): void {
    this.#isPaused = false;
    this.#resumedMs = nowMs;
  }

  /** By the clock, the newest moment at which the other side had surely not closed the connection, as far as the network tells. */
  get openMs(): number {
    const { passedMs } = this.#watch;
    const isWatched = !this.#isPaused && passedMs > this.#filledMs && passedMs > this.#resumedMs;
    return isWatched ? passedMs : this.#drainedMs;
  }

  /** A chunk was read at `nowMs`; `isHeld`: and no more in this turn, whatever was there (reading-turn.ts). @returns the moment. */
  read(lengthBytes: number, nowMs: number, isHeld = false): number {
    const { passedMs } = this.#watch;
    // After a read that didn't fill its buffer it was empty: then, or in the poll that brought nothing since.
    if (passedMs > this.#filledMs && passedMs > this.#resumedMs) this.#drainedMs = passedMs;
    if (this.#bytes - this.#markBytes >= this.#receiveBufferBytesMax) {
      this.#drainedMs = Math.max(this.#drainedMs, this.#markMs);
      this.#markMs = passedMs;
      this.#markBytes = this.#bytes;
    }
    this.#bytes += lengthBytes;
    this.#filledMs = isHeld || lengthBytes >= readBytesMax ? nowMs : Number.NEGATIVE_INFINITY;
    return this.#drainedMs;
  }
}

/** Bytes that a TCP socket and what Node keeps of it may hold unread. */
export function receiveBufferBytesMax(): number {
  try {
    const [, , max] = readFileSync('/proc/sys/net/ipv4/tcp_rmem', 'latin1').trim().split(/\s+/).map(Number);
    if (max !== undefined && Number.isSafeInteger(max)) return max + 2 * readBytesMax;
  } catch {
    // another system: the default
  }
  return receiveBufferBytesDefault;
}
