import type { LogIndex } from '../base/ids.ts';
import type { MemberId, RaftLimits } from './types.ts';

export type ProgressState = 'probe' | 'replicate' | 'copying';

/** Doublings of the resend delay at most: a silent follower that counts as alive costs ever less. */
const resendDoublingsMax = 4;

/**
 * What a leader knows of one follower, and what is on the way to it. `probe`: one message at a time, to find where the
 * logs agree. `replicate`: pipelined within bounds. `copying`: it needs state that the log no longer holds.
 */
export class Progress {
  readonly member: MemberId;
  readonly #limits: RaftLimits;
  state: ProgressState = 'probe';
  matchIndex: LogIndex = 0;
  nextIndex: LogIndex;
  alive: boolean;
  /** That life of the member is over: it says nothing more, and what it said counts no more. */
  ended = false;
  /** Highest commit index that the last message let the follower know. */
  commitSent: LogIndex = 0;
  /** A probe, or an append without entries, is unanswered. */
  awaiting = false;
  /** An append goes out with the next effects even without entries: tells the commit index, or who leads. */
  assertNow = false;
  resendAtMs = Number.POSITIVE_INFINITY;
  commitDueMs = Number.POSITIVE_INFINITY;
  /** Newest read context that it confirmed, and how long its confirmations take, smoothed. */
  readContext = 0;
  readAnswerMs = 0;
  /** The newest message that it surely accepted in this term was sent then: its promise counts from there (leases.ts). */
  supportMs = Number.NEGATIVE_INFINITY;
  /** Highest index ever sent to it in this term: what is sent again tells nothing of when an answer's question was asked. */
  #newestSent: LogIndex;
  inflightBytes = 0;
  inflightMessages = 0;
  #resends = 0;
  /** Ring of (last index, bytes, time) of the messages on the way, oldest at `#oldest`. Made when first used. */
  #ring: Float64Array | undefined;
  #oldest = 0;

  constructor(member: MemberId, nextIndex: LogIndex, alive: boolean, limits: RaftLimits) {
    this.member = member;
    this.nextIndex = nextIndex;
    this.#newestSent = nextIndex - 1;
    this.alive = alive;
    this.#limits = limits;
  }

  get hasRoom(): boolean {
    return (
      this.inflightMessages < this.#limits.inflightMessagesMax && this.inflightBytes < this.#limits.inflightBytesMax
    );
  }

  /** INV-10: what it had acknowledged may be nowhere any more. */
  end(): void {
    this.ended = true;
    this.matchIndex = 0;
    this.readContext = 0;
    this.supportMs = Number.NEGATIVE_INFINITY;
  }

  sent(lastIndex: LogIndex, bytes: number, nowMs: number): void {
    const capacity = this.#limits.inflightMessagesMax;
    this.#ring ??= new Float64Array(3 * capacity);
    const slot = (this.#oldest + this.inflightMessages) % capacity;
    this.#ring[3 * slot] = lastIndex;
    this.#ring[3 * slot + 1] = bytes;
    this.#ring[3 * slot + 2] = lastIndex > this.#newestSent ? nowMs : Number.NEGATIVE_INFINITY;
    this.noteSent(lastIndex);
    this.inflightMessages += 1;
    this.inflightBytes += bytes;
  }

  /** Entries up to `lastIndex` were sent, in a message whose answer will tell nothing of when. */
  noteSent(lastIndex: LogIndex): void {
    if (lastIndex > this.#newestSent) this.#newestSent = lastIndex;
  }

  /** An answer is awaited from `nowMs` on. Keeps an earlier deadline: that of the oldest message on the way. */
  expectAnswer(nowMs: number): void {
    if (this.resendAtMs !== Number.POSITIVE_INFINITY) return;
    this.resendAtMs = nowMs + this.#limits.resendMs * 2 ** Math.min(this.#resends, resendDoublingsMax);
  }

  /** The follower's log is durable up to `index` and equals the leader's there. */
  matched(index: LogIndex, nowMs: number): void {
    if (index > this.matchIndex) this.matchIndex = index;
    const ring = this.#ring;
    while (ring !== undefined && this.inflightMessages > 0 && (ring[3 * this.#oldest] as number) <= index) {
      this.inflightBytes -= ring[3 * this.#oldest + 1] as number;
      this.supportedSince(ring[3 * this.#oldest + 2] as number);
      this.inflightMessages -= 1;
      this.#oldest = (this.#oldest + 1) % this.#limits.inflightMessagesMax;
    }
    if (this.nextIndex <= this.matchIndex) this.nextIndex = this.matchIndex + 1;
    this.awaiting = false;
    this.#resends = 0;
    this.resendAtMs = Number.POSITIVE_INFINITY;
    if (this.inflightMessages > 0) this.expectAnswer(nowMs);
  }

  /** It accepted a message of this term that was sent at `sentMs`. */
  supportedSince(sentMs: number): void {
    if (sentMs > this.supportMs) this.supportMs = sentMs;
  }

  /** `lastIndex` is the leader's. */
  becomeReplicate(lastIndex: LogIndex): void {
    if (this.state === 'copying') this.noteSent(lastIndex); // a copy may have brought it anything up to here
    this.#clear();
    this.state = 'replicate';
    this.commitSent = Math.min(this.commitSent, this.matchIndex);
    this.nextIndex = this.matchIndex + 1;
  }

  becomeProbe(nextIndex: LogIndex): void {
    this.#clear();
    this.state = 'probe';
    this.nextIndex = nextIndex;
    this.commitSent = 0; // what was sent may be lost
  }

  becomeCopying(): void {
    this.#clear();
    this.state = 'copying';
    this.commitSent = 0;
  }

  /** What was on the way is given up: find out anew where it stands. `lastIndex` is the leader's. */
  restart(lastIndex: LogIndex): void {
    if (this.state === 'copying') this.noteSent(lastIndex);
    if (this.state === 'replicate') this.becomeProbe(this.matchIndex + 1);
    else this.becomeProbe(this.state === 'probe' ? this.nextIndex : lastIndex + 1);
  }

  /** Nothing came back in time. */
  resend(lastIndex: LogIndex): void {
    this.#resends += 1;
    if (this.state === 'copying') this.#clear();
    else this.restart(lastIndex);
  }

  #clear(): void {
    this.#oldest = 0;
    this.inflightMessages = 0;
    this.inflightBytes = 0;
    this.awaiting = false;
    this.assertNow = false;
    this.resendAtMs = Number.POSITIVE_INFINITY;
    this.commitDueMs = Number.POSITIVE_INFINITY;
  }
}
