import type { ArcId } from '../base/ids.ts';
import { peerLimits } from '../wire/peer/limits.ts';
import type { OpReply } from '../wire/peer/types.ts';
import type { Gateway } from './gateway.ts';

/** Half of what an arc's window holds: what is on its way is counted there later than here. */
const numbersAheadMax = peerLimits.sessionWindowMax / 2;

/**
 * This gateway incarnation's session with one arc (design §10.9): numbers operations, so that a retry is known as one.
 * `id` is random: a restarted gateway never speaks in its predecessor's name.
 */
export class ArcSession {
  readonly arc: ArcId;
  readonly id: number;
  opened = false;
  #next = 1;
  #lowestOpen = 1;
  /** Above the lowest open number, and answered before it. Mostly there are none: a set of the open ones would come and go with each. */
  readonly #endedAbove = new Set<number>();
  readonly #roomWaits: (() => void)[] = [];
  #opening: Promise<boolean> | undefined;

  constructor(arc: ArcId, id: number) {
    this.arc = arc;
    this.id = id;
  }

  /** The lowest number whose answer is still wanted; answers below it may be forgotten. */
  get lowestOpen(): number {
    return this.#lowestOpen;
  }

  begin(): number {
    return this.#next++;
  }

  end(number: number): void {
    if (number === this.#lowestOpen) {
      do this.#lowestOpen += 1;
      while (this.#endedAbove.size > 0 && this.#endedAbove.delete(this.#lowestOpen));
    } else this.#endedAbove.add(number);
    if (this.#roomWaits.length > 0 && !this.isFull) for (const go of this.#roomWaits.splice(0)) go();
  }

  /** So far ahead of the lowest open number that the arc would soon refuse. */
  get isFull(): boolean {
    return this.#next - this.lowestOpen >= numbersAheadMax;
  }

  /** Resolves when a number has ended and there may be room. */
  room(): Promise<void> {
    return new Promise((resolve) => void this.#roomWaits.push(resolve));
  }

  /** Makes the arc know this session. False: not within `timeoutMs`. */
  open(gateway: Gateway, timeoutMs: number): Promise<boolean> {
    this.#opening ??= this.#open(gateway, timeoutMs);
    return this.#opening;
  }

  async #open(gateway: Gateway, timeoutMs: number): Promise<boolean> {
    const end = await gateway.exchange<OpReply>(
      this.arc,
      (request) => ({
        type: 'op',
        request,
        arc: this.arc,
        session: this.id,
        number: 0,
        lowestOpen: 0,
        ticket: undefined,
        body: { kind: 'openSession' },
      }),
      timeoutMs,
    );
    this.opened = typeof end !== 'string' && end.code === 'ok';
    this.#opening = undefined;
    return this.opened;
  }
}
