import type { ArcId, CoreletId } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Random } from '../ports/random.ts';
import type { OpBody, OpReply, PeerMessage, ReplyCode } from '../wire/peer/types.ts';
import type { Exchange, ExchangeEnd, GatewayReply } from './exchange.ts';
import type { RouteTable } from './routes.ts';
import { ArcSession } from './session.ts';

/** Times in milliseconds. */
export const gatewayLimits = {
  /** An answer that doesn't come for this long: complain about the leader and ask elsewhere. */
  hedgeMs: 400,
  /** Between tries that were refused for now. */
  retryMs: 5,
  retryMaxMs: 100,
  tickMs: 5,
  /** A refusal for lack of room, after a try whose fate is open, is asked again this long before the outcome is called unknown. */
  openRefusalMs: 5000,
  /** Answers of older tries are still taken; beyond this many the oldest is forgotten. */
  requestsPerExchangeMax: 16,
} as const;

export interface GatewayOptions {
  readonly self: CoreletId;
  readonly clock: Clock;
  readonly random: Random;
  readonly routes: RouteTable;
  /** False: not sent, no connection or its queue is full. */
  send(to: CoreletId, message: PeerMessage): boolean;
  isAlive(id: CoreletId): boolean;
  /** Whom to ask about an arc that no leader has announced yet. */
  candidates(arc: ArcId): readonly CoreletId[];
}

/** `unknown`: the outcome can't be told. `timeout`: a deadline was given and passed; it is open too. */
export type OpOutcome = { readonly code: ReplyCode | 'unknown' | 'timeout'; readonly version: number };

/**
 * This Corelet's part as the entrance of I/O: finds the arc's leader, asks again with the same operation id until the
 * outcome is known, never reports failure while it is open (design §3, "Once").
 */
export class Gateway {
  readonly #options: GatewayOptions;
  readonly #byRequest = new Map<number, Exchange>();
  readonly #open = new Set<Exchange>();
  readonly #waiting = new Set<Exchange>();
  readonly #sessions = new Map<ArcId, ArcSession>();
  #request: number;
  #ticking = false;
  #stopped = false;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#request = options.random.u32();
  }

  stop(): void {
    this.#stopped = true;
  }

  // ---- questions --------------------------------------------------------------------------------------------------

  /** Asks until the leader answers; resolves with its final reply. `ask` makes the message of each try. */
  exchange<Reply extends GatewayReply>(
    arc: ArcId,
    ask: (request: number) => PeerMessage,
    timeoutMs = Number.POSITIVE_INFINITY,
  ): Promise<ExchangeEnd<Reply>> {
    return new Promise((resolve) => {
      const now = this.#options.clock.nowMs();
      const exchange: Exchange = {
        arc,
        ask,
        settle: resolve as (end: ExchangeEnd<GatewayReply>) => void,
        deadlineMs: now + timeoutMs,
        startedMs: now,
        tries: 0,
        openTries: 0,
        requests: [],
        target: undefined,
        sentMs: 0,
        retryAtMs: 0,
        waiting: false,
        hint: undefined,
        done: false,
      };
      this.#open.add(exchange);
      this.#try(exchange);
      this.#startTicking();
    });
  }

  /** Does `body` once, whatever dies meanwhile. */
  async operate(arc: ArcId, body: OpBody, timeoutMs = Number.POSITIVE_INFINITY): Promise<OpOutcome> {
    for (;;) {
      const session = this.#session(arc);
      if (!session.opened && !(await session.open(this, timeoutMs))) return { code: 'timeout', version: 0 };
      const number = session.begin();
      const end = await this.exchange<OpReply>(
        arc,
        (request) => ({
          type: 'op',
          request,
          arc,
          session: session.id,
          number,
          lowestOpen: session.lowestOpen,
          ticket: undefined,
          body,
        }),
        timeoutMs,
      );
      session.end(number);
      if (end === 'timeout') return { code: 'timeout', version: 0 };
      const { reply, openTries } = end;
      if (reply.code === 'noSession') {
        if (this.#sessions.get(arc) === session) this.#sessions.delete(arc);
        // Another copy of this operation may have been applied before the session was forgotten.
        if (openTries > 1) return { code: 'unknown', version: 0 };
        continue;
      }
      const refusedOnly = reply.code === 'full' || reply.code === 'corrupt';
      return { code: refusedOnly && openTries > 1 ? 'unknown' : reply.code, version: reply.version };
    }
  }

  #session(arc: ArcId): ArcSession {
    let session = this.#sessions.get(arc);
    if (session === undefined) {
      session = new ArcSession(arc, this.#options.random.u48());
      this.#sessions.set(arc, session);
    }
    return session;
  }

  // ---- events -----------------------------------------------------------------------------------------------------

  receive(from: CoreletId, reply: GatewayReply): void {
    const exchange = this.#byRequest.get(reply.request);
    if (exchange === undefined || exchange.done) return;
    const now = this.#options.clock.nowMs();
    switch (reply.code) {
      case 'notLeader':
      case 'overtaken':
        // Turned away at the door: no copy of this try is on its way to a log.
        if (reply.code === 'notLeader') exchange.openTries -= 1;
        if (exchange.target !== from) return; // an older try; the newest is still on its way
        exchange.hint = reply.leader === from ? undefined : reply.leader;
        if (exchange.hint !== undefined && exchange.tries < 4) this.#try(exchange);
        else this.#wait(exchange, now);
        return;
      case 'busy':
        exchange.openTries -= 1;
        if (exchange.target !== from) return;
        exchange.hint = from; // it leads, and will have room
        this.#wait(exchange, now);
        return;
      case 'windowFull':
        if (exchange.target === from) this.#wait(exchange, now);
        return;
      case 'full':
        if (exchange.openTries > 1 && now - exchange.startedMs < gatewayLimits.openRefusalMs) {
          if (exchange.target === from) this.#wait(exchange, now);
          return;
        }
        break;
      default:
    }
    this.#settle(exchange, { reply, openTries: exchange.openTries });
  }

  /** The connection to a Corelet ended: what was asked there is asked elsewhere. */
  peerDown(id: CoreletId): void {
    for (const exchange of this.#open) {
      if (exchange.target !== id || exchange.waiting) continue;
      exchange.hint = undefined;
      this.#try(exchange, id);
    }
  }

  /** A leader announced itself. */
  routeChanged(arc: ArcId): void {
    // Listed first: a try that has to wait again comes back into the set, and a walk over the set would meet it for ever.
    const freed = [...this.#waiting].filter((exchange) => exchange.arc === arc);
    for (const exchange of freed) this.#try(exchange);
  }

  // ---- tries ------------------------------------------------------------------------------------------------------

  #settle(exchange: Exchange, end: ExchangeEnd<GatewayReply>): void {
    exchange.done = true;
    this.#open.delete(exchange);
    this.#waiting.delete(exchange);
    for (const request of exchange.requests) this.#byRequest.delete(request);
    exchange.settle(end);
  }

  #wait(exchange: Exchange, nowMs: number): void {
    exchange.waiting = true;
    const delayMs = Math.min(gatewayLimits.retryMs * 2 ** Math.min(exchange.tries, 6), gatewayLimits.retryMaxMs);
    exchange.retryAtMs = nowMs + delayMs;
    this.#waiting.add(exchange);
  }

  #try(exchange: Exchange, not?: CoreletId): void {
    if (this.#stopped) return;
    this.#waiting.delete(exchange);
    exchange.waiting = false;
    const now = this.#options.clock.nowMs();
    const target = this.#target(exchange, not);
    exchange.hint = undefined;
    exchange.target = target;
    if (target === undefined) {
      exchange.tries += exchange.tries === 0 ? 0 : 1;
      this.#wait(exchange, now);
      return;
    }
    const request = (this.#request = (this.#request + 1) >>> 0);
    exchange.requests.push(request);
    if (exchange.requests.length > gatewayLimits.requestsPerExchangeMax) {
      this.#byRequest.delete(exchange.requests.shift() as number);
    }
    this.#byRequest.set(request, exchange);
    exchange.sentMs = now;
    exchange.tries += 1;
    exchange.openTries += 1;
    if (!this.#options.send(target, exchange.ask(request)) && !exchange.done) this.#wait(exchange, now);
  }

  /** The announced leader first; then the arc's other replicas in turn: who isn't the leader may know who is. */
  #target(exchange: Exchange, not: CoreletId | undefined): CoreletId | undefined {
    const usable = (id: CoreletId | undefined): id is CoreletId =>
      id !== undefined && id !== not && this.#options.isAlive(id);
    if (usable(exchange.hint)) return exchange.hint;
    const route = this.#options.routes.get(exchange.arc);
    if (usable(route?.leader) && exchange.tries % 2 === 0) return route.leader;
    const voters = route?.voters.map((voter) => voter.id) ?? this.#options.candidates(exchange.arc);
    for (let i = 0; i < voters.length; i++) {
      const id = voters[(exchange.tries + i) % voters.length];
      if (usable(id) && (id !== exchange.target || voters.length === 1)) return id;
    }
    return voters.find((id) => usable(id));
  }

  #startTicking(): void {
    if (this.#ticking) return;
    this.#ticking = true;
    this.#options.clock.after(gatewayLimits.tickMs, () => this.#tick());
  }

  #tick(): void {
    this.#ticking = false;
    if (this.#stopped || this.#open.size === 0) return;
    const now = this.#options.clock.nowMs();
    for (const exchange of this.#waiting) if (now >= exchange.retryAtMs) this.#try(exchange);
    // In order of their beginning, not of their newest try: cheap to scan, since what is in flight is bounded by the targets.
    for (const exchange of this.#open) {
      if (now >= exchange.deadlineMs) this.#settle(exchange, 'timeout');
      else if (!exchange.waiting && now - exchange.sentMs > gatewayLimits.hedgeMs) this.#complain(exchange);
    }
    this.#startTicking();
  }

  #complain(exchange: Exchange): void {
    const leader = exchange.target;
    const route = this.#options.routes.get(exchange.arc);
    if (leader !== undefined && route?.leader === leader) {
      for (const voter of route.voters) {
        if (voter.id !== leader && this.#options.isAlive(voter.id)) {
          this.#options.send(voter.id, { type: 'complaint', arc: exchange.arc, leader });
        }
      }
    }
    this.#try(exchange);
  }
}
