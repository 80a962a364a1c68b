import type { ArcId } from '../base/ids.ts';
import type { OpReply } from '../wire/peer/types.ts';
import type { Gateway } from './gateway.ts';

/**
 * This gateway incarnation's session with one arc (design §10.9): numbers operations, so that a retry is known as one.
 * `id` is random: a restarted gateway never speaks in its predecessor's name.
 */
export class ArcSession {
  readonly arc: ArcId;
  readonly id: number;
  opened = false;
  #next = 1;
  /** Numbers without an answer yet, ascending: a Set keeps the order of insertion. */
  readonly #openNumbers = new Set<number>();
  #opening: Promise<boolean> | undefined;

  constructor(arc: ArcId, id: number) {
    this.arc = arc;
    this.id = id;
  }

  /** The lowest number whose answer is still wanted; answers below it may be forgotten. */
  get lowestOpen(): number {
    return this.#openNumbers.values().next().value ?? this.#next;
  }

  begin(): number {
    const number = this.#next++;
    this.#openNumbers.add(number);
    return number;
  }

  end(number: number): void {
    this.#openNumbers.delete(number);
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
    this.opened = end !== 'timeout' && end.reply.code === 'ok';
    this.#opening = undefined;
    return this.opened;
  }
}
