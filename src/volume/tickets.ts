import type { CoreletId } from '../base/ids.ts';
import type { HostCommand } from './block-device.ts';
import { ticketLifeMs } from '../wire/peer/limits.ts';
import type { Ticket } from '../wire/peer/types.ts';

/** Of each peer; beyond it the oldest is forgotten, which is always safe. */
const ticketsPerPeerMax = 32;

interface Received {
  readonly ticket: Ticket;
  /** By this Corelet's clock. */
  readonly receivedMs: number;
}

/**
 * The tickets that this gateway was sent, for as long as they may be worth something. A command may carry only one that had
 * been received before the command could have arrived (design §10.10): then the leader knows that it is no older than that.
 */
export class Tickets {
  /** Of each peer, oldest first. */
  readonly #received = new Map<CoreletId, Received[]>();

  receive(from: CoreletId, incarnation: number, issuedMs: number, nowMs: number): void {
    let list = this.#received.get(from);
    if (list === undefined) this.#received.set(from, (list = []));
    const known = list.at(-1)?.ticket;
    // The issuer accepts none of its former lives' any more.
    if (known !== undefined && known.incarnation !== incarnation) list.length = 0;
    let expired = 0;
    while (expired < list.length && nowMs - (list[expired] as Received).receivedMs > ticketLifeMs) expired += 1;
    if (expired === 0 && list.length >= ticketsPerPeerMax) expired = 1;
    if (expired > 0) list.splice(0, expired);
    list.push({ ticket: { incarnation, issuedMs }, receivedMs: nowMs });
  }

  /** The newest of `issuer` that was here at `beforeMs`. */
  newest(issuer: CoreletId, beforeMs: number): Ticket | undefined {
    return this.#newest(issuer, beforeMs)?.ticket;
  }

  /** Whether the newest one of then isn't older than `sinceMs`. */
  isFresh(issuer: CoreletId, sinceMs: number, beforeMs: number): boolean {
    const received = this.#newest(issuer, beforeMs);
    return received !== undefined && received.receivedMs >= sinceMs;
  }

  #newest(issuer: CoreletId, beforeMs: number): Received | undefined {
    const list = this.#received.get(issuer);
    if (list === undefined) return undefined;
    for (let i = list.length - 1; i >= 0; i--) {
      const received = list[i] as Received;
      if (received.receivedMs <= beforeMs) return received;
    }
    return undefined;
  }

  /** Its connection ended: what comes next may be of another life. */
  forget(issuer: CoreletId): void {
    this.#received.delete(issuer);
  }
}

/** Whether no leader would take a command any more, whatever ticket it carries. */
export function isStale(command: HostCommand | undefined, nowMs: number): boolean {
  return command !== undefined && nowMs - command.arrivedAfterMs > ticketLifeMs;
}
