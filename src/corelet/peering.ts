import { RemoteProtocolError } from '../base/errors.ts';
import type { CoreletId } from '../base/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Fabric, Hello } from '../ports/fabric.ts';
import type { MembershipCore } from '../membership/core.ts';
import { defaultLivenessLimits, PairLiveness } from '../membership/liveness.ts';
import type { Store } from '../store/store.ts';
import type { Liveness, PeerMessage } from '../wire/peer/types.ts';
import type { AddressBook } from './address-book.ts';
import type { DeviceFill } from './status.ts';

export const membershipRegister = 'membership';
export const addressesRegister = 'addresses';

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
  /** The connection to it ended: what was asked there may never be answered. */
  onDown(id: CoreletId): void;
  onUp(id: CoreletId): void;
  onLedDigest(from: CoreletId, digest: number): void;
  /** A peer told its time: a ticket for operations that it leads (design §10.10). Never called for this Corelet itself. */
  onTicket?(from: CoreletId, incarnation: number, issuedMs: number): void;
  /** Runs `step`; what it throws stops the Corelet. */
  readonly guard: (step: () => void) => void;
}

/** Who is there: connections, heartbeats between pairs, and the membership machine with its durable votes. */
export class Peering {
  readonly fills = new Map<CoreletId, DeviceFill>();
  readonly #options: PeeringOptions;
  readonly #liveness = new PairLiveness();
  readonly #incarnations = new Map<CoreletId, number>();
  /** Newest sequence heard from each peer. */
  readonly #heard = new Map<CoreletId, number>();
  #wantsTickets = false;
  #sequence = 0;
  #peers: ReadonlyMap<CoreletId, string> = new Map();
  #stopped = false;

  constructor(options: PeeringOptions) {
    this.#options = options;
  }

  isAlive(id: CoreletId): boolean {
    return id === this.#options.self || this.#liveness.isLive(id);
  }

  peers(): Iterable<CoreletId> {
    return this.#peers.keys();
  }

  async start(seeds: readonly { readonly id: CoreletId; readonly address: string }[]): Promise<void> {
    const { clock, fabric, membership, guard } = this.#options;
    await fabric.start({
      message: (from, message) => guard(() => this.#message(from, message)),
      peerUp: (peer) => guard(() => this.#up(peer)),
      peerDown: (peer) => guard(() => this.#down(peer)),
    });
    membership.start(clock.nowMs());
    if (membership.view === undefined || membership.standing === 'outside') membership.join(seeds, clock.nowMs());
    this.#carryOut();
    this.refreshPeers();
    this.#livenessTick();
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
    this.#peers = wanted;
    fabric.setPeers(wanted);
    this.#liveness.setPeers(wanted.keys(), clock.nowMs());
  }

  /** On while this Corelet has operations open as a gateway: then the peers tell their time often. */
  wantTickets(on: boolean): void {
    this.#wantsTickets = on;
  }

  #message(from: CoreletId, message: PeerMessage): void {
    const now = this.#options.clock.nowMs();
    this.#liveness.heard(from, now);
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
        text: `A message of type ${message.type} from this Corelet made no sense and was ignored: ${error.message}.`,
      });
    }
  }

  #livenessFrom(from: CoreletId, message: Liveness, now: number): void {
    const { membership } = this.#options;
    membership.heard(from, now);
    this.#heard.set(from, message.sequence);
    const incarnation = this.#incarnations.get(from);
    if (incarnation !== undefined) this.#options.onTicket?.(from, incarnation, message.ticketMs);
    this.fills.set(from, { usedBytes: message.usedBytes, sizeBytes: message.sizeBytes });
    if (message.viewNumber !== membership.viewNumber) membership.behind(from, message.viewNumber, now);
    this.#carryOut();
    this.#options.onLedDigest(from, message.ledDigest);
  }

  #up(peer: Hello): void {
    this.#incarnations.set(peer.id, peer.incarnation);
    this.#heard.delete(peer.id);
    this.#options.onUp(peer.id);
  }

  #down(id: CoreletId): void {
    const { membership, clock } = this.#options;
    this.#liveness.reset(id);
    membership.reset(id, clock.nowMs());
    this.#carryOut();
    // At once, not at the next tick: its arcs elect, and its gateways' operations go elsewhere, in milliseconds.
    this.#options.onAlive(id, false);
    this.#options.onDown(id);
  }

  // ---- time -------------------------------------------------------------------------------------------------------

  #livenessTick(): void {
    if (this.#stopped) return;
    const { clock, guard } = this.#options;
    const now = clock.nowMs();
    const step = this.#liveness.tick(now);
    for (const id of step.lapsed) {
      this.#options.membership.silent(id, now);
      this.#options.onAlive(id, false);
    }
    for (const id of step.returned) this.#options.onAlive(id, true);
    if (step.due.length > 0) this.#sendLiveness(step.due);
    clock.after(Math.max(1, this.#liveness.deadlineMs() - now), () => guard(() => this.#livenessTick()));
  }

  #sendLiveness(due: readonly CoreletId[]): void {
    const { store, membership, fabric, self, clock } = this.#options;
    const { usedBytes, sizeBytes, syncs } = store.fill();
    this.fills.set(self, { usedBytes, sizeBytes });
    this.#sequence = (this.#sequence + 1) >>> 0;
    const message = {
      type: 'liveness',
      sequence: this.#sequence,
      nextMs: defaultLivenessLimits.intervalMs,
      answer: false,
      wantsTickets: this.#wantsTickets,
      ticketMs: clock.nowMs(),
      flashWaitMs: 0,
      viewNumber: membership.viewNumber,
      ledDigest: this.#options.ledDigest(),
      syncedBatches: syncs,
      usedBytes,
      sizeBytes,
    } as const;
    for (const id of due) fabric.send(id, { ...message, echo: this.#heard.get(id) ?? 0 });
  }

  #membershipTick(): void {
    if (this.#stopped) return;
    const { clock, membership, guard } = this.#options;
    const now = clock.nowMs();
    membership.tick(now);
    this.#carryOut();
    clock.after(Math.max(1, membership.deadlineMs() - now), () => guard(() => this.#membershipTick()));
  }

  // ---- membership's effects ------------------------------------------------------------------------------------------

  #carryOut(): void {
    const { membership, store, fabric, events, book } = this.#options;
    const effects = membership.takeEffects();
    if (effects.persist !== undefined) store.setRegister(membershipRegister, effects.persist);
    for (const change of effects.viewChanges) {
      if (book.learn(change.view.members)) store.setRegister(addressesRegister, book.encode());
    }
    for (const event of effects.events) events.record(event);
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
    if (effects.viewChanges.length > 0) this.refreshPeers();
  }
}

function sameContacts(a: ReadonlyMap<CoreletId, string>, b: ReadonlyMap<CoreletId, string>): boolean {
  if (a.size !== b.size) return false;
  for (const [id, address] of a) if (b.get(id) !== address) return false;
  return true;
}
