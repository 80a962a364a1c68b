import type { CoreletId } from '../base/ids.ts';
import { type MemberState, memberById, stateOfMember, type View } from '../ring/view.ts';
import type { Wish, WireSlow } from '../wire/membership/types.ts';
import { medianOf } from './cohort.ts';
import type { Slow } from './slowness.ts';
import { type MembershipLimits, wishesMax } from './types.ts';

/** A member that shall be in another state. */
export interface StateChange {
  readonly id: CoreletId;
  readonly state: MemberState;
}

type Wanted = Pick<Wish, 'subject' | 'from' | 'to' | 'slow'>;

interface Voice {
  readonly atMs: number;
  readonly slow: WireSlow;
}

interface Request {
  readonly wanted: Omit<Wanted, 'slow'>;
  /** Who wishes it, when it was heard last, and why. */
  readonly voices: Map<CoreletId, Voice>;
}

/** Why a member sits out: the figures in the middle of all who wished it. */
export interface Ground extends Slow {
  readonly observers: readonly CoreletId[];
}

/**
 * Changes of members' states that are asked for. To drain a member, or to take that back, is somebody's order: one voice is
 * enough. To sit out, and to come back from it, is a judgement about latency: several must have come to it.
 */
export class Wishes {
  readonly #limits: MembershipLimits;
  readonly #requests = new Map<string, Request>();
  /** What this Corelet wishes itself, and repeats until the view says so or until then. */
  readonly #own = new Map<CoreletId, { readonly wanted: Wanted; readonly untilMs: number }>();
  readonly #grounds = new Map<CoreletId, Ground>();
  #nextRepeatMs = Number.NEGATIVE_INFINITY;

  constructor(limits: MembershipLimits) {
    this.#limits = limits;
  }

  get pending(): boolean {
    return this.#requests.size + this.#own.size > 0;
  }

  /** Our own wish; a later one about the same member replaces it. */
  want(wanted: Wanted, nowMs: number): void {
    this.#own.set(wanted.subject, { wanted, untilMs: nowMs + this.#limits.wishLifeMs });
    this.#nextRepeatMs = nowMs;
  }

  /** Those of our own that are to be told now. */
  due(nowMs: number): readonly Wanted[] {
    if (this.#own.size === 0 || nowMs < this.#nextRepeatMs) return [];
    this.#nextRepeatMs = nowMs + this.#limits.alertRepeatMs;
    return [...this.#own.values()].map(({ wanted }) => wanted);
  }

  hear(from: CoreletId, { subject, from: before, to, slow }: Wanted, nowMs: number): void {
    const key = `${subject} ${before} ${to}`;
    let request = this.#requests.get(key);
    if (request === undefined) {
      if (this.#requests.size >= wishesMax) return;
      request = { wanted: { subject, from: before, to }, voices: new Map() };
      this.#requests.set(key, request);
    }
    request.voices.set(from, { atMs: nowMs, slow });
  }

  /** Forgets what came true, what can't any more, and what nobody repeats. */
  prune(view: View, nowMs: number): void {
    for (const [key, { wanted, voices }] of this.#requests) {
      for (const [id, { atMs }] of voices) if (nowMs - atMs > this.#limits.alertLifeMs) voices.delete(id);
      if (voices.size === 0 || !isOpen(view, wanted)) this.#requests.delete(key);
    }
    for (const [id, { wanted, untilMs }] of this.#own) {
      if (nowMs >= untilMs || !isOpen(view, wanted)) this.#own.delete(id);
    }
  }

  /** A new view, before what came true in it is forgotten. Who sits out from now on, and why, as far as it was heard. */
  agreed(view: View): ReadonlyMap<CoreletId, Ground> {
    const sitting = new Set(view.members.filter((one) => stateOfMember(one) === 'sitting-out').map(({ id }) => id));
    for (const id of this.#grounds.keys()) if (!sitting.has(id)) this.#grounds.delete(id);
    const news = new Map<CoreletId, Ground>();
    for (const { wanted, voices } of this.#requests.values()) {
      const { subject, to } = wanted;
      if (to === 'sitting-out' && sitting.has(subject) && !this.#grounds.has(subject)) {
        news.set(subject, groundOf(voices));
      }
    }
    for (const [id, ground] of news) this.#grounds.set(id, ground);
    return news;
  }

  /** Why a member sits out; undefined when it doesn't, or this Corelet didn't hear why. */
  groundOf(id: CoreletId): Ground | undefined {
    return this.#grounds.get(id);
  }

  /**
   * What can be agreed on now. `heard`: members whose voices count. No more than `sittingOutMax` sit out at a time: an arc
   * with more slow copies than that would wait for one of them with every write.
   */
  ready(view: View, heard: ReadonlySet<CoreletId>, sittingOutMax: number): readonly StateChange[] {
    const judges = Math.max(2, Math.ceil(heard.size / 3));
    let sitting = view.members.filter((member) => stateOfMember(member) === 'sitting-out').length;
    const changes = new Map<CoreletId, StateChange>();
    for (const { wanted, voices } of this.#requests.values()) {
      const { subject: id, from, to } = wanted;
      if (!isOpen(view, wanted) || changes.has(id)) continue;
      const ordered = from === 'draining' || to === 'draining';
      const count = [...voices.keys()].filter((voice) => heard.has(voice)).length;
      if (count < (ordered ? 1 : judges)) continue;
      if (to === 'sitting-out' && sitting >= sittingOutMax) continue;
      if (to === 'sitting-out') sitting++;
      changes.set(id, { id, state: to });
    }
    return [...changes.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}

function isOpen(view: View, { subject, from }: Omit<Wanted, 'slow'>): boolean {
  const member = memberById(view, subject);
  return member !== undefined && stateOfMember(member) === from;
}

const msOf = (us: number): number => Math.round(us / 10) / 100;

function groundOf(voices: ReadonlyMap<CoreletId, Voice>): Ground {
  const figures = [...voices.values()].map(({ slow }) => slow);
  const middle = (us: (slow: WireSlow) => number): number =>
    msOf(medianOf(figures.map((slow) => us(slow)).filter((each) => each > 0)));
  const flash = { ms: middle((slow) => slow.flashUs), usualMs: middle((slow) => slow.flashUsualUs) };
  const answers = { ms: middle((slow) => slow.answersUs), usualMs: middle((slow) => slow.answersUsualUs) };
  return { observers: [...voices.keys()], ...(flash.ms > 0 && { flash }), ...(answers.ms > 0 && { answers }) };
}

const usOf = (ms = 0): number => Math.min(0xffff_ffff, Math.round(1000 * ms));

/** As it travels. */
export function slowOnWire({ flash, answers }: Slow): WireSlow {
  return {
    flashUs: usOf(flash?.ms),
    flashUsualUs: usOf(flash?.usualMs),
    answersUs: usOf(answers?.ms),
    answersUsualUs: usOf(answers?.usualMs),
  };
}
