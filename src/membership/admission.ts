import type { CoreletId } from '../base/ids.ts';
import { type Member, type MemberState, memberById, stateOfMember, type View, withState } from '../ring/view.ts';
import type { Join } from '../wire/membership/types.ts';
import type { MembershipLimits, RandomSource } from './types.ts';

/** Where a Corelet is reached; whom a Corelet without a view asks for admission. */
export interface Seed {
  readonly id: CoreletId;
  readonly address: string;
}

/** At most this many are asked at a time. */
const askedMax = 3;

/** Up to `askedMax` of them, at random, and never `self`. */
export function someOf(ids: Iterable<CoreletId>, self: CoreletId, random: RandomSource): CoreletId[] {
  const rest = [...new Set(ids)].filter((id) => id !== self);
  const some: CoreletId[] = [];
  while (some.length < askedMax && rest.length > 0) {
    some.push(...rest.splice(Math.floor(random.fraction() * rest.length), 1));
  }
  return some;
}

/** The joiner's side: whom to ask next, with a growing, jittered wait in between. */
export class Admission {
  readonly #self: Member;
  readonly #limits: MembershipLimits;
  readonly #random: RandomSource;
  #seeds: readonly Seed[] = [];
  #state: MemberState = 'live';
  #nextMs = 0;
  #delayMs: number;

  constructor(self: Member, limits: MembershipLimits, random: RandomSource) {
    this.#self = self;
    this.#limits = limits;
    this.#random = random;
    this.#delayMs = limits.joinRepeatMinMs;
  }

  get seeds(): readonly Seed[] {
    return this.#seeds;
  }

  seed(seeds: readonly Seed[]): void {
    this.#seeds = seeds.filter((seed) => seed.id !== this.#self.id);
  }

  /** Begins anew, with the shortest waits. */
  begin(atMs: number): void {
    this.#delayMs = this.#limits.joinRepeatMinMs;
    this.#nextMs = atMs;
  }

  /** A view is current. Who drained when it was lost drains on when it is taken back. */
  remember(view: View): void {
    const known = memberById(view, this.#self.id);
    if (known !== undefined) this.#state = stateOfMember(known) === 'draining' ? 'draining' : 'live';
  }

  request(viewNumber: number, incarnation: number): Join {
    return { type: 'join', viewNumber, incarnation, relayed: false, member: withState(this.#self, this.#state) };
  }

  /** Whom to ask now; nobody while the wait lasts. */
  due(view: View | undefined, nowMs: number): readonly CoreletId[] {
    if (nowMs < this.#nextMs) return [];
    this.#delayMs = Math.min(this.#limits.joinRepeatMaxMs, this.#delayMs * 1.5);
    this.#nextMs = nowMs + this.#delayMs * (0.75 + 0.5 * this.#random.fraction());
    const known = [...(view?.members ?? []), ...this.#seeds].map((peer) => peer.id);
    return someOf(known, this.#self.id, this.#random);
  }
}

/** Addresses by id, all but our own; where groups differ, the last one is right: a member that moved says where it is. */
export function contactsOf(self: CoreletId, groups: readonly (readonly Seed[])[]): ReadonlyMap<CoreletId, string> {
  const contacts = new Map<CoreletId, string>();
  for (const peer of groups.flat()) if (peer.id !== self) contacts.set(peer.id, peer.address);
  return contacts;
}
