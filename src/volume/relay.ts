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
  readonly leader: CoreletId;
  readonly type: Relay['question']['type'];
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
      this.#relayed.set(request, { asker, request: question.request, leader, type: question.type, sinceMs: now });
      if (send(leader, { ...question, request })) return;
      this.#relayed.delete(request);
    }
    send(asker, refusal(question.type, question.request, 'notLeader'));
  }

  /** The connection to it ended, or it fell silent: what was passed on to it may or may not have been done. */
  lost(leader: CoreletId): void {
    for (const [request, relayed] of this.#relayed) {
      if (relayed.leader !== leader) continue;
      this.#relayed.delete(request);
      this.#options.send(relayed.asker, refusal(relayed.type, relayed.request, 'overtaken'));
    }
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

/** `notLeader`: surely not proposed, as far as this try goes; `overtaken`: it may have been. */
function refusal(type: Relay['question']['type'], request: number, code: 'notLeader' | 'overtaken'): GatewayReply {
  const common = { request, code, leader: undefined } as const;
  if (type === 'op') return { type: 'opReply', ...common, version: 0 };
  if (type === 'keyRead') return { type: 'keyReply', ...common, entries: [] };
  return { type: 'readReply', ...common, present: new Uint8Array(0), crcs: new Uint32Array(0), data: [] };
}
