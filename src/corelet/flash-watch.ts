import type { Clock } from '../ports/clock.ts';
import type { Store } from '../store/store.ts';

/** A register that holds nothing that matters: writing it proves that the flash still writes. */
export const probeRegister = 'probe';
/** At rest the flash is written to this seldom, for proof; a device that is in use proves itself. */
const restProbeMs = 15_000;
/** Somebody doubts this Corelet: the proof that it gives is no older than this. */
const doubtProbeMs = 5000;
/** A device in use is measured this often; and that of one that sits out, to be seen when it is well again. */
const eagerProbeMs = 1000;
/** The newest durations, of this time, from which the latency is told: with fewer it isn't known, as on a device at rest. */
const samplesMax = 15;
const samplesMs = 12_000;
const samplesMin = 8;
/** A device whose newest duration is older isn't in use any more: under load all take longer, and it would be compared with others at rest. */
const currentMs = 4000;

/** Why a proof, or a measurement, is wanted sooner than at rest. */
export type ProbeCause = 'rest' | 'doubted' | 'sitting-out';

/** Whether the flash here makes durable what it is given, and how long it takes: real writes, the host's or our own. */
export class FlashWatch {
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'afterSync' | 'setRegister' | 'syncedSequence'>;
  readonly #samples: { readonly atMs: number; readonly tookMs: number }[] = [];
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
  look(cause: ProbeCause): void {
    if (this.#owesMs !== undefined) return;
    const nowMs = this.#clock.nowMs();
    const synced = this.#store.syncedSequence;
    const inUse = synced !== this.#sequence;
    if (inUse) this.#provenMs = nowMs;
    this.#sequence = synced;
    const measuredMs = this.#samples.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY;
    const old = nowMs - this.#provenMs >= (cause === 'doubted' ? doubtProbeMs : restProbeMs);
    if (old || ((inUse || cause === 'sitting-out') && nowMs - measuredMs >= eagerProbeMs)) {
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
    const atMs = this.#clock.nowMs();
    this.#provenMs = atMs;
    this.#sequence = this.#store.syncedSequence;
    this.#samples.push({ atMs, tookMs });
    this.#forget(atMs - samplesMs);
    if (this.#samples.length > samplesMax) this.#samples.shift();
  }

  #forget(beforeMs: number): void {
    while ((this.#samples[0]?.atMs ?? beforeMs) < beforeMs) this.#samples.shift();
  }

  /** How long the flash has owed an answer; 0 when it owes none. */
  waitMs(): number {
    return this.#owesMs === undefined ? 0 : this.#clock.nowMs() - this.#owesMs;
  }

  /** The median of the newest durations until something was durable, in milliseconds; 0 when too little was written to tell. */
  syncMs(): number {
    const nowMs = this.#clock.nowMs();
    this.#forget(nowMs - samplesMs);
    const newestMs = this.#samples.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY;
    if (this.#samples.length < samplesMin || nowMs - newestMs > currentMs) return 0;
    const tookMs = this.#samples.map((sample) => sample.tookMs).sort((a, b) => a - b);
    return tookMs[tookMs.length >> 1] as number;
  }
}
