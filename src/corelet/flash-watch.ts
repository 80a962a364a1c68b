import type { Clock } from '../ports/clock.ts';
import type { Store } from '../store/store.ts';

/** A register that holds nothing that matters: writing it proves that the flash still writes. */
export const probeRegister = 'probe';
/** At rest the flash is written to this seldom, for proof; a device that is in use proves itself. */
const restProbeMs = 5000;
/** Somebody doubts this Corelet: the proof that it gives is no older than this. */
const doubtProbeMs = 1000;
/** The newest durations from which the latency is told. */
const samplesMax = 15;

/** Whether the flash here makes durable what it is given, and how long it takes: real writes, the host's or our own. */
export class FlashWatch {
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'afterSync' | 'setRegister' | 'syncedSequence'>;
  readonly #tookMs: number[] = [];
  /** Since when the flash owes an answer. */
  #owesMs: number | undefined;
  #provenMs: number;
  #sequence: number;

  constructor(clock: Clock, store: Pick<Store, 'afterSync' | 'setRegister' | 'syncedSequence'>) {
    this.#clock = clock;
    this.#store = store;
    this.#provenMs = clock.nowMs();
    this.#sequence = store.syncedSequence;
  }

  /** A mark behind everything that waits for the flash now, and a write of our own where the last proof is old. */
  look(doubted: boolean): void {
    if (this.#owesMs !== undefined) return;
    const nowMs = this.#clock.nowMs();
    const synced = this.#store.syncedSequence;
    if (synced !== this.#sequence) this.#provenMs = nowMs;
    this.#sequence = synced;
    if (nowMs - this.#provenMs >= (doubted ? doubtProbeMs : restProbeMs)) {
      this.#store.setRegister(probeRegister, new Uint8Array(1));
    }
    this.#owesMs = nowMs;
    let waited = false;
    this.#store.afterSync(() => {
      this.#owesMs = undefined;
      if (waited) this.#proven(this.#clock.nowMs() - nowMs);
    });
    waited = true;
  }

  #proven(tookMs: number): void {
    this.#provenMs = this.#clock.nowMs();
    this.#sequence = this.#store.syncedSequence;
    this.#tookMs.push(tookMs);
    if (this.#tookMs.length > samplesMax) this.#tookMs.shift();
  }

  /** How long the flash has owed an answer; 0 when it owes none. */
  waitMs(): number {
    return this.#owesMs === undefined ? 0 : this.#clock.nowMs() - this.#owesMs;
  }

  /** The median of the newest durations until something was durable, in milliseconds; 0 before there are three. */
  syncMs(): number {
    if (this.#tookMs.length < 3) return 0;
    return this.#tookMs.toSorted((a, b) => a - b)[this.#tookMs.length >> 1] as number;
  }
}
