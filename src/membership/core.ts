import type { CoreletId } from '../base/ids.ts';
import {
  hasMember,
  type Member,
  type MemberState,
  majority,
  memberById,
  stateOfMember,
  type View,
} from '../ring/view.ts';
import { decodeMembership } from '../wire/membership/codec.ts';
import type { Decided, Join, MembershipMessage } from '../wire/membership/types.ts';
import { Admission, contactsOf, type Seed, someOf } from './admission.ts';
import { Alarm } from './alarm.ts';
import { numberOf } from './agreement.ts';
import { Campaign } from './campaign.ts';
import { Chain, type Place } from './chain.ts';
import { type Frozen, frozenBy, FrozenWatch } from './frozen.ts';
import { isCurrent, Joins } from './joins.ts';
import { Losses } from './losses.ts';
import { narrateOne, narrateProposal, narrateSlow } from './narrate.ts';
import { Outbox } from './outbox.ts';
import { decodeRegister } from './register.ts';
import { type Slow, Slowness } from './slowness.ts';
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
import { type Ground, slowOnWire, Wishes } from './wishes.ts';

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
  readonly #watch: Watch;
  readonly #tally: Tally;
  readonly #joins: Joins;
  readonly #wishes: Wishes;
  readonly #slowness = new Slowness();
  readonly #sittingOutMax: number;
  readonly #campaign: Campaign;
  readonly #admission: Admission;
  readonly #alarm: Alarm;
  readonly #chain: Chain;
  readonly #frozen = new FrozenWatch();
  /** The owner says when they are made good. */
  readonly losses = new Losses();
  #ownFailing = false;
  #nowMs = 0;
  #tickMs = 0;

  /** @throws RemoteProtocolError when `restored` is of another format version. */
  constructor(options: MembershipOptions) {
    this.#self = options.self;
    this.#incarnation = options.incarnation;
    this.#random = options.random;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#outbox = new Outbox(() => this.#chain.encode());
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
    this.#chain = new Chain({
      self: options.self.id,
      limits: this.#limits,
      random: options.random,
      restored: options.restored === undefined ? undefined : decodeRegister(options.restored),
      founding: options.founding,
      outbox: this.#outbox,
      losses: this.losses,
      nowMs: () => this.#nowMs,
      onView: (view, place) => this.#enter(view, place),
    });
  }

  // ---- what the owner may ask ------------------------------------------------------------------------------------
  /** The newest view known; undefined on a blank module that nobody has admitted yet. */
  get view(): View | undefined {
    return this.#chain.view;
  }

  get viewNumber(): number {
    return this.#chain.viewNumber;
  }

  get standing(): Standing {
    return this.#chain.standing;
  }

  /** Something was accepted here that may become the next view. */
  get hasOpenValue(): boolean {
    return this.#chain.agreement.openValue !== undefined;
  }

  /** Whether this view can lose nobody now, as this Corelet sees it, and why. */
  get frozen(): Frozen {
    const members = this.view?.members.length ?? 0;
    const lost = this.#tally.braked && this.view !== undefined ? this.losses.recent(this.view, this.#nowMs) : 0;
    return frozenBy(this.standing, members, this.#watch.hears(), lost);
  }

  /** Heard, not lapsed, not accused by us: for status pages, not for decisions. */
  isLive(id: CoreletId): boolean {
    return id === this.#self.id ? this.standing === 'member' : this.#watch.isLive(id);
  }

  /** How often a Corelet was removed for silence, less what time forgave, and how long it must wait to be taken back. */
  flapping(id: CoreletId, nowMs: number): Flapping {
    const heldDownMs = Math.max(0, this.#chain.holdDown.waitMs(id, nowMs, this.#joins.steadySinceMs(id, nowMs)));
    return { score: this.#chain.holdDown.scoreOf(id, nowMs), heldDownMs };
  }

  /** Why it sits out; undefined when it doesn't, or when this Corelet wasn't there as it was agreed. */
  whySittingOut(id: CoreletId): Ground | undefined {
    return this.#wishes.groundOf(id);
  }

  accuses(id: CoreletId): boolean {
    return this.#watch.accuses(id);
  }

  /** With whom connections are needed for membership: the view, who asks to join, and our seeds while we are outside. */
  contacts(): ReadonlyMap<CoreletId, string> {
    const seeds = this.standing === 'outside' ? this.#admission.seeds : [];
    return contactsOf(this.#self.id, [seeds, this.view?.members ?? [], this.#joins.members()]);
  }

  /** When to call `tick` next, unless an event comes before that brings it forward. Nothing under way costs next to nothing. */
  deadlineMs(): number {
    const atRest = this.standing === 'member' && !this.#busy();
    const nextMs = atRest ? nextRestTickMs(this.#tickMs) : this.#tickMs + tickMaxMs;
    return Math.min(nextMs, Math.max(this.#tickMs, this.#watch.deadlineMs()));
  }

  #busy(): boolean {
    const view = this.#chain.known();
    const accuses = this.#watch.hears() < view.members.length;
    const updates = !isCurrent(view, this.#self);
    const asked = this.#joins.pending || this.#wishes.pending;
    const open = this.#chain.agreement.proposing || this.hasOpenValue;
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
    this.#chain.start();
    this.#admission.begin(nowMs);
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#tickMs = nowMs;
    const { accused, withdrawn } = this.#watch.scan(nowMs);
    for (const id of accused) this.#observe('membership.accused', id, 'does not answer');
    for (const id of withdrawn) this.#observe('membership.withdrawn', id, 'answers again');
    if (this.#chain.isMember()) {
      const changed = accused.length + withdrawn.length > 0;
      this.#alarm.speak(this.#chain.known(), changed, this.standing === 'leaving', nowMs);
      this.#judgeSlowness();
      this.#tellWishes();
      this.#chain.agreement.tick(nowMs);
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
  flashLatency(id: CoreletId, latencyMs: number, nowMs: number): void {
    this.#slowness.tellFlash(id, latencyMs, nowMs);
  }

  /** How long a member takes to answer this Corelet, as a median of its newest answers; 0: not known. */
  answerLatency(id: CoreletId, latencyMs: number, nowMs: number): void {
    this.#slowness.tellAnswers(id, latencyMs, nowMs);
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
    this.#nowMs = nowMs;
    this.#chain.compare(from, theirViewNumber);
  }

  /** Asks these for admission until a view has us. What a view of ours knows is asked too. */
  join(seeds: readonly Seed[], nowMs: number): void {
    this.#chain.comeBack();
    this.#admission.seed(seeds);
    this.#admission.begin(nowMs);
  }

  /** Goes on purpose: `standing` becomes `left` when a view without us is agreed. */
  leave(nowMs: number): void {
    if (this.#chain.leave()) this.#alarm.renew(nowMs);
  }

  /**
   * Asks the members to agree that `id` be in `state`; the view says when it is. It is asked again for `wishLifeMs`. To drain
   * a member, and to let it live again, one Corelet's wish is enough; to sit out several must wish it.
   */
  setState(id: CoreletId, state: MemberState, nowMs: number, slow: Slow = {}): WishResult {
    const member = this.view === undefined ? undefined : memberById(this.view, id);
    if (this.standing !== 'member' || member === undefined) return { ok: false, code: 'NOT_A_MEMBER' };
    const from = stateOfMember(member);
    if (from !== state) this.#wishes.want({ subject: id, from, to: state, slow: slowOnWire(slow) }, nowMs);
    return { ok: true };
  }

  /** @throws RemoteProtocolError when `body` isn't a membership message or breaks the protocol. */
  receive(from: CoreletId, body: Uint8Array, nowMs: number): void {
    const message = decodeMembership(body);
    this.#nowMs = nowMs;
    this.#watch.heard(from, nowMs);
    if (message.type === 'join') this.#joinAsked(from, message, nowMs);
    else if (message.type === 'decided') this.#chain.learn(from, message);
    else if (this.standing === 'outside' || this.standing === 'left') this.#answerAsOutsider(from, message, nowMs);
    else this.#receiveAsMember(from, message, nowMs);
  }

  // ---- steps -----------------------------------------------------------------------------------------------------

  #receiveAsMember(from: CoreletId, message: Exclude<MembershipMessage, Join | Decided>, nowMs: number): void {
    // Messages about the agreement name the view that is to come, the others the sender's.
    const theirNumber = 'viewNumber' in message ? message.viewNumber : numberOf(message) - 1;
    if (theirNumber !== this.viewNumber) {
      this.behind(from, theirNumber, nowMs);
      return;
    }
    if (!hasMember(this.#chain.known(), from)) return;
    if (message.type === 'alert') {
      this.#alarm.hear(this.#chain.known(), from, message, nowMs);
    } else if (message.type === 'wish') this.#wishes.hear(from, message, nowMs);
    else if (message.type === 'leave') this.#tally.leaves(from);
    else if (message.type !== 'ask') this.#chain.agreement.receive(from, message, nowMs);
  }

  // Even an outsider may know a newer view than a sleeper.
  #answerAsOutsider(from: CoreletId, message: MembershipMessage, nowMs: number): void {
    if ('viewNumber' in message) this.behind(from, message.viewNumber, nowMs);
  }

  #joinAsked(from: CoreletId, message: Join, nowMs: number): void {
    if (message.viewNumber > this.viewNumber) this.#chain.compare(from, message.viewNumber);
    if (!this.#chain.isMember()) return;
    const view = this.#chain.known();
    const joiner = message.member;
    if (message.viewNumber < view.number) this.#chain.tell(joiner.id);
    if (isCurrent(view, joiner) || !this.#joins.note(message, nowMs)) return;
    if (message.relayed) return;
    const relayed: Join = { ...message, relayed: true };
    for (const { id } of view.members) if (id !== this.#self.id && id !== from) this.#outbox.send(id, relayed);
  }

  /** Whatever was gathered about the view before is void. */
  #enter(view: View, { inside, dropped }: Place): void {
    const nowMs = this.#nowMs;
    for (const [id, ground] of this.#wishes.agreed(view)) this.#outbox.event(narrateSlow(view, id, ground));
    this.#tally.clear();
    this.#campaign.clear();
    this.#admission.remember(view);
    this.#alarm.renew(nowMs);
    this.#joins.prune(view, nowMs);
    if (dropped) this.#admission.begin(nowMs + this.#limits.joinRepeatMinMs * this.#random.fraction());
    this.#watch.watch(inside ? view.members : [], this.#self.id, nowMs);
  }

  #judgeSlowness(): void {
    if (this.standing !== 'member') return;
    for (const { id, state, slow } of this.#slowness.judge(this.#chain.known(), this.#sittingOutMax, this.#nowMs)) {
      this.setState(id, state, this.#nowMs, slow);
    }
  }

  #tellWishes(): void {
    for (const wanted of this.#wishes.due(this.#nowMs)) {
      this.#wishes.hear(this.#self.id, wanted, this.#nowMs);
      this.#toMembers({ type: 'wish', viewNumber: this.viewNumber, ...wanted });
    }
  }

  #toMembers(message: MembershipMessage): void {
    for (const { id } of this.#chain.known().members) if (id !== this.#self.id) this.#outbox.send(id, message);
  }

  #considerProposal(): void {
    const view = this.#chain.known();
    const sparesWanted = this.#chain.sparesWanted;
    const move = this.#campaign.consider(view, sparesWanted, this.#chain.holdDown, this.#chain.agreement, this.#nowMs);
    if (move === undefined) return;
    this.#outbox.event(narrateProposal(view, move));
    if (move.kind === 'vote') this.#chain.agreement.vote(move.decision, this.#nowMs);
    else this.#chain.agreement.propose(move.decision, this.#nowMs);
  }

  #sayFrozen(): void {
    const { frozen, viewNumber } = this;
    const ids = this.#chain.known().members.map((member) => member.id);
    const few = this.#watch.hears() < majority(ids.length);
    if (frozen.frozen && few && this.#frozen.askDue(this.#nowMs)) {
      for (const id of someOf(ids, this.#self.id, this.#random)) this.#outbox.send(id, { type: 'ask', viewNumber });
    }
    const event = this.#frozen.changed(frozen, viewNumber);
    if (event !== undefined) this.#outbox.event(event);
  }

  #joinWhenDue(): void {
    const view = this.view;
    const updates = this.standing === 'member' && view !== undefined && !isCurrent(view, this.#self);
    // Who would be removed again doesn't ask.
    if ((!updates && this.standing !== 'outside') || this.#ownFailing) return;
    const asked = this.#admission.due(view, this.#nowMs);
    if (asked.length === 0) return;
    const message = this.#admission.request(this.viewNumber, this.#incarnation);
    if (updates) this.#joins.note(message, this.#nowMs);
    for (const id of asked) this.#outbox.send(id, message);
  }

  #observe(kind: string, id: CoreletId, what: string): void {
    this.#outbox.event(narrateOne(kind, this.view, id, what));
  }
}
