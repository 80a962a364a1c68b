import type { CoreletId } from '../base/ids.ts';
import type { PeerMessage } from '../wire/peer/types.ts';
import type { Relay } from '../wire/peer/relay.ts';
import type { GatewayReply } from './exchange.ts';

/** Questions passed on and not answered; one more is turned away. */
const relayedMax = 4096;
/** After this long nobody waits for the answer any more. */
const relayedMs = 5000;

interface Relayed {
  readonly asker: CoreletId;
  readonly request: number;
  readonly sinceMs: number;
}

export interface RelayOptions {
  readonly nextRequest: () => number;
  readonly nowMs: () => number;
  readonly isAlive: (id: CoreletId) => boolean;
  readonly send: (to: CoreletId, message: PeerMessage) => boolean;
}

/** This Corelet as a go-between: passes on what another gateway can't send to a leader itself (design §3). One hop, never two. */
export class Relays {
  readonly #options: RelayOptions;
  /** By this Corelet's request number; oldest first. */
  readonly #relayed = new Map<number, Relayed>();

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  pass(asker: CoreletId, { leader, question }: Relay): void {
    const { isAlive, nextRequest, nowMs, send } = this.#options;
    const now = nowMs();
    for (const [request, { sinceMs }] of this.#relayed) {
      if (now - sinceMs < relayedMs) break;
      this.#relayed.delete(request);
    }
    const request = nextRequest();
    if (this.#relayed.size < relayedMax && isAlive(leader)) {
      this.#relayed.set(request, { asker, request: question.request, sinceMs: now });
      if (send(leader, { ...question, request })) return;
      this.#relayed.delete(request);
    }
    send(asker, notPassed(question));
  }

  /** Whether it answers something that was passed on; then its asker has it. */
  answer(reply: GatewayReply): boolean {
    const relayed = this.#relayed.get(reply.request);
    if (relayed === undefined) return false;
    this.#relayed.delete(reply.request);
    this.#options.send(relayed.asker, { ...reply, request: relayed.request });
    return true;
  }
}

/** Surely not proposed, as far as this try goes. */
function notPassed({ type, request }: Relay['question']): GatewayReply {
  const refusal = { request, code: 'notLeader', leader: undefined } as const;
  if (type === 'op') return { type: 'opReply', ...refusal, version: 0 };
  if (type === 'keyRead') return { type: 'keyReply', ...refusal, entries: [] };
  return { type: 'readReply', ...refusal, present: new Uint8Array(0), crcs: new Uint32Array(0), data: [] };
}
