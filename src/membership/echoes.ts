import type { CoreletId } from '../base/ids.ts';
import { medianOf } from './cohort.ts';

/** What we sent so long ago a peer that hears us has heard, whenever it speaks. */
const deafMs = 2000;
/** Of our messages to a peer the newest are remembered: it echoes one of them. */
const sentMax = 16;
/** How long it takes to answer is the median of its newest answers, of this time; with fewer it isn't known. */
const samplesMax = 7;
const samplesMs = 30_000;
const samplesMin = 4;
/** Clocks run at different speeds: what was echoed so late measures those. */
const heldMaxMs = 10_000;
const u32Max = 0xffff_ffff;

/** How each liveness message refers to those of the other side. */
export interface Echo {
  readonly sequence: number;
  /** The newest of the receiver's messages that the sender heard, 0 for none … */
  readonly echo: number;
  /** … and how long before this message that was, by the sender's clock. */
  readonly echoHeldUs: number;
}

interface Stamp {
  readonly sequence: number;
  readonly atMs: number;
}

interface Pair {
  /** The first message sent since the last one that it echoed. */
  open: Stamp | undefined;
  readonly sent: Stamp[];
  heard: Stamp | undefined;
  readonly samples: { readonly atMs: number; readonly tookMs: number }[];
}

/**
 * Whether peers that we hear hear us too, and how long they take to answer: each of their messages names the newest of ours that
 * reached them, and says how long they had it. What remains of the time since we sent it was spent on the way, and waiting for
 * that Corelet to look. Our own slowness adds the same to all, so that one compares peers with each other, never with a fixed time.
 */
export class Echoes {
  readonly #pairs = new Map<CoreletId, Pair>();
  #sequence: number;

  /** `sequence`: of the message before the first one. */
  constructor(sequence = 0) {
    this.#sequence = sequence;
  }

  /** What the next message to it says. */
  next(to: CoreletId, nowMs: number): Echo {
    this.#sequence = (this.#sequence + 1) >>> 0;
    const sequence = this.#sequence;
    const pair = this.#pair(to);
    pair.open ??= { sequence, atMs: nowMs };
    pair.sent.push({ sequence, atMs: nowMs });
    if (pair.sent.length > sentMax) pair.sent.shift();
    const { heard } = pair;
    if (heard === undefined) return { sequence, echo: 0, echoHeldUs: 0 };
    const echoHeldUs = Math.min(u32Max, Math.max(0, Math.round(1000 * (nowMs - heard.atMs))));
    return { sequence, echo: heard.sequence, echoHeldUs };
  }

  /** A message from it. True: it is deaf to us. Sequences are u32 and wrap. */
  heard(from: CoreletId, { sequence, echo, echoHeldUs }: Echo, nowMs: number): boolean {
    const pair = this.#pair(from);
    pair.heard = { sequence, atMs: nowMs };
    const at = pair.sent.findIndex((stamp) => stamp.sequence === echo);
    if (at >= 0) {
      const { atMs } = pair.sent[at] as Stamp;
      pair.sent.splice(0, at + 1);
      if (echoHeldUs <= 1000 * heldMaxMs) takeSample(pair, nowMs - atMs - echoHeldUs / 1000, nowMs);
    }
    if (pair.open === undefined) return false;
    if ((echo - pair.open.sequence) >>> 0 < 0x8000_0000) {
      pair.open = undefined;
      return false;
    }
    return nowMs - pair.open.atMs >= deafMs;
  }

  /** How long it takes to answer, in milliseconds; 0: not known. */
  answerMs(id: CoreletId, nowMs: number): number {
    const samples = (this.#pairs.get(id)?.samples ?? []).filter(({ atMs }) => nowMs - atMs <= samplesMs);
    if (samples.length < samplesMin) return 0;
    return medianOf(samples.map(({ tookMs }) => tookMs));
  }

  /** A new connection, or no peer any more: nothing is open. */
  forget(id: CoreletId): void {
    this.#pairs.delete(id);
  }

  #pair(id: CoreletId): Pair {
    let pair = this.#pairs.get(id);
    if (pair === undefined) {
      pair = { open: undefined, sent: [], heard: undefined, samples: [] };
      this.#pairs.set(id, pair);
    }
    return pair;
  }
}

/** Never 0, which stands for "not known". */
function takeSample({ samples }: Pair, tookMs: number, atMs: number): void {
  samples.push({ atMs, tookMs: Math.max(0.001, tookMs) });
  if (samples.length > samplesMax) samples.shift();
}
