import { assert } from '../base/assert.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { CoreletId } from '../base/ids.ts';
import { hasMember, sameView, type View, viewOf } from '../ring/view.ts';
import type { Ballot, Decided, Decision } from '../wire/membership/types.ts';
import { Agreement } from './agreement.ts';
import { foundingBallot } from './ballots.ts';
import { fastBallot, keepUncounted } from './fast.ts';
import { HoldDown } from './joins.ts';
import type { Losses } from './losses.ts';
import { causeOf, narrateChange, narrateOne } from './narrate.ts';
import { News } from './news.ts';
import type { Outbox } from './outbox.ts';
import { encodeRegister, type Register } from './register.ts';
import { difference, spareCount } from './succession.ts';
import type { MembershipLimits, MembershipOptions, RandomSource, Standing } from './types.ts';

interface Newest {
  readonly ballot: Ballot;
  readonly decision: Decision;
  readonly view: View;
  /** Told to whoever is behind. */
  readonly message: Decided;
}

/** What a new view means for this Corelet: it is among the members, or it was and is not any more. */
export interface Place {
  readonly inside: boolean;
  readonly dropped: boolean;
}

export interface ChainOptions {
  readonly self: CoreletId;
  readonly limits: MembershipLimits;
  readonly random: RandomSource;
  readonly restored: Register | undefined;
  readonly founding: MembershipOptions['founding'];
  readonly outbox: Outbox;
  /** Told of whoever is removed for silence. */
  readonly losses: Losses;
  /** Of the step that is being made. */
  nowMs(): number;
  /** A view took the place of the one before: what was gathered about that one is void. */
  onView(view: View, place: Place): void;
}

/**
 * The sequence of views as this Corelet knows it: the newest one, how it was agreed, this Corelet's standing in it, who was
 * removed how often, and the agreement on the one to come. What must survive a crash of all that is one register.
 */
export class Chain {
  readonly agreement: Agreement;
  readonly #options: ChainOptions;
  readonly #news: News;
  #holdDown: HoldDown;
  #newest: Newest | undefined;
  #standing: Standing = 'outside';

  constructor(options: ChainOptions) {
    const { self, limits, random, outbox, restored } = options;
    this.#options = options;
    this.#news = new News(outbox);
    this.#holdDown = new HoldDown(limits, restored?.flaps ?? [], 0);
    this.agreement = new Agreement(self, limits, random, {
      persist: () => outbox.persist(),
      send: (to, message, afterSync) => outbox.send(to, message, afterSync),
      decided: (ballot, decision) => this.#decided(ballot, decision),
    });
  }

  /** The newest view known; undefined on a blank module that nobody has admitted yet. */
  get view(): View | undefined {
    return this.#newest?.view;
  }

  get viewNumber(): number {
    return this.#newest?.view.number ?? 0;
  }

  /** The newest view, where there must be one. */
  known(): View {
    assert(this.#newest !== undefined, 'a view is known');
    return this.#newest.view;
  }

  get sparesWanted(): number {
    return this.#newest?.decision.sparesWanted ?? 0;
  }

  get holdDown(): HoldDown {
    return this.#holdDown;
  }

  get standing(): Standing {
    return this.#standing;
  }

  isMember(): boolean {
    return this.#standing === 'member' || this.#standing === 'leaving';
  }

  /** Who has left asks to be taken back. */
  comeBack(): void {
    if (this.#standing === 'left') this.#standing = 'outside';
  }

  /** Goes on purpose. True: that is news, and the others must agree. */
  leave(): boolean {
    if (this.#standing === 'outside') this.#standing = 'left';
    if (this.#standing !== 'member') return false;
    this.#standing = 'leaving';
    return true;
  }

  /** With what this Corelet remembers, or with the founding view. */
  start(): void {
    const { restored, founding, limits, outbox } = this.#options;
    this.#holdDown = new HoldDown(limits, restored?.flaps ?? [], this.#options.nowMs());
    const newest = restored?.newest;
    if (newest !== undefined) {
      this.#install(newest.ballot, newest.decision);
      this.agreement.begin(this.known(), restored?.promised, restored?.accepted);
    } else if (founding !== undefined) {
      const decision: Decision = { view: founding, removals: [], sparesWanted: spareCount(founding.members) };
      this.#install(foundingBallot, decision);
      this.agreement.begin(this.known());
      outbox.persist();
      this.#announce(undefined, decision, 'founding');
    }
  }

  /** Somebody told a view. @throws RemoteProtocolError when it contradicts ours. */
  learn(from: CoreletId, message: Decided): void {
    const { view } = message.decision;
    if (view.number > this.viewNumber) this.#adopt(message.ballot, message.decision);
    else if (view.number < this.viewNumber) this.tell(from);
    else if (!sameView(view, this.known())) {
      throw new RemoteProtocolError(`two views with number ${view.number}: the other side belongs to another history`);
    }
  }

  /** It knows that view: asks it, or tells it, when one of us is behind. */
  compare(from: CoreletId, theirViewNumber: number): void {
    if (theirViewNumber > this.viewNumber) this.#news.ask(from, this.viewNumber, this.#options.nowMs());
    else if (theirViewNumber < this.viewNumber) this.tell(from);
  }

  /** Tells it the newest view, if there is one. */
  tell(to: CoreletId): void {
    if (this.#newest !== undefined) this.#news.tell(to, this.#newest.message, this.#options.nowMs());
  }

  /** What must not be forgotten. */
  encode(): Uint8Array {
    const newest = this.#newest;
    return encodeRegister({
      newest: newest === undefined ? undefined : { ballot: newest.ballot, decision: newest.decision },
      promised: this.agreement.promised,
      accepted: this.agreement.accepted,
      flaps: this.#holdDown.flaps(this.#options.nowMs()),
    });
  }

  // By our own proposal, or by fast votes that we counted ourselves.
  #decided(ballot: Ballot, decision: Decision): void {
    const { self, outbox } = this.#options;
    const before = this.known().members;
    this.#adopt(ballot, decision);
    const message: Decided = { type: 'decided', ballot, decision };
    // Alone, our own disk is the majority; and among fast votes our own counts before it is durable.
    const unsynced = before.length === 1 || ballot.round === fastBallot.round;
    const told = new Set([...before, ...decision.view.members].map((member) => member.id));
    if (ballot.round === fastBallot.round) keepUncounted(told, self, before, decision);
    told.delete(self);
    for (const id of told) {
      outbox.send(id, message, unsynced);
      this.#news.told(id, this.#options.nowMs()); // their late answers need no news
    }
  }

  #adopt(ballot: Ballot, decision: Decision): void {
    const previous = this.view;
    for (const removal of decision.removals) {
      if (removal.reason !== 'silent') continue;
      this.#holdDown.removed(removal.id, this.#options.nowMs());
      this.#options.losses.lost(removal.id, this.#options.nowMs());
    }
    this.#install(ballot, decision);
    this.agreement.begin(this.known());
    this.#options.outbox.persist();
    this.#announce(previous, decision);
  }

  #install(ballot: Ballot, decision: Decision): void {
    const view = viewOf(decision.view.number, decision.view.members);
    this.#newest = { ballot, decision, view, message: { type: 'decided', ballot, decision } };
    this.#news.clear();
    const inside = hasMember(view, this.#options.self);
    const dropped = !inside && this.isMember();
    if (inside && this.#standing !== 'leaving') this.#standing = 'member';
    if (dropped) this.#standing = this.#standing === 'leaving' ? 'left' : 'outside';
    this.#options.onView(view, { inside, dropped });
  }

  #announce(previous: View | undefined, decision: Decision, founding?: 'founding'): void {
    const { outbox, self } = this.#options;
    const view = this.known();
    const change = difference(previous, view);
    const cause = founding ?? causeOf(decision.removals, change);
    outbox.viewChange({ view, previous, ...change, cause, observers: decision.removals });
    for (const event of narrateChange(previous, view, change, decision.removals, cause)) outbox.event(event);
    if (this.#standing === 'outside' && previous !== undefined && hasMember(previous, self)) {
      const what = `is not in view ${view.number} and asks to be taken back`;
      outbox.event(narrateOne('membership.outside', view, self, what));
    }
  }
}
