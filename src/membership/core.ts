import { assert } from '../base/assert.ts';
import { RemoteProtocolError } from '../base/errors.ts';
import type { CoreletId } from '../base/ids.ts';
import {
  hasMember,
  type Member,
  type MemberState,
  majority,
  memberById,
  sameView,
  stateOfMember,
  type View,
  viewOf,
} from '../ring/view.ts';
import { decodeMembership } from '../wire/membership/codec.ts';
import type { Ballot, Decided, Decision, Join, MembershipMessage } from '../wire/membership/types.ts';
import { Admission, contactsOf, type Seed, someOf } from './admission.ts';
import { Alarm } from './alarm.ts';
import { Agreement, numberOf } from './agreement.ts';
import { foundingBallot } from './ballots.ts';
import { fastBallot, keepUncounted } from './fast.ts';
import { Campaign } from './campaign.ts';
import { type Frozen, frozenBy, FrozenWatch } from './frozen.ts';
import { HoldDown, isCurrent, Joins } from './joins.ts';
import { causeOf, narrateChange, narrateOne, narrateProposal } from './narrate.ts';
import { Losses } from './losses.ts';
import { News } from './news.ts';
import { Outbox } from './outbox.ts';
import { decodeRegister, encodeRegister, type Register } from './register.ts';
import { difference, spareCount } from './succession.ts';
import { Slowness } from './slowness.ts';
import { Tally } from './tally.ts';
import {
  defaultLimits,
  type MembershipEffects,
  type MembershipLimits,
  type MembershipOptions,
  type RandomSource,
  restTickMs,
  type Standing,
  tickMaxMs,
} from './types.ts';
import { type Failing, Watch } from './watch.ts';
import { Wishes } from './wishes.ts';

interface Newest {
  readonly ballot: Ballot;
  readonly decision: Decision;
  readonly view: View;
  /** Told to whoever is behind. */
  readonly message: Decided;
}

export interface Flapping {
  readonly score: number;
  readonly heldDownMs: number;
}

/** On whole multiples, so that it comes in the same turn as what else looks around at rest. */
function nextRestTickMs(tickMs: number): number {
  return (Math.floor(tickMs / restTickMs) + 1) * restTickMs;
}

/** Whether a wish can be told to anybody: either this Corelet or the one it is about is outside the view. */
export type WishResult = { readonly ok: true } | { readonly ok: false; readonly code: 'NOT_A_MEMBER' };

/**
 * Membership as one Corelet sees it: a step machine without I/O. Tell it what was heard and what time it is, then take
 * the effects and carry them out in their order. Views form a chain: each is agreed by a majority of the members of the
 * one before, so all Corelets see the same sequence (some skip steps), and a minority never adds to it.
 */
export class MembershipCore {
  readonly #self: Member;
  readonly #incarnation: number;
  readonly #limits: MembershipLimits;
  readonly #random: RandomSource;
  readonly #outbox: Outbox;
  readonly #news: News;
  readonly #watch: Watch;
  readonly #tally: Tally;
  readonly #joins: Joins;
  readonly #wishes: Wishes;
  readonly #slowness = new Slowness();
  readonly #sittingOutMax: number;
  readonly #campaign: Campaign;
  readonly #admission: Admission;
  readonly #alarm: Alarm;
  readonly #agreement: Agreement;
  readonly #restored: Register | undefined;
  readonly #founding: View | undefined;
  readonly #frozen = new FrozenWatch();
  /** The owner says when they are made good. */
  readonly losses = new Losses();
  #holdDown: HoldDown;
  #newest: Newest | undefined;
  #standing: Standing = 'outside';
  #ownFailing = false;
  #nowMs = 0;
  #tickMs = 0;

  /** @throws RemoteProtocolError when `restored` is of another format version. */
  constructor(options: MembershipOptions) {
    this.#self = options.self;
    this.#incarnation = options.incarnation;
    this.#random = options.random;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#outbox = new Outbox(() => this.#encodeRegister());
    this.#news = new News(this.#outbox);
    this.#watch = new Watch(this.#limits);
    this.#tally = new Tally(this.#limits);
    this.#joins = new Joins(this.#limits);
    this.#wishes = new Wishes(this.#limits);
    const senses = {
      watch: this.#watch,
      tally: this.#tally,
      joins: this.#joins,
      wishes: this.#wishes,
      losses: this.losses,
    };
    this.#sittingOutMax = options.sittingOutMax ?? 1;
    this.#campaign = new Campaign(options.self.id, this.#limits, options.random, senses, this.#sittingOutMax);
    this.#alarm = new Alarm(options.self.id, this.#limits, senses, this.#outbox);
    this.#admission = new Admission(options.self, this.#limits, options.random);
    this.#agreement = new Agreement(options.self.id, this.#limits, options.random, {
      persist: () => this.#outbox.persist(),
      send: (to, message, afterSync) => this.#outbox.send(to, message, afterSync),
      decided: (ballot, decision) => this.#decided(ballot, decision),
    });
    this.#restored = options.restored === undefined ? undefined : decodeRegister(options.restored);
    this.#founding = options.founding;
    this.#holdDown = new HoldDown(this.#limits, this.#restored?.flaps ?? [], 0);
  }

  // ---- what the owner may ask ------------------------------------------------------------------------------------
  /** The newest view known; undefined on a blank module that nobody has admitted yet. */
  get view(): View | undefined {
    return this.#newest?.view;
  }

  get viewNumber(): number {
    return this.#newest?.view.number ?? 0;
  }

  get standing(): Standing {
    return this.#standing;
  }

  /** Something was accepted here that may become the next view. */
  get hasOpenValue(): boolean {
    return this.#agreement.openValue !== undefined;
  }

  /** Whether this view can lose nobody now, as this Corelet sees it, and why. */
  get frozen(): Frozen {
    const members = this.view?.members.length ?? 0;
    const lost = this.#tally.braked && this.view !== undefined ? this.losses.recent(this.view, this.#nowMs) : 0;
    return frozenBy(this.#standing, members, this.#watch.hears(), lost);
  }

  /** Heard, not lapsed, not accused by us: for status pages, not for decisions. */
  isLive(id: CoreletId): boolean {
    return id === this.#self.id ? this.#standing === 'member' : this.#watch.isLive(id);
  }

  /** How often a Corelet was removed for silence, less what time forgave, and how long it must wait to be taken back. */
  flapping(id: CoreletId, nowMs: number): Flapping {
    const heldDownMs = Math.max(0, this.#holdDown.waitMs(id, nowMs, this.#joins.steadySinceMs(id, nowMs)));
    return { score: this.#holdDown.scoreOf(id, nowMs), heldDownMs };
  }

  accuses(id: CoreletId): boolean {
    return this.#watch.accuses(id);
  }

  /** With whom connections are needed for membership: the view, who asks to join, and our seeds while we are outside. */
  contacts(): ReadonlyMap<CoreletId, string> {
    const seeds = this.#standing === 'outside' ? this.#admission.seeds : [];
    return contactsOf(this.#self.id, [seeds, this.view?.members ?? [], this.#joins.members()]);
  }

  /** When to call `tick` next, unless an event comes before that brings it forward. Nothing under way costs next to nothing. */
  deadlineMs(): number {
    const atRest = this.#standing === 'member' && !this.#busy();
    const nextMs = atRest ? nextRestTickMs(this.#tickMs) : this.#tickMs + tickMaxMs;
    return Math.min(nextMs, Math.max(this.#tickMs, this.#watch.deadlineMs()));
  }

  #busy(): boolean {
    const view = this.#knownView();
    const accuses = this.#watch.hears() < view.members.length;
    const updates = !isCurrent(view, this.#self);
    const asked = this.#joins.pending || this.#wishes.pending;
    const open = this.#agreement.proposing || this.hasOpenValue;
    return accuses || updates || asked || open || this.#tally.busy();
  }

  takeEffects(): MembershipEffects {
    return this.#outbox.take();
  }

  // ---- events ----------------------------------------------------------------------------------------------------

  /** First of all events, once. */
  start(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#tickMs = nowMs;
    this.#watch.start(nowMs);
    this.#holdDown = new HoldDown(this.#limits, this.#restored?.flaps ?? [], nowMs);
    const newest = this.#restored?.newest;
    if (newest !== undefined) {
      this.#install(newest.ballot, newest.decision, nowMs);
      this.#agreement.begin(this.#knownView(), this.#restored?.promised, this.#restored?.accepted);
    } else if (this.#founding !== undefined) {
      const view = this.#founding;
      const decision: Decision = { view, removals: [], sparesWanted: spareCount(view.members) };
      this.#install(foundingBallot, decision, nowMs);
      this.#agreement.begin(this.#knownView());
      this.#outbox.persist();
      this.#announce(undefined, decision, 'founding');
    }
    this.#admission.begin(nowMs);
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#tickMs = nowMs;
    const { accused, withdrawn } = this.#watch.scan(nowMs);
    for (const id of accused) this.#observe('membership.accused', id, 'does not answer');
    for (const id of withdrawn) this.#observe('membership.withdrawn', id, 'answers again');
    if (this.#isMember()) {
      const changed = accused.length + withdrawn.length > 0;
      this.#alarm.speak(this.#knownView(), changed, this.#standing === 'leaving', nowMs);
      this.#judgeSlowness();
      this.#tellWishes();
      this.#agreement.tick(nowMs);
      this.#considerProposal();
      this.#sayFrozen();
    }
    this.#joinWhenDue();
    this.#watch.expectScan(this.deadlineMs());
  }

  /** Any message of a peer proves that it lives. */
  heard(from: CoreletId, nowMs: number): void {
    this.#watch.heard(from, nowMs);
  }

  /** How long a member's flash takes, as a median of its newest durable writes; 0: not known. */
  latency(id: CoreletId, latencyMs: number, nowMs: number): void {
    this.#slowness.tell(id, latencyMs, nowMs);
  }

  /** What a member's own messages, or this Corelet's own device, tell: its flash hangs, or it hears nothing of ours. Undefined: nothing is wrong (any more). */
  failing(id: CoreletId, failing: Failing | undefined, nowMs: number): void {
    if (id === this.#self.id) this.#ownFailing = failing !== undefined;
    if (!this.#watch.failing(id, failing, nowMs)) return;
    const what = { flash: 'says that its flash hangs', deaf: 'speaks, and does not hear this Corelet' };
    this.#observe('membership.failing', id, failing === undefined ? 'is well again' : what[failing]);
  }

  /** It was asked and didn't answer. */
  silent(id: CoreletId, nowMs: number): void {
    this.#watch.lapsed(id, nowMs);
  }

  /** A hint: the connection to it ended. Unheard for a while after that, it is accused sooner. */
  reset(id: CoreletId, nowMs: number): void {
    this.#watch.reset(id, nowMs);
  }

  /** A liveness message carried another view number than ours. */
  behind(from: CoreletId, theirViewNumber: number, nowMs: number): void {
    if (theirViewNumber > this.viewNumber) this.#news.ask(from, this.viewNumber, nowMs);
    else if (theirViewNumber < this.viewNumber) this.#tellNewest(from, nowMs);
  }

  /** Asks these for admission until a view has us. What a view of ours knows is asked too. */
  join(seeds: readonly Seed[], nowMs: number): void {
    if (this.#standing === 'left') this.#standing = 'outside';
    this.#admission.seed(seeds);
    this.#admission.begin(nowMs);
  }

  /** Goes on purpose: `standing` becomes `left` when a view without us is agreed. */
  leave(nowMs: number): void {
    if (this.#standing === 'outside') this.#standing = 'left';
    if (this.#standing !== 'member') return;
    this.#standing = 'leaving';
    this.#alarm.renew(nowMs);
  }

  /**
   * Asks the members to agree that `id` be in `state`; the view says when it is. It is asked again for `wishLifeMs`. To drain
   * a member, and to let it live again, one Corelet's wish is enough; to sit out several must wish it.
   */
  setState(id: CoreletId, state: MemberState, nowMs: number): WishResult {
    const member = this.view === undefined ? undefined : memberById(this.view, id);
    if (this.#standing !== 'member' || member === undefined) return { ok: false, code: 'NOT_A_MEMBER' };
    const from = stateOfMember(member);
    if (from !== state) this.#wishes.want({ subject: id, from, to: state }, nowMs);
    return { ok: true };
  }

  /** @throws RemoteProtocolError when `body` isn't a membership message or breaks the protocol. */
  receive(from: CoreletId, body: Uint8Array, nowMs: number): void {
    const message = decodeMembership(body);
    this.#nowMs = nowMs;
    this.#watch.heard(from, nowMs);
    if (message.type === 'join') this.#joinAsked(from, message, nowMs);
    else if (message.type === 'decided') this.#learn(from, message, nowMs);
    else if (this.#standing === 'outside' || this.#standing === 'left') this.#answerAsOutsider(from, message, nowMs);
    else this.#receiveAsMember(from, message, nowMs);
  }

  // ---- steps -----------------------------------------------------------------------------------------------------

  #isMember(): boolean {
    return this.#standing === 'member' || this.#standing === 'leaving';
  }

  #knownView(): View {
    assert(this.#newest !== undefined, 'a view is known');
    return this.#newest.view;
  }

  #receiveAsMember(from: CoreletId, message: Exclude<MembershipMessage, Join | Decided>, nowMs: number): void {
    // Messages about the agreement name the view that is to come, the others the sender's.
    const theirNumber = 'viewNumber' in message ? message.viewNumber : numberOf(message) - 1;
    if (theirNumber !== this.viewNumber) {
      this.behind(from, theirNumber, nowMs);
      return;
    }
    if (!hasMember(this.#knownView(), from)) return;
    if (message.type === 'alert') {
      this.#alarm.hear(this.#knownView(), from, message, nowMs);
    } else if (message.type === 'wish') this.#wishes.hear(from, message, nowMs);
    else if (message.type === 'leave') this.#tally.leaves(from);
    else if (message.type !== 'ask') this.#agreement.receive(from, message, nowMs);
  }

  // Even an outsider may know a newer view than a sleeper.
  #answerAsOutsider(from: CoreletId, message: MembershipMessage, nowMs: number): void {
    if ('viewNumber' in message) this.behind(from, message.viewNumber, nowMs);
  }

  #joinAsked(from: CoreletId, message: Join, nowMs: number): void {
    if (message.viewNumber > this.viewNumber) this.#news.ask(from, this.viewNumber, nowMs);
    if (!this.#isMember()) return;
    const view = this.#knownView();
    const joiner = message.member;
    if (message.viewNumber < view.number) this.#tellNewest(joiner.id, nowMs);
    if (isCurrent(view, joiner) || !this.#joins.note(message, nowMs)) return;
    if (message.relayed) return;
    const relayed: Join = { ...message, relayed: true };
    for (const { id } of view.members) if (id !== this.#self.id && id !== from) this.#outbox.send(id, relayed);
  }

  #learn(from: CoreletId, message: Decided, nowMs: number): void {
    const { view } = message.decision;
    if (view.number > this.viewNumber) this.#adopt(message.ballot, message.decision, nowMs);
    else if (view.number < this.viewNumber) this.#tellNewest(from, nowMs);
    else if (!sameView(view, this.#knownView())) {
      throw new RemoteProtocolError(`two views with number ${view.number}: the other side belongs to another history`);
    }
  }

  // By our own proposal, or by fast votes that we counted ourselves.
  #decided(ballot: Ballot, decision: Decision): void {
    const before = this.#knownView().members;
    this.#adopt(ballot, decision, this.#nowMs);
    const message: Decided = { type: 'decided', ballot, decision };
    // Alone, our own disk is the majority; and among fast votes our own counts before it is durable.
    const unsynced = before.length === 1 || ballot.round === fastBallot.round;
    const told = new Set([...before, ...decision.view.members].map((member) => member.id));
    if (ballot.round === fastBallot.round) keepUncounted(told, this.#self.id, before, decision);
    told.delete(this.#self.id);
    for (const id of told) {
      this.#outbox.send(id, message, unsynced);
      this.#news.told(id, this.#nowMs); // their late answers need no news
    }
  }

  #adopt(ballot: Ballot, decision: Decision, nowMs: number): void {
    const previous = this.view;
    for (const removal of decision.removals) {
      if (removal.reason !== 'silent') continue;
      this.#holdDown.removed(removal.id, nowMs);
      this.losses.lost(removal.id, nowMs);
    }
    this.#install(ballot, decision, nowMs);
    this.#agreement.begin(this.#knownView());
    this.#outbox.persist();
    this.#announce(previous, decision);
  }

  #install(ballot: Ballot, decision: Decision, nowMs: number): void {
    const view = viewOf(decision.view.number, decision.view.members);
    this.#newest = { ballot, decision, view, message: { type: 'decided', ballot, decision } };
    this.#tally.clear();
    this.#news.clear();
    this.#campaign.clear();
    this.#admission.remember(view);
    this.#alarm.renew(nowMs);
    this.#joins.prune(view, nowMs);
    const inside = hasMember(view, this.#self.id);
    if (inside && this.#standing !== 'leaving') this.#standing = 'member';
    if (!inside && this.#isMember()) {
      this.#standing = this.#standing === 'leaving' ? 'left' : 'outside';
      this.#admission.begin(nowMs + this.#limits.joinRepeatMinMs * this.#random.fraction());
    }
    this.#watch.watch(inside ? view.members : [], this.#self.id, nowMs);
  }

  #announce(previous: View | undefined, decision: Decision, founding?: 'founding'): void {
    const view = this.#knownView();
    const change = difference(previous, view);
    const cause = founding ?? causeOf(decision.removals, change);
    this.#outbox.viewChange({ view, previous, ...change, cause, observers: decision.removals });
    for (const event of narrateChange(previous, view, change, decision.removals, cause)) this.#outbox.event(event);
    if (this.#standing === 'outside' && previous !== undefined && hasMember(previous, this.#self.id)) {
      this.#observe('membership.outside', this.#self.id, `is not in view ${view.number} and asks to be taken back`);
    }
  }

  #judgeSlowness(): void {
    if (this.#standing !== 'member') return;
    for (const { id, state } of this.#slowness.judge(this.#knownView(), this.#sittingOutMax, this.#nowMs)) {
      this.setState(id, state, this.#nowMs);
    }
  }

  #tellWishes(): void {
    for (const wanted of this.#wishes.due(this.#nowMs)) {
      this.#wishes.hear(this.#self.id, wanted, this.#nowMs);
      this.#toMembers({ type: 'wish', viewNumber: this.viewNumber, ...wanted });
    }
  }

  #toMembers(message: MembershipMessage): void {
    for (const { id } of this.#knownView().members) if (id !== this.#self.id) this.#outbox.send(id, message);
  }

  #considerProposal(): void {
    const view = this.#knownView();
    const sparesWanted = this.#newest?.decision.sparesWanted ?? 0;
    const move = this.#campaign.consider(view, sparesWanted, this.#holdDown, this.#agreement, this.#nowMs);
    if (move === undefined) return;
    this.#outbox.event(narrateProposal(view, move));
    if (move.kind === 'vote') this.#agreement.vote(move.decision, this.#nowMs);
    else this.#agreement.propose(move.decision, this.#nowMs);
  }

  #sayFrozen(): void {
    const { frozen, viewNumber } = this;
    const ids = this.#knownView().members.map((member) => member.id);
    const few = this.#watch.hears() < majority(ids.length);
    if (frozen.frozen && few && this.#frozen.askDue(this.#nowMs)) {
      for (const id of someOf(ids, this.#self.id, this.#random)) this.#outbox.send(id, { type: 'ask', viewNumber });
    }
    const event = this.#frozen.changed(frozen, viewNumber);
    if (event !== undefined) this.#outbox.event(event);
  }

  #joinWhenDue(): void {
    const view = this.view;
    const updates = this.#standing === 'member' && view !== undefined && !isCurrent(view, this.#self);
    // Who would be removed again doesn't ask.
    if ((!updates && this.#standing !== 'outside') || this.#ownFailing) return;
    const asked = this.#admission.due(view, this.#nowMs);
    if (asked.length === 0) return;
    const message = this.#admission.request(this.viewNumber, this.#incarnation);
    if (updates) this.#joins.note(message, this.#nowMs);
    for (const id of asked) this.#outbox.send(id, message);
  }

  #tellNewest(to: CoreletId, nowMs: number): void {
    const newest = this.#newest;
    if (newest === undefined) return;
    this.#news.tell(to, newest.message, nowMs);
  }

  #observe(kind: string, id: CoreletId, what: string): void {
    this.#outbox.event(narrateOne(kind, this.view, id, what));
  }

  #encodeRegister(): Uint8Array {
    const newest = this.#newest;
    return encodeRegister({
      newest: newest === undefined ? undefined : { ballot: newest.ballot, decision: newest.decision },
      promised: this.#agreement.promised,
      accepted: this.#agreement.accepted,
      flaps: this.#holdDown.flaps(this.#nowMs),
    });
  }
}
