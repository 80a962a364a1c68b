import type { CoreletId } from '../base/ids.ts';

/** Milliseconds. */
export interface LivenessLimits {
  /** At rest a peer is told at least this far apart … */
  readonly restMinMs: number;
  /** … and with many peers this much per peer: what liveness costs a Corelet doesn't grow with their number. */
  readonly restPerPeerMs: number;
  readonly restMaxMs: number;
  /** Between two messages to a peer that wants tickets. */
  readonly ticketMs: number;
  /** To a peer that lapsed: it may be back. */
  readonly lapsedMs: number;
  /** A message may be this much later than it was announced. */
  readonly slackMs: number;
  /** Asked, and unheard for so long: lapsed. */
  readonly answerMs: number;
}

export const defaultLivenessLimits: LivenessLimits = {
  restMinMs: 500,
  restPerPeerMs: 250,
  restMaxMs: 6000,
  ticketMs: 200,
  lapsedMs: 300,
  slackMs: 250,
  answerMs: 200,
};

/** A call of `tick` that comes later than this was held up by *our* standing still. */
const lateMinMs = 30;
/** A message that goes out anyway in the last part of an interval takes the place of the regular one. */
const earlyShare = 0.6;
/** One that announces its next so far ahead was sent in its rhythm. */
const regularShare = 0.9;
/** Who answered so waits that much of an interval longer the next time: else both would begin at the same moment, and both be woken twice. */
const answererShare = 0.1;

interface Pair {
  /** When it was last heard; before that, since when it could have been. */
  heardMs: number;
  state: 'new' | 'live' | 'lapsed';
  sendAtMs: number;
  /** With the next tick, whatever the rhythm, it is told, or asked for an answer. */
  tell: boolean;
  /** Its message brought ours forward. */
  follows: boolean;
  ask: boolean;
  /** When it was asked; Infinity when no answer is open. */
  askedMs: number;
  /** Unheard until then: it is asked. */
  dueMs: number;
  wantsTickets: boolean;
}

/** What a liveness message says of the rhythm between two. */
export interface Rhythm {
  readonly nextMs: number;
  readonly answer: boolean;
  readonly wantsTickets: boolean;
}

/** A message to send now. */
export interface LivenessDue {
  readonly id: CoreletId;
  readonly answer: boolean;
  readonly nextMs: number;
}

export interface LivenessStep {
  readonly due: readonly LivenessDue[];
  readonly lapsed: readonly CoreletId[];
  /** Heard for the first time, or again after a lapse. */
  readonly returned: readonly CoreletId[];
  /** We stood still ourselves for so long, 0 if we didn't: operations read before may be stale. */
  readonly stalledMs: number;
}

/**
 * Liveness between this Corelet and each of its peers, shared by all arcs. At rest a peer is told seldom, and each message
 * says when the next one comes; who is late, or doubted for any other reason, is *asked*, and lapses when it doesn't answer
 * soon. So silence costs little and yet doubt is settled in a moment. Messages to different peers are spread over the
 * interval: of many peers one notices a silence early.
 *
 * No timers inside: call `tick` at `deadlineMs()`, and at once after `ask` or a message that wants an answer.
 */
export class PairLiveness {
  readonly #self: CoreletId;
  readonly #limits: LivenessLimits;
  readonly #pairs = new Map<CoreletId, Pair>();
  readonly #returned = new Set<CoreletId>();
  readonly #lapsed = new Set<CoreletId>();

  constructor(self: CoreletId, limits: LivenessLimits = defaultLivenessLimits) {
    this.#self = self;
    this.#limits = limits;
  }

  /** Whom to watch. */
  setPeers(ids: Iterable<CoreletId>, nowMs: number): void {
    const wanted = new Set(ids);
    for (const id of this.#pairs.keys()) if (!wanted.has(id)) this.#pairs.delete(id);
    for (const id of wanted) if (!this.#pairs.has(id)) this.#pairs.set(id, this.#newPair(nowMs));
    const restMs = this.#restMs();
    // As in a tournament, where everybody meets each of the others in another round.
    const order = [this.#self, ...this.#pairs.keys()].sort();
    const self = order.indexOf(this.#self);
    for (const [rank, id] of order.entries()) {
      const pair = this.#pairs.get(id);
      if (pair === undefined) continue;
      const round = (self + rank) % order.length;
      const share = (round + 1) / order.length + (self > rank ? answererShare : 0);
      // Who was told of a time already isn't told of a later one.
      pair.sendAtMs = Math.min(pair.sendAtMs, nowMs + restMs * share);
    }
  }

  #newPair(nowMs: number): Pair {
    return {
      heardMs: nowMs,
      state: 'new',
      sendAtMs: Number.POSITIVE_INFINITY,
      tell: true,
      follows: false,
      ask: false,
      askedMs: Number.POSITIVE_INFINITY,
      dueMs: nowMs + this.#limits.slackMs,
      wantsTickets: false,
    };
  }

  #restMs(): number {
    const { restMinMs, restPerPeerMs, restMaxMs } = this.#limits;
    return Math.min(restMaxMs, Math.max(restMinMs, this.#pairs.size * restPerPeerMs));
  }

  /** Any message from it proves it alive. */
  heard(id: CoreletId, nowMs: number): void {
    const pair = this.#pairs.get(id);
    if (pair === undefined) return;
    pair.heardMs = nowMs;
    pair.askedMs = Number.POSITIVE_INFINITY;
    pair.ask = false;
    if (pair.state === 'live') return;
    pair.state = 'live';
    pair.dueMs = nowMs + this.#limits.slackMs;
    this.#returned.add(id);
  }

  /** A liveness message from it, after `heard`. True: an answer is wanted, so `tick` is due. */
  told(id: CoreletId, rhythm: Rhythm, nowMs: number): boolean {
    const pair = this.#pairs.get(id);
    if (pair === undefined) return false;
    pair.dueMs = nowMs + rhythm.nextMs + this.#limits.slackMs;
    const began = rhythm.wantsTickets && !pair.wantsTickets;
    pair.wantsTickets = rhythm.wantsTickets;
    // Awake for this message, the own one to the same peer costs less now than later.
    const everyMs = this.#everyMs(pair);
    // … unless it was sent out of its rhythm: the pairs would all begin theirs where much happened at once, and not stay spread.
    const soon = rhythm.nextMs >= regularShare * everyMs && pair.sendAtMs - nowMs < earlyShare * everyMs;
    pair.tell ||= rhythm.answer || began || soon;
    pair.follows = soon;
    return pair.tell;
  }

  /** There is a doubt about it: it is asked with the next `tick`, unless an answer is open already. */
  ask(id: CoreletId): void {
    const pair = this.#pairs.get(id);
    if (pair !== undefined && pair.state !== 'lapsed' && pair.askedMs === Number.POSITIVE_INFINITY) pair.ask = true;
  }

  /** It is told soon, whatever the rhythm: it connected, or something changed here that it should know. */
  tell(id: CoreletId): void {
    const pair = this.#pairs.get(id);
    if (pair !== undefined) pair.tell = true;
  }

  /** Its connection ended: lapsed at the next tick unless it is heard before. */
  reset(id: CoreletId): void {
    const pair = this.#pairs.get(id);
    if (pair !== undefined && pair.state !== 'lapsed') this.#lapse(id, pair);
  }

  #lapse(id: CoreletId, pair: Pair): void {
    pair.state = 'lapsed';
    pair.ask = false;
    pair.askedMs = Number.POSITIVE_INFINITY;
    this.#lapsed.add(id);
  }

  tick(nowMs: number): LivenessStep {
    const lateMs = nowMs - this.#timedDeadlineMs();
    const stalledMs = lateMs > lateMinMs ? lateMs : 0;
    const due: LivenessDue[] = [];
    for (const [id, pair] of this.#pairs) {
      if (stalledMs > 0) forgive(pair, stalledMs, nowMs);
      if (nowMs >= pair.askedMs + this.#limits.answerMs) this.#lapse(id, pair);
      if (nowMs >= this.#askAtMs(pair)) pair.ask = true;
      if (pair.ask || pair.tell || nowMs >= pair.sendAtMs) due.push(this.#send(id, pair, nowMs));
    }
    const lapsed = [...this.#lapsed].filter((id) => this.#pairs.get(id)?.state === 'lapsed');
    const returned = [...this.#returned].filter((id) => this.#pairs.get(id)?.state === 'live');
    this.#lapsed.clear();
    this.#returned.clear();
    return { due, lapsed, returned, stalledMs };
  }

  /** Late as announced, and nothing else was heard of it in the last moment. */
  #askAtMs(pair: Pair): number {
    if (pair.state === 'lapsed' || pair.askedMs !== Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
    return Math.max(pair.dueMs, pair.heardMs + this.#limits.slackMs);
  }

  #everyMs(pair: Pair): number {
    const { lapsedMs, ticketMs } = this.#limits;
    if (pair.state === 'lapsed') return lapsedMs;
    return pair.wantsTickets ? Math.min(ticketMs, this.#restMs()) : this.#restMs();
  }

  #send(id: CoreletId, pair: Pair, nowMs: number): LivenessDue {
    const everyMs = this.#everyMs(pair);
    const leftMs = pair.sendAtMs - nowMs;
    const longestMs = everyMs * (1 + answererShare);
    // What is sent in between leaves the rhythm as it is, so that the peers stay spread.
    if (pair.follows) pair.sendAtMs = nowMs + longestMs;
    else if (leftMs <= 0 || leftMs > longestMs) pair.sendAtMs = nowMs + everyMs;
    pair.follows = false;
    const answer = pair.ask || pair.state === 'lapsed';
    if (pair.ask) pair.askedMs = nowMs;
    pair.ask = false;
    pair.tell = false;
    return { id, answer, nextMs: Math.ceil(pair.sendAtMs - nowMs) };
  }

  /** When to tick next; Infinity without peers. */
  deadlineMs(): number {
    if (this.#lapsed.size + this.#returned.size > 0) return Number.NEGATIVE_INFINITY;
    for (const pair of this.#pairs.values()) if (pair.ask || pair.tell) return Number.NEGATIVE_INFINITY;
    return this.#timedDeadlineMs();
  }

  /** What the clock alone brings: a tick later than this means that we stood still. */
  #timedDeadlineMs(): number {
    let deadlineMs = Number.POSITIVE_INFINITY;
    for (const pair of this.#pairs.values()) {
      const answerAtMs = pair.askedMs + this.#limits.answerMs;
      deadlineMs = Math.min(deadlineMs, pair.sendAtMs, this.#askAtMs(pair), answerAtMs);
    }
    return deadlineMs;
  }

  /** Heard, and not lapsed since. */
  isLive(id: CoreletId): boolean {
    return this.#pairs.get(id)?.state === 'live';
  }

  isLapsed(id: CoreletId): boolean {
    return this.#pairs.get(id)?.state === 'lapsed';
  }

  /** When this peer was last heard; undefined for one that never was. */
  heardMs(id: CoreletId): number | undefined {
    const pair = this.#pairs.get(id);
    return pair === undefined || pair.state === 'new' ? undefined : pair.heardMs;
  }
}

/** We could hear nobody while we stood still: that time counts against none of them. */
function forgive(pair: Pair, stalledMs: number, nowMs: number): void {
  pair.dueMs += stalledMs;
  pair.heardMs = Math.min(nowMs, pair.heardMs + stalledMs);
  pair.askedMs += stalledMs;
}
