import { RemoteProtocolError } from '../base/errors.ts';
import type { CoreletId } from '../base/ids.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import { type Events, placeOf } from '../ports/events.ts';
import type { Fabric, Hello } from '../ports/fabric.ts';
import type { MembershipCore, WishResult } from '../membership/core.ts';
import { Echoes } from '../membership/echoes.ts';
import { type LivenessDue, PairLiveness } from '../membership/liveness.ts';
import { type MemberState, memberById, stateOfMember } from '../ring/view.ts';
import type { Store } from '../store/store.ts';
import type { DeviceFill, Liveness, PeerMessage, Route } from '../wire/peer/types.ts';
import type { AddressBook } from './address-book.ts';
import { FlashWatch } from './flash-watch.ts';

export const membershipRegister = 'membership';
export const addressesRegister = 'addresses';

/** A flash that has owed an answer for so long has failed. */
const flashHangsMs = 5000;

/** A timer is put off when nothing is due before so much later: setting it anew costs less than waking for nothing. */
const putOffMinMs = 20;
/** Who was heard so lately isn't asked whether it lives. */
const heardLatelyMs = 100;

/** A gateway that has nothing open any more goes on to get tickets for so long: the next operation mostly follows soon. */
const ticketsLingerMs = 3000;

export interface PeeringOptions {
  readonly self: CoreletId;
  readonly clock: Clock;
  readonly events: Events;
  readonly fabric: Fabric<PeerMessage>;
  readonly store: Store;
  readonly membership: MembershipCore;
  readonly book: AddressBook;
  /** Others with whom an arc here shares replicas, members or not. */
  arcPeers(): Iterable<CoreletId>;
  ledDigest(): number;
  /** Anything that isn't liveness or membership. */
  deliver(from: CoreletId, message: PeerMessage): void;
  onAlive(id: CoreletId, alive: boolean): void;
  /** A new view is agreed. */
  onView(): void;
  /** The connection to it ended: what was asked there may never be answered. */
  onDown(id: CoreletId): void;
  onUp(id: CoreletId): void;
  /** A later start of this very Corelet is known there. */
  onSuperseded(by: CoreletId): void;
  onLedDigest(from: CoreletId, digest: number): void;
  /** A peer told its time: a ticket for operations that it leads (design §10.10). Never called for this Corelet itself. */
  /** How far that device's log was durable, in that start of its Corelet. */
  onPosition?(from: CoreletId, incarnation: number, syncedSequence: number): void;
  onTicket?(from: CoreletId, incarnation: number, issuedMs: number): void;
  /** Runs `step`; what it throws stops the Corelet. */
  readonly guard: (step: () => void) => void;
}

/** Who is there: connections, heartbeats between pairs, and the membership machine with its durable votes. */
export class Peering {
  readonly fills = new Map<CoreletId, DeviceFill>();
  readonly #options: PeeringOptions;
  readonly #liveness: PairLiveness;
  readonly #flash: FlashWatch;
  readonly #echoes = new Echoes();
  #saidFlashHangs = false;
  /** A peer asked for an answer: ours shall stand for a flash that works. */
  #doubted = false;
  readonly #incarnations = new Map<CoreletId, number>();
  #wantsTickets = false;
  #ticketsUntilMs = Number.NEGATIVE_INFINITY;
  /** Liveness messages and membership messages sent since the start. */
  #sent = 0;
  #livenessTimer: { readonly atMs: number; readonly timer: Timer } | undefined;
  #membershipTimer: { readonly atMs: number; readonly timer: Timer } | undefined;
  #stepAsked = false;
  #peers: ReadonlyMap<CoreletId, string> = new Map();
  #stopped = false;

  constructor(options: PeeringOptions) {
    this.#options = options;
    this.#liveness = new PairLiveness(options.self);
    this.#flash = new FlashWatch(options.clock, options.store);
  }

  isAlive(id: CoreletId): boolean {
    return id === this.#options.self || this.#liveness.isLive(id);
  }

  peers(): Iterable<CoreletId> {
    return this.#peers.keys();
  }

  /** `starts`: of peers, the newest that this device remembers. */
  async start(
    seeds: readonly { readonly id: CoreletId; readonly address: string }[],
    starts: ReadonlyMap<CoreletId, number>,
  ): Promise<void> {
    const { clock, fabric, membership, guard } = this.#options;
    await fabric.start(
      {
        message: (from, message) => guard(() => this.#message(from, message)),
        peerUp: (peer) => guard(() => this.#up(peer)),
        peerDown: (peer) => guard(() => this.#down(peer)),
        superseded: (by) => guard(() => this.#options.onSuperseded(by)),
      },
      starts,
    );
    membership.start(clock.nowMs());
    if (membership.view === undefined || membership.standing === 'outside') membership.join(seeds, clock.nowMs());
    this.#carryOut();
    this.refreshPeers();
    this.#livenessStep();
    this.#membershipTick();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** After the view, or the configuration of an arc here, changed. */
  refreshPeers(): void {
    const { self, book, fabric, membership, clock } = this.#options;
    const wanted = new Map<CoreletId, string>(membership.contacts());
    for (const id of this.#options.arcPeers()) {
      const contact = book.get(id);
      if (contact !== undefined && !wanted.has(id)) wanted.set(id, contact.address);
    }
    wanted.delete(self);
    if (sameContacts(wanted, this.#peers)) return;
    for (const id of this.#peers.keys()) if (!wanted.has(id)) this.#echoes.forget(id);
    this.#peers = wanted;
    fabric.setPeers(wanted);
    this.#liveness.setPeers(wanted.keys(), clock.nowMs());
    this.#stepSoon();
  }

  /** On while this Corelet has operations open as a gateway: then the peers tell their time often. */
  wantTickets(on: boolean): void {
    const now = this.#options.clock.nowMs();
    if (!on) {
      if (this.#wantsTickets) this.#ticketsUntilMs = Math.min(this.#ticketsUntilMs, now + ticketsLingerMs);
      return;
    }
    this.#ticketsUntilMs = Number.POSITIVE_INFINITY;
    if (this.#wantsTickets) return;
    this.#wantsTickets = true;
    for (const id of this.#peers.keys()) this.#liveness.tell(id);
    this.#stepSoon();
  }

  /** Somebody has a reason to think that it isn't there: unless it was just heard, it is asked at once, and lapses when it doesn't answer soon. */
  doubt(id: CoreletId): void {
    const heardMs = this.#liveness.heardMs(id) ?? Number.NEGATIVE_INFINITY;
    if (this.#options.clock.nowMs() - heardMs < heardLatelyMs) return;
    this.#liveness.ask(id);
    this.#stepSoon();
  }

  /**
   * A leader doesn't answer the gateway here. All are told, and not only that arc's voters, by the gateway: when its Corelet stands still, all that it led
   * need other leaders, and each of their voters must have found out for itself before it helps to elect one.
   */
  spreadDoubt({ leader, arc, voters }: Route): void {
    this.doubt(leader);
    for (const id of this.#peers.keys()) {
      if (id === leader || !this.isAlive(id) || voters.some((voter) => voter.id === id)) continue;
      this.#options.fabric.send(id, { type: 'complaint', arc, leader });
    }
  }

  /** Tells all members that this Corelet goes. */
  leave(): void {
    this.#options.membership.leave(this.#options.clock.nowMs());
    this.#membershipTick();
  }

  setMemberState(id: CoreletId, state: MemberState): WishResult {
    const { membership, clock } = this.#options;
    const result = membership.setState(id, state, clock.nowMs());
    this.#carryOut();
    return result;
  }

  /** How long the flash here has owed an answer; 0 when it owes none. */
  flashWaitMs(): number {
    return this.#flash.waitMs();
  }

  /** To be called about once a second: a flash that hangs, or does no more, is told to all at once. */
  watchFlash(): void {
    const hangs = this.flashWaitMs() >= flashHangsMs;
    if (hangs === this.#saidFlashHangs) return;
    this.#saidFlashHangs = hangs;
    for (const id of this.#peers.keys()) this.#liveness.tell(id);
    this.#stepSoon();
  }

  /** Messages sent for liveness and membership since the start. */
  get sent(): number {
    return this.#sent;
  }

  #message(from: CoreletId, message: PeerMessage): void {
    const now = this.#options.clock.nowMs();
    const returns = !this.#liveness.isLive(from);
    this.#liveness.heard(from, now);
    if (returns) this.#stepSoon();
    try {
      if (message.type === 'liveness') this.#livenessFrom(from, message, now);
      else if (message.type === 'membership') {
        this.#options.membership.receive(from, message.body, now);
        this.#carryOut();
      } else this.#options.deliver(from, message);
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      this.#options.events.record({
        kind: 'peer.protocol-error',
        corelet: from,
        text: `A message of type ${message.type} from ${placeOf(from)} made no sense and was ignored: ${error.message}.`,
      });
    }
  }

  #livenessFrom(from: CoreletId, message: Liveness, now: number): void {
    const { membership } = this.#options;
    membership.heard(from, now);
    // A stall that we share with it is the machine's, and says nothing about its device.
    const hangs = message.flashWaitMs >= flashHangsMs && this.flashWaitMs() < flashHangsMs / 5;
    membership.flashLatency(from, message.syncUs / 1000, now);
    const deaf = this.#echoes.heard(from, message, now);
    membership.answerLatency(from, this.#echoes.answerMs(from, now), now);
    membership.failing(from, hangs ? 'flash' : deaf ? 'deaf' : undefined, now);
    this.#doubted ||= message.answer;
    if (this.#liveness.told(from, message, now)) this.#stepSoon();
    else this.#armLiveness();
    const incarnation = this.#incarnations.get(from);
    if (incarnation !== undefined) this.#options.onTicket?.(from, incarnation, message.ticketMs);
    this.#options.onPosition?.(from, this.#incarnations.get(from) ?? 0, message.syncedBatches);
    this.fills.set(from, { usedBytes: message.usedBytes, sizeBytes: message.sizeBytes });
    if (message.viewNumber !== membership.viewNumber) membership.behind(from, message.viewNumber, now);
    this.#carryOut();
    this.#options.onLedDigest(from, message.ledDigest);
  }

  #up(peer: Hello): void {
    this.#incarnations.set(peer.id, peer.incarnation);
    this.#options.onPosition?.(peer.id, peer.incarnation, 0);
    this.#echoes.forget(peer.id);
    this.#liveness.tell(peer.id);
    this.#stepSoon();
    this.#options.onUp(peer.id);
  }

  #down(id: CoreletId): void {
    const { membership, clock } = this.#options;
    this.#echoes.forget(id);
    this.#liveness.reset(id);
    this.#stepSoon();
    membership.reset(id, clock.nowMs());
    this.#carryOut();
    // At once, not at the next tick: its arcs elect, and its gateways' operations go elsewhere, in milliseconds.
    this.#options.onAlive(id, false);
    this.#options.onDown(id);
  }

  // ---- time -------------------------------------------------------------------------------------------------------

  /** What one turn brought is settled together at its end. */
  #stepSoon(): void {
    if (this.#stepAsked || this.#stopped) return;
    this.#stepAsked = true;
    this.#options.clock.soon(() => this.#options.guard(() => this.#livenessStep()));
  }

  #livenessStep(): void {
    this.#stepAsked = false;
    if (this.#stopped) return;
    const { clock, membership } = this.#options;
    const now = clock.nowMs();
    if (now >= this.#ticketsUntilMs) this.#wantsTickets = false;
    const step = this.#liveness.tick(now);
    for (const id of step.lapsed) {
      membership.silent(id, now);
      this.#options.onAlive(id, false);
    }
    for (const id of step.returned) this.#options.onAlive(id, true);
    if (step.due.length > 0) this.#sendLiveness(step.due, now);
    if (step.lapsed.length > 0) this.#armMembership();
    this.#armLiveness();
  }

  #armLiveness(): void {
    const { clock, guard } = this.#options;
    const atMs = this.#liveness.deadlineMs();
    const armedMs = this.#livenessTimer?.atMs ?? Number.POSITIVE_INFINITY;
    if (this.#stopped || (atMs >= armedMs && atMs < armedMs + putOffMinMs)) return;
    this.#livenessTimer?.timer.cancel();
    this.#livenessTimer = undefined;
    if (atMs === Number.POSITIVE_INFINITY) return;
    const timer = clock.after(Math.max(1, atMs - clock.nowMs()), () => {
      this.#livenessTimer = undefined;
      guard(() => this.#livenessStep());
    });
    this.#livenessTimer = { atMs, timer };
  }

  #sendLiveness(due: readonly LivenessDue[], nowMs: number): void {
    const { store, membership, fabric, self } = this.#options;
    const { usedBytes, sizeBytes } = store.fill();
    this.fills.set(self, { usedBytes, sizeBytes });
    const own = membership.view === undefined ? undefined : memberById(membership.view, self);
    const sitsOut = own !== undefined && stateOfMember(own) === 'sitting-out';
    this.#flash.look(sitsOut ? 'sitting-out' : this.#doubted ? 'doubted' : 'rest');
    this.#doubted = false;
    const syncMs = this.#flash.syncMs();
    membership.flashLatency(self, syncMs, nowMs);
    membership.failing(self, this.flashWaitMs() >= flashHangsMs ? 'flash' : undefined, nowMs);
    const common = {
      type: 'liveness',
      wantsTickets: this.#wantsTickets,
      ticketMs: nowMs,
      flashWaitMs: Math.floor(this.flashWaitMs()),
      viewNumber: membership.viewNumber,
      ledDigest: this.#options.ledDigest(),
      syncedBatches: store.syncedSequence,
      usedBytes,
      sizeBytes,
      syncUs: Math.min(0xffff_ffff, Math.round(1000 * syncMs)),
    } as const;
    for (const { id, answer, nextMs } of due) {
      this.#sent += 1;
      fabric.send(id, { ...common, ...this.#echoes.next(id, nowMs), answer, nextMs } satisfies Liveness);
    }
  }

  #membershipTick(): void {
    if (this.#stopped) return;
    this.#options.membership.tick(this.#options.clock.nowMs());
    this.#carryOut();
    this.#armMembership();
  }

  /** Events bring the next tick forward. */
  #armMembership(): void {
    const { clock, membership, guard } = this.#options;
    const atMs = membership.deadlineMs();
    if (this.#stopped || atMs >= (this.#membershipTimer?.atMs ?? Number.POSITIVE_INFINITY)) return;
    this.#membershipTimer?.timer.cancel();
    const timer = clock.after(Math.max(1, atMs - clock.nowMs()), () => {
      this.#membershipTimer = undefined;
      guard(() => this.#membershipTick());
    });
    this.#membershipTimer = { atMs, timer };
  }

  // ---- membership's effects ------------------------------------------------------------------------------------------

  #carryOut(): void {
    const { membership, store, fabric, events, book, clock } = this.#options;
    const effects = membership.takeEffects();
    if (effects.persist !== undefined) store.setRegister(membershipRegister, effects.persist);
    for (const change of effects.viewChanges) {
      if (book.learn(change.view.members)) store.setRegister(addressesRegister, book.encode());
    }
    for (const event of effects.events) events.record(event);
    for (const id of effects.asks) this.doubt(id);
    this.#sent += effects.messages.length;
    const later = effects.messages.filter((message) => message.afterSync);
    for (const message of effects.messages) {
      if (!message.afterSync) fabric.send(message.to, { type: 'membership', body: message.body });
    }
    if (later.length > 0) {
      store.afterSync(() => {
        if (this.#stopped) return;
        for (const message of later) fabric.send(message.to, { type: 'membership', body: message.body });
      });
    }
    if (effects.viewChanges.length > 0) {
      this.refreshPeers();
      this.#options.onView();
      // Who lapsed before the view had it is watched only now.
      for (const id of this.#peers.keys()) if (this.#liveness.isLapsed(id)) membership.silent(id, clock.nowMs());
    }
    this.#armMembership();
  }
}

function sameContacts(a: ReadonlyMap<CoreletId, string>, b: ReadonlyMap<CoreletId, string>): boolean {
  if (a.size !== b.size) return false;
  for (const [id, address] of a) if (b.get(id) !== address) return false;
  return true;
}
