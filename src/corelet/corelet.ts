import { ArcHost, type ArcMessage } from '../arc/host.ts';
import { type ArcLimits, defaultArcLimits } from '../arc/limits.ts';
import { startsKept } from '../arc/positions.ts';
import type { CoreletId, VolumeId } from '../base/ids.ts';
import { Healer } from '../healing/healer.ts';
import { Scrub, type ScrubStatus } from '../healing/scrub.ts';
import type { MembershipCore, WishResult } from '../membership/core.ts';
import type { MemberState } from '../ring/view.ts';
import { deviceHealth } from '../store/health.ts';
import type { Store } from '../store/store.ts';
import { Gateway } from '../volume/gateway.ts';
import { RouteTable } from '../volume/routes.ts';
import { Volumes } from '../volume/volumes.ts';
import type { PeerMessage, Route } from '../wire/peer/types.ts';
import { arcPeers, healBytesLeft, isWhole } from './arcs-seen.ts';
import { AddressBook } from './address-book.ts';
import { Gossip } from './gossip.ts';
import { guardedClock } from './guarded-clock.ts';
import { abdicate, handOver } from './hand-over.ts';
import { inspectReplica } from './inspect.ts';
import { addressesRegister, Peering } from './peering.ts';
import { membershipAfter } from './membership-after.ts';
import { RebuildRate } from './rebuild-rate.ts';
import { Recorder } from './recorder.ts';
import { Rounds } from './rounds.ts';
import { restart, type Restarted } from './restart.ts';
import { statusOf } from './status.ts';
import { Superseded } from './superseded.ts';
import type {
  CoreletHandle,
  CoreletOptions,
  CoreletPorts,
  CoreletStatus,
  Founding,
  ReplicaInspection,
  VolumeResult,
} from './types.ts';
import { CheckedVolumes } from './volume-control.ts';
import { Whereabouts } from './whereabouts.ts';

const rateSampleMs = 1000;
/** Between two looks whether the others agreed that this one is gone. */
const leaveLookMs = 10;
/** A flash that has owed an answer for so long serves nobody: whoever leads here gives it to others (design §10.13). */
const flashStallMs = 1000;

/** Opens the device, takes up where it ended and joins the others. @throws DeviceRefused, FlashError */
export async function startCorelet(
  ports: CoreletPorts,
  options: CoreletOptions,
  limits: ArcLimits = defaultArcLimits,
): Promise<CoreletHandle> {
  const { flash, clock, fabric } = ports;
  const restarted = await restart(flash, clock, fabric.self, ports, limits.entriesKept, options.mapBytes);
  const corelet = new Corelet(ports, options, restarted, limits);
  await corelet.start(options.seeds);
  return corelet;
}

/** One peer, assembled: who may speak with whom inside it is all here. */
class Corelet implements CoreletHandle {
  readonly id: CoreletId;
  readonly failed: Promise<Error>;
  readonly catalog: Volumes;
  readonly volumes: CheckedVolumes;
  readonly rules: Volumes;
  readonly #ports: CoreletPorts;
  readonly #options: CoreletOptions;
  readonly #store: Store;
  readonly #founding: Founding;
  readonly #book = new AddressBook();
  readonly #membership: MembershipCore;
  readonly #whereabouts: Whereabouts;
  readonly #host: ArcHost;
  readonly #gateway: Gateway;
  readonly #gossip: Gossip;
  readonly #healer: Healer;
  readonly #scrub: Scrub;
  readonly #peering: Peering;
  readonly #routes: RouteTable;
  readonly #rate = new RebuildRate();
  readonly #starts: ReadonlyMap<CoreletId, number>;
  #fail: (error: Error) => void = () => undefined;
  readonly #slotListeners: (() => void)[] = [];
  readonly #rounds: Rounds;
  #stopped = false;
  #sampledMs = Number.NEGATIVE_INFINITY;

  constructor(ports: CoreletPorts, options: CoreletOptions, restarted: Restarted, limits: ArcLimits) {
    const { clock, random, fabric } = ports;
    const { store, founding, registers } = restarted;
    this.id = fabric.self.id;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    this.#ports = ports;
    this.#options = options;
    this.#store = store;
    this.#founding = founding;
    const addresses = registers.get(addressesRegister);
    if (addresses !== undefined) this.#book.restore(addresses);
    this.#book.learn([...founding.members.filter((member) => this.#book.get(member.id) === undefined), options.self]);
    const events = new Recorder(ports.events, this.#book);
    this.#membership = membershipAfter(restarted, options.self, fabric.self.incarnation, random);
    const isAlive = (id: CoreletId): boolean => this.#host.isAlive(id);
    this.#whereabouts = new Whereabouts({ membership: this.#membership, founding, steer: options.steer, isAlive });
    this.#routes = new RouteTable(founding.arcs);
    const send = (to: CoreletId, message: PeerMessage): boolean => this.#send(to, message);
    this.#gossip = new Gossip({
      self: this.id,
      clock,
      table: this.#routes,
      peers: () => this.#peering.peers(),
      send,
      onChange: (route) => this.#gateway.routeChanged(route.arc),
    });
    this.#host = new ArcHost({
      self: this.id,
      incarnation: fabric.self.incarnation,
      clock: this.#guardedClock(),
      random,
      store,
      events,
      limits,
      send,
      registers: restarted.registers,
      isFull: (id) => this.#isFull(id),
      onRoute: (route) => this.#announce(route),
      onProgress: () => this.#rounds.hurry(),
      routeTo: (arc) => this.#routes.get(arc),
    });
    this.#gateway = this.#makeGateway();
    this.#healer = this.#makeHealer(events, limits);
    const guarded = this.#guardedClock();
    this.#rounds = new Rounds(
      guarded,
      (nowMs) => this.#round(nowMs),
      () => this.#healer.hurry(),
    );
    this.#scrub = new Scrub({
      self: this.id,
      clock: guarded,
      events,
      host: this.#host,
      mendOwn: (anew) => store.mendOwn(anew),
      stepMs: options.scrubStepMs,
    });
    this.#peering = this.#makePeering(events);
    this.catalog = new Volumes(this.#gateway, founding.arcs, random);
    this.rules = this.catalog;
    this.volumes = new CheckedVolumes(this.catalog, founding.copies, () => this.#whereabouts.liveActiveMembers());
    this.#starts = startsKept(registers);
    for (const [arc, origin] of restarted.replicas) this.#host.restore(arc, origin);
    store.attach(this.#host.storeOwner());
  }

  #isFull(id: CoreletId): boolean {
    const fill = this.#peering.fills.get(id);
    return fill !== undefined && fill.usedBytes >= fill.sizeBytes;
  }

  #makeGateway(): Gateway {
    const { random, fabric } = this.#ports;
    return new Gateway({
      self: this.id,
      incarnation: fabric.self.incarnation,
      clock: this.#guardedClock(),
      random,
      routes: this.#routes,
      send: (to, message) => this.#send(to, message),
      isAlive: (id) => this.#host.isAlive(id),
      doubt: (route) => this.#peering.spreadDoubt(route),
      candidates: (arc) => this.#whereabouts.placement()?.of(arc) ?? [],
      wantTickets: (wanted) => this.#peering.wantTickets(wanted),
    });
  }

  #makeHealer(events: Recorder, { copyFillMax }: ArcLimits): Healer {
    const { clock, random } = this.#ports;
    return new Healer({
      self: this.id,
      clock,
      random,
      events,
      host: this.#host,
      copies: this.#founding.copies,
      copyFillMax,
      fill: (id) => this.#peering.fills.get(id),
      flapScore: (id) => this.#membership.flapping(id, clock.nowMs()).score,
      placement: () => this.#whereabouts.placement(),
    });
  }

  #makePeering(events: Recorder): Peering {
    return new Peering({
      self: this.id,
      clock: this.#ports.clock,
      events,
      fabric: this.#ports.fabric,
      store: this.#store,
      membership: this.#membership,
      book: this.#book,
      arcPeers: () => arcPeers(this.#host.replicas()),
      ledDigest: () => this.#routes.ledDigest(this.id),
      deliver: (from, message) => this.#deliver(from, message),
      onAlive: (id, alive) => {
        this.#host.setAlive(id, alive);
        if (!alive) this.#gateway.peerSilent(id);
        this.#slotsChanged();
      },
      onView: () => {
        this.#slotsChanged();
        this.#rounds.hurry();
      },
      onDown: (id) => {
        this.#host.peerReset(id);
        this.#gateway.peerDown(id);
      },
      onSuperseded: (by) => this.#stopWith(new Superseded(this.id, by)),
      onPosition: (from, incarnation, synced) => this.#host.position(from, incarnation, synced),
      onUp: (id) => {
        this.#host.peerUp(id);
        this.#gossip.peerUp(id);
      },
      onLedDigest: (from, digest) => this.#gossip.compare(from, digest),
      onTicket: (from, incarnation, issuedMs) => this.#gateway.ticket(from, incarnation, issuedMs),
      guard: (step) => this.#guard(step),
    });
  }

  async start(seeds: CoreletOptions['seeds']): Promise<void> {
    this.#store.onFailed((error) => this.#stopWith(error));
    // Nobody counts as alive before it was heard: an election that waits for the dead would wait in vain.
    for (const contact of this.#book.all()) if (contact.id !== this.id) this.#host.setAlive(contact.id, false);
    await this.#peering.start(seeds, this.#starts);
    this.#host.start();
    this.#rounds.start();
    this.#scrub.start();
  }

  async leave(limitMs: number): Promise<void> {
    const { clock } = this.#ports;
    const untilMs = clock.nowMs() + limitMs;
    this.#guard(() => {
      this.#peering.leave();
      handOver(this.#host);
    });
    const done = (): boolean => this.#stopped || this.#membership.standing === 'left' || clock.nowMs() >= untilMs;
    while (!done()) await new Promise<void>((resolve) => clock.after(leaveLookMs, resolve));
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#halt();
    await this.#ports.fabric.close();
    await this.#store.close();
  }

  status(): CoreletStatus {
    const { slot, address } = this.#options.self;
    return statusOf({
      self: { id: this.id, slot, address },
      founding: this.#founding,
      membership: this.#membership,
      book: this.#book,
      routes: this.#routes,
      rate: this.#rate,
      fills: this.#peering.fills,
      device: () => deviceHealth(this.#store.health(), this.#ports.sensors?.() ?? {}),
      isAlive: (id) => this.#host.isAlive(id),
      livenessSent: () => this.#peering.sent,
      nowMs: () => this.#ports.clock.nowMs(),
      scrub: () => this.#scrub.status(),
    });
  }

  isConnected(): boolean {
    return !this.#stopped && this.#whereabouts.hearsMajority();
  }

  onSlotsChanged(run: () => void): void {
    this.#slotListeners.push(run);
  }

  setMemberState(id: CoreletId, state: MemberState): WishResult {
    return this.#peering.setMemberState(id, state);
  }

  async scrub(volume?: string): Promise<VolumeResult<ScrubStatus>> {
    if (volume === undefined) return { ok: true, value: await this.#scrub.now(undefined) };
    const shown = await this.volumes.show(volume);
    return shown.ok
      ? { ok: true, value: await this.#scrub.now(Number.parseInt(shown.value.id, 16) as VolumeId) }
      : shown;
  }

  inspect(): readonly ReplicaInspection[] {
    return [...this.#host.replicas()].map(inspectReplica);
  }

  // ---- messages ---------------------------------------------------------------------------------------------------

  #send(to: CoreletId, message: PeerMessage): boolean {
    if (this.#stopped) return false;
    if (to !== this.id) return this.#ports.fabric.send(to, message) === 'queued';
    this.#deliver(to, message);
    return true;
  }

  #deliver(from: CoreletId, message: PeerMessage): void {
    switch (message.type) {
      case 'opReply':
      case 'readReply':
      case 'keyReply':
        this.#gateway.receive(from, message);
        return;
      case 'relay':
        this.#gateway.relay(from, message);
        return;
      case 'routes':
        this.#gossip.receive(from, message);
        return;
      case 'liveness':
      case 'membership':
        return; // handled by peering; never sent to oneself
      case 'complaint':
        // Its Corelet may stand still as a whole: then all its arcs need another leader, not only the one complained about.
        this.#peering.doubt(message.leader);
        this.#host.receive(from, message);
        return;
      default:
        this.#host.receive(from, message satisfies ArcMessage);
    }
  }

  #announce(route: Route): void {
    this.#gossip.announce(route);
    this.#rounds.wake();
  }

  // ---- time and failure -----------------------------------------------------------------------------------------------

  #round(nowMs: number): void {
    const isAlive = (id: CoreletId): boolean => this.#host.isAlive(id);
    this.#healer.tick();
    if (this.#peering.flashWaitMs() >= flashStallMs) abdicate(this.#host);
    this.#peering.watchFlash();
    if (this.#membership.losses.open && isWhole(this.#routes, this.#founding, isAlive))
      this.#membership.losses.madeGood();
    if (nowMs - this.#sampledMs < rateSampleMs) return;
    this.#sampledMs = nowMs;
    this.#peering.refreshPeers();
    this.#host.retireForgotten();
    const bytesLeft = healBytesLeft(this.#routes, isAlive);
    if (bytesLeft > 0) this.#rounds.stayAwake();
    this.#rate.sample(bytesLeft, nowMs);
  }

  /** Arcs led here may have to follow, and hosts may be told of a path that came or went. */
  #slotsChanged(): void {
    this.#rounds.wake();
    for (const run of this.#slotListeners) run();
  }

  #guard(step: () => void): void {
    if (this.#stopped) return;
    try {
      step();
    } catch (error) {
      this.#stopWith(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #guardedClock(): CoreletPorts['clock'] {
    return guardedClock(this.#ports.clock, (run) => this.#guard(run));
  }

  /** A bug or a failed device: this process doesn't know its state any more, and says nothing further. */
  #stopWith(error: Error): void {
    if (this.#stopped) return;
    this.#halt();
    this.#fail(error);
  }

  #halt(): void {
    this.#stopped = true;
    this.#rounds.stop();
    this.#peering.stop();
    this.#gateway.stop();
    this.#host.stop();
    this.#scrub.stop();
  }
}
