import { assert } from '../base/assert.ts';
import type { ArcId } from '../base/ids.ts';
import type { OpBody, OpReply, ReplyCode } from '../wire/peer/types.ts';
import type { HostCommand } from './block-device.ts';
import type { Exchange, ExchangeEnd } from './exchange.ts';
import type { Gateway } from './gateway.ts';
import type { ArcSession } from './session.ts';
import { isStale } from './tickets.ts';

/** How long one attempt to open a session lasts before the operation looks at its own limits again. */
const sessionOpenMs = 500;

/** `unknown`: the outcome can't be told. `timeout`: a deadline was given and passed; it is open too. */
export type OpOutcome = { readonly code: ReplyCode | 'unknown' | 'timeout'; readonly version: number };

export interface OperateOptions {
  /** By default as long as it takes. */
  readonly timeoutMs?: number;
  /** The host's command that this is a piece of. Without it the operation is as old as the call. */
  readonly command?: HostCommand | undefined;
}

const timedOut: OpOutcome = { code: 'timeout', version: 0 };
const unknown: OpOutcome = { code: 'unknown', version: 0 };
const cancelled: OpOutcome = { code: 'cancelled', version: 0 };
const stale: OpOutcome = { code: 'stale', version: 0 };

/**
 * One operation from its start until it is final. A refusal is final only when no other copy is open; otherwise the arc
 * is told to cancel, and the answer to *that* tells (design §10.1). Giving it up takes the same way.
 */
export class Operation {
  readonly outcome: Promise<OpOutcome>;
  readonly body: OpBody;
  readonly #gateway: Gateway;
  readonly #arc: ArcId;
  readonly #deadlineMs: number;
  /** Undefined: nobody's command, of no age. */
  readonly #command: HostCommand | undefined;
  #asking: Exchange | undefined;
  #givenUp = false;

  constructor(gateway: Gateway, arc: ArcId, body: OpBody, options: OperateOptions) {
    const now = gateway.nowMs();
    this.body = body;
    this.#gateway = gateway;
    this.#arc = arc;
    this.#deadlineMs = now + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
    this.#command = isHostCommand(body) ? (options.command ?? { arrivedAfterMs: now }) : undefined;
    const abandonment = options.command?.abandonment;
    this.outcome = abandonment === undefined ? this.#run() : this.#runUntilGivenUp(abandonment);
  }

  /** The host wants it no more. `outcome` then settles when it is applied, or when it can't be any more. */
  giveUp(): void {
    if (this.#givenUp) return;
    this.#givenUp = true;
    if (this.#asking !== undefined) this.#gateway.withdraw(this.#asking);
  }

  async #runUntilGivenUp(abandonment: NonNullable<HostCommand['abandonment']>): Promise<OpOutcome> {
    const giveUp = () => this.giveUp();
    abandonment.attach(giveUp);
    const outcome = await this.#run();
    abandonment.detach(giveUp);
    return outcome;
  }

  async #run(): Promise<OpOutcome> {
    for (;;) {
      const session = this.#gateway.session(this.#arc);
      if (!session.opened) await session.open(this.#gateway, sessionOpenMs);
      else if (session.isFull) await session.room();
      const end = this.#endedUnsent();
      if (end !== undefined) return end;
      if (!session.opened || session.isFull) continue;
      const number = session.begin();
      const { exchange, ended } = this.#ask(session, number, this.body, this.#command);
      this.#asking = exchange;
      const reply = await ended;
      this.#asking = undefined;
      // Mostly the arc has said what became of it: that needs no other step.
      const outcome = isFinal(reply) ? reply : await this.#judge(session, number, exchange, reply);
      session.end(number);
      if (outcome !== undefined) return outcome;
      this.#gateway.forget(session);
    }
  }

  /** Nothing of it has left yet: it may end at any moment, surely without effect. */
  #endedUnsent(): OpOutcome | undefined {
    if (this.#givenUp) return cancelled;
    const now = this.#gateway.nowMs();
    if (isStale(this.#command, now)) return stale;
    return now >= this.#deadlineMs ? timedOut : undefined;
  }

  /** What an end means that isn't final in itself. Undefined: the session is unknown and nothing happened; another session may try. */
  async #judge(
    session: ArcSession,
    number: number,
    exchange: Exchange,
    end: ExchangeEnd<OpReply>,
  ): Promise<OpOutcome | undefined> {
    if (end === 'timeout') return timedOut;
    let refusal: OpOutcome;
    let openTries = exchange.openTries;
    if (end === 'stopped') refusal = cancelled;
    else if (end === 'stale') refusal = stale;
    else {
      openTries -= 1; // the one that was answered
      if (end.code === 'noSession') return openTries > 0 ? unknown : undefined;
      refusal = end;
    }
    if (openTries > 0) return this.#cancel(session, number, refusal);
    assert(exchange.done && exchange.openTries <= 1, 'INV-5: a refusal is final only if no other copy may land');
    return refusal;
  }

  async #cancel(session: ArcSession, number: number, refusal: OpOutcome): Promise<OpOutcome> {
    const end = await this.#ask(session, number, { kind: 'cancel' }, undefined).ended;
    if (typeof end === 'string') return timedOut;
    if (end.code === 'cancelled') return refusal;
    return end.code === 'noSession' ? unknown : end;
  }

  #ask(session: ArcSession, number: number, body: OpBody, command: HostCommand | undefined) {
    const gateway = this.#gateway;
    const arc = this.#arc;
    return gateway.ask<OpReply>(
      arc,
      (request, leader) => ({
        type: 'op',
        request,
        arc,
        session: session.id,
        number,
        lowestOpen: session.lowestOpen,
        ticket: command && gateway.ticketFor(leader, command.arrivedAfterMs),
        body,
      }),
      this.#deadlineMs,
      command,
    );
  }
}

/** What hosts ask, and may ask again elsewhere when they have given it up. Control operations are no host's. */
function isHostCommand({ kind }: OpBody): boolean {
  return kind !== 'openSession' && kind !== 'epoch' && kind !== 'key' && kind !== 'cancel';
}

function isFinal(end: ExchangeEnd<OpReply>): end is OpReply {
  return typeof end !== 'string' && end.code !== 'noSession' && !isRefusal(end.code);
}

/** Answers of a leader that did not propose, or of an entry that had no effect and left no trace. */
function isRefusal(code: ReplyCode): boolean {
  return code === 'full' || code === 'corrupt' || code === 'fenced' || code === 'stale';
}
