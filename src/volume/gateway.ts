import type { ArcId, CoreletId } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Random } from '../ports/random.ts';
import type { Relay } from '../wire/peer/relay.ts';
import type { PeerMessage, Route, Ticket } from '../wire/peer/types.ts';
import type { HostCommand } from './block-device.ts';
import type { Ask, Exchange, ExchangeEnd, GatewayReply } from './exchange.ts';
import { gatewayLimits } from './gateway-limits.ts';
import { HostPresence } from './host-presence.ts';
import type { OperateOptions, OpOutcome } from './operation.ts';
import { Operation } from './operation.ts';
import { Relays } from './relay.ts';
import type { RouteTable } from './routes.ts';
import { ArcSession } from './session.ts';
import { isStale, Tickets } from './tickets.ts';

/** Of an exchange that was not tried yet. Nobody changes it. */
const none: number[] = [];

export interface GatewayOptions {
  readonly self: CoreletId;
  /** Of this start of this Corelet: its own tickets name it. */
  readonly incarnation: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly routes: RouteTable;
  /** False: not sent, no connection or its queue is full. */
  send(to: CoreletId, message: PeerMessage): boolean;
  isAlive(id: CoreletId): boolean;
  /** The leader of this route doesn't answer: its Corelet may stand still as a whole. The arc's voters are told by the gateway. */
  doubt(route: Route): void;
  /** Whom to ask about an arc that no leader has announced yet. */
  candidates(arc: ArcId): readonly CoreletId[];
  /** Hosts are here, or gone: whether peers shall send tickets often. */
  wantTickets(wanted: boolean): void;
}

export interface Asked<Reply> {
  readonly exchange: Exchange;
  readonly ended: Promise<ExchangeEnd<Reply>>;
}

/**
 * This Corelet's part as the entrance of I/O: finds the arc's leader, asks again with the same operation id until the
 * outcome is known, never reports failure while it is open (design §3, "Once").
 */
export class Gateway {
  readonly hosts: HostPresence;
  readonly #options: GatewayOptions;
  readonly #tickets = new Tickets();
  readonly #relays: Relays;
  readonly #byRequest = new Map<number, Exchange>();
  readonly #open = new Set<Exchange>();
  readonly #waiting = new Set<Exchange>();
  readonly #sessions = new Map<ArcId, ArcSession>();
  readonly #complainedMs = new Map<ArcId, number>();
  readonly #doubtedMs = new Map<CoreletId, number>();
  #request: number;
  #ticking = false;
  #stopped = false;

  constructor(options: GatewayOptions) {
    const { clock, random, routes, self } = options;
    this.#options = options;
    this.#request = random.u32();
    this.#relays = new Relays({
      nextRequest: () => this.#nextRequest(),
      nowMs: () => clock.nowMs(),
      isAlive: (id) => options.isAlive(id),
      send: (to, message) => options.send(to, message),
    });
    this.hosts = new HostPresence({
      clock,
      wantTickets: (wanted) => options.wantTickets(wanted),
      isReady: (sinceMs, beforeMs) => {
        for (const { leader } of routes.all()) {
          if (leader !== self && options.isAlive(leader) && !this.#tickets.isFresh(leader, sinceMs, beforeMs))
            return false;
        }
        return true;
      },
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  nowMs(): number {
    return this.#options.clock.nowMs();
  }

  // ---- questions --------------------------------------------------------------------------------------------------

  /** Asks until the leader answers; resolves with its final reply. `ask` makes the message of each try. */
  exchange<Reply extends GatewayReply>(
    arc: ArcId,
    ask: Ask,
    timeoutMs = Number.POSITIVE_INFINITY,
  ): Promise<ExchangeEnd<Reply>> {
    return this.ask<Reply>(arc, ask, this.nowMs() + timeoutMs, undefined).ended;
  }

  /** The same, told by the moments at which it ends, and with a handle to `withdraw` it. */
  ask<Reply extends GatewayReply>(
    arc: ArcId,
    ask: Ask,
    deadlineMs: number,
    command: HostCommand | undefined,
  ): Asked<Reply> {
    let settle: ((end: ExchangeEnd<Reply>) => void) | undefined;
    const ended = new Promise<ExchangeEnd<Reply>>((resolve) => {
      settle = resolve;
    });
    const exchange: Exchange = {
      arc,
      ask,
      settle: settle as unknown as (end: ExchangeEnd<GatewayReply>) => void,
      deadlineMs,
      command,
      tries: 0,
      openTries: 0,
      requests: none,
      target: undefined,
      leader: undefined,
      silent: undefined,
      sentMs: 0,
      retryAtMs: 0,
      waiting: false,
      hint: undefined,
      via: undefined,
      done: false,
    };
    this.#open.add(exchange);
    this.#try(exchange);
    this.#startTicking();
    return { exchange, ended };
  }

  withdraw(exchange: Exchange): void {
    if (!exchange.done) this.#settle(exchange, 'stopped');
  }

  /** Does `body` once, whatever dies meanwhile. */
  operate(arc: ArcId, body: Operation['body'], options: OperateOptions = {}): Promise<OpOutcome> {
    return new Operation(this, arc, body, options).outcome;
  }

  session(arc: ArcId): ArcSession {
    let session = this.#sessions.get(arc);
    if (session === undefined) {
      session = new ArcSession(arc, this.#options.random.u48());
      this.#sessions.set(arc, session);
    }
    return session;
  }

  /** The arc doesn't know it any more: operations from now on get another. */
  forget(session: ArcSession): void {
    if (this.#sessions.get(session.arc) === session) this.#sessions.delete(session.arc);
  }

  /** What a command that came after `arrivedAfterMs` may carry to `leader`. This Corelet is its own issuer at any moment. */
  ticketFor(leader: CoreletId, arrivedAfterMs: number): Ticket | undefined {
    const { self, incarnation } = this.#options;
    return leader === self ? { incarnation, issuedMs: arrivedAfterMs } : this.#tickets.newest(leader, arrivedAfterMs);
  }

  // ---- events -----------------------------------------------------------------------------------------------------

  ticket(from: CoreletId, incarnation: number, issuedMs: number): void {
    this.#tickets.receive(from, incarnation, issuedMs, this.nowMs());
  }

  /** Another gateway can't reach the leader that we follow. */
  relay(from: CoreletId, message: Relay): void {
    if (!this.#stopped) this.#relays.pass(from, message);
  }

  receive(from: CoreletId, reply: GatewayReply): void {
    const exchange = this.#byRequest.get(reply.request);
    if (exchange === undefined) {
      this.#relays.answer(reply);
      return;
    }
    if (exchange.done) return;
    switch (reply.code) {
      case 'notLeader':
        // Turned away at the door: no copy of this try is on its way to a log.
        exchange.openTries -= 1;
        this.#moved(exchange, from, reply.leader);
        return;
      case 'overtaken':
        this.#moved(exchange, from, reply.leader);
        return;
      case 'stale':
        // Its host has sent something since: a newer ticket may go with the next try.
        if (isStale(exchange.command, this.nowMs())) this.#settle(exchange, reply);
        else this.#later(exchange, from);
        return;
      case 'busy':
        this.#later(exchange, from);
        return;
      case 'windowFull':
        if (exchange.target === from) this.#wait(exchange);
        return;
      default:
        this.#settle(exchange, reply);
    }
  }

  /** `from` leads, and did not propose this try: it may do so with a later one. */
  #later(exchange: Exchange, from: CoreletId): void {
    exchange.openTries -= 1;
    if (exchange.target !== from) return;
    exchange.hint = from;
    this.#wait(exchange);
  }

  /** `from` doesn't lead; it follows `leader`, if anyone. */
  #moved(exchange: Exchange, from: CoreletId, leader: CoreletId | undefined): void {
    if (exchange.target !== from) return; // an older try; the newest is still on its way
    exchange.hint = leader === from ? undefined : leader;
    const reachable = leader !== undefined && this.#options.isAlive(leader) && leader !== exchange.silent;
    // Others reach a leader whom we don't: through them then, instead of an election (design §3).
    exchange.via = exchange.hint === undefined || reachable ? undefined : from;
    if (exchange.hint !== undefined && exchange.tries < gatewayLimits.promptTriesMax) this.#try(exchange);
    else this.#wait(exchange);
  }

  /** The connection to a Corelet ended: what was asked there is asked elsewhere. */
  peerDown(id: CoreletId): void {
    this.#tickets.forget(id);
    this.#relays.lost(id);
    for (const exchange of this.#open) {
      if (exchange.target !== id || exchange.waiting) continue;
      exchange.hint = undefined;
      this.#try(exchange, id);
    }
  }

  /** It doesn't answer any more, though no connection ended. */
  peerSilent(id: CoreletId): void {
    this.#relays.lost(id);
  }

  /** A leader announced itself. */
  routeChanged(arc: ArcId): void {
    const leader = this.#options.routes.get(arc)?.leader;
    const now = this.nowMs();
    // Listed first: a try that has to wait again comes back into the set, and a walk over the set would meet it for ever.
    const freed = [...this.#open].filter(
      (exchange) =>
        exchange.arc === arc && (exchange.waiting || (exchange.leader !== leader && this.#isOverdue(exchange, now))),
    );
    for (const exchange of freed) {
      exchange.silent = undefined;
      exchange.via = undefined;
      exchange.hint = leader;
      this.#try(exchange);
    }
  }

  /** Whether its newest try will have no answer any more, as far as can be told. */
  #isOverdue({ leader, sentMs }: Exchange, nowMs: number): boolean {
    const alive = leader !== undefined && this.#options.isAlive(leader);
    return !alive || nowMs - sentMs > gatewayLimits.complainMs;
  }

  // ---- tries ------------------------------------------------------------------------------------------------------

  #settle(exchange: Exchange, end: ExchangeEnd<GatewayReply>): void {
    exchange.done = true;
    this.#open.delete(exchange);
    this.#waiting.delete(exchange);
    for (const request of exchange.requests) this.#byRequest.delete(request);
    exchange.settle(end);
  }

  #wait(exchange: Exchange): void {
    exchange.waiting = true;
    const delayMs = Math.min(gatewayLimits.retryMs * 2 ** Math.min(exchange.tries, 6), gatewayLimits.retryMaxMs);
    exchange.retryAtMs = this.nowMs() + delayMs;
    this.#waiting.add(exchange);
  }

  #nextRequest(): number {
    return (this.#request = (this.#request + 1) >>> 0);
  }

  #try(exchange: Exchange, not?: CoreletId): void {
    if (this.#stopped || exchange.done) return;
    this.#waiting.delete(exchange);
    exchange.waiting = false;
    const now = this.nowMs();
    if (isStale(exchange.command, now)) {
      this.#settle(exchange, 'stale');
      return;
    }
    const { hint, via } = exchange;
    exchange.hint = undefined;
    exchange.via = undefined;
    const relays = via !== undefined && via !== not && hint !== undefined && this.#options.isAlive(via);
    const target = relays ? via : this.#target(exchange, hint, not);
    exchange.target = target;
    if (target === undefined) {
      exchange.tries += exchange.tries === 0 ? 0 : 1;
      this.#wait(exchange);
      return;
    }
    const request = this.#nextRequest();
    // Mostly the only one: an empty array would make room for seventeen.
    if (exchange.requests.length === 0) exchange.requests = [request];
    else exchange.requests.push(request);
    if (exchange.requests.length > gatewayLimits.requestsPerExchangeMax) {
      this.#byRequest.delete(exchange.requests.shift() as number);
    }
    this.#byRequest.set(request, exchange);
    exchange.sentMs = now;
    exchange.tries += 1;
    exchange.openTries += 1;
    const leader = relays ? hint : target;
    exchange.leader = leader;
    const question = exchange.ask(request, leader);
    const message: PeerMessage = relays ? { type: 'relay', leader, question } : question;
    if (this.#options.send(target, message) || exchange.done) return;
    exchange.openTries -= 1; // it went nowhere
    this.#wait(exchange);
  }

  /** The announced leader first; then the arc's other replicas in turn: who isn't the leader may know who is. */
  #target(exchange: Exchange, hint: CoreletId | undefined, not: CoreletId | undefined): CoreletId | undefined {
    const usable = (id: CoreletId | undefined): id is CoreletId =>
      id !== undefined && id !== not && this.#options.isAlive(id);
    if (usable(hint)) return hint;
    const route = this.#options.routes.get(exchange.arc);
    if (usable(route?.leader) && exchange.tries % 2 === 0 && route.leader !== exchange.silent) return route.leader;
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
    const now = this.nowMs();
    for (const exchange of this.#waiting) if (now >= exchange.retryAtMs) this.#try(exchange);
    // In order of their beginning, not of their newest try: cheap to scan, since what is in flight is bounded by the targets.
    for (const exchange of this.#open) {
      const silentMs = now - exchange.sentMs;
      if (now >= exchange.deadlineMs) this.#settle(exchange, 'timeout');
      else if (exchange.waiting || silentMs <= gatewayLimits.complainMs) continue;
      else {
        this.#complain(exchange, now);
        if (silentMs > gatewayLimits.hedgeMs) {
          exchange.silent = exchange.target;
          this.#try(exchange);
        }
      }
    }
    this.#startTicking();
  }

  /** Tells the arc's voters that their leader doesn't answer here; whether it leads on is theirs to judge. */
  #complain(exchange: Exchange, nowMs: number): void {
    const { arc, leader } = exchange;
    const route = this.#options.routes.get(arc);
    if (leader === undefined || route?.leader !== leader) return;
    if (nowMs - (this.#complainedMs.get(arc) ?? Number.NEGATIVE_INFINITY) < gatewayLimits.complainMs) return;
    this.#complainedMs.set(arc, nowMs);
    if (nowMs - (this.#doubtedMs.get(leader) ?? Number.NEGATIVE_INFINITY) >= gatewayLimits.doubtMs) {
      this.#doubtedMs.set(leader, nowMs);
      this.#options.doubt(route);
    }
    for (const voter of route.voters) {
      if (voter.id !== leader && this.#options.isAlive(voter.id)) {
        this.#options.send(voter.id, { type: 'complaint', arc, leader });
      }
    }
  }
}
