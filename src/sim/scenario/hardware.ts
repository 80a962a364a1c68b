import { joined } from '../../base/bytes.ts';
import { crc32c } from '../../base/crc32c.ts';
import { blockBytes, type CoreletId } from '../../base/ids.ts';
import type { Fabric, FabricListener, Hello } from '../../ports/fabric.ts';
import { type Flash, FlashError } from '../../ports/flash.ts';
import type { PeerMessage, WireEntry } from '../../wire/peer/types.ts';
import { SimClock } from '../clock.ts';
import type { SimEngine } from '../engine.ts';
import { type SimFabric, SimNetwork } from '../fabric.ts';
import { SimFlash } from '../flash.ts';
import { LandedValues } from '../landed.ts';
import type { SimHardware, SimMedium, SimWires } from '../program.ts';
import type { SimRandom } from '../random.ts';

/** Messages that a story holds back on one link. */
export interface Hold {
  readonly from: CoreletId;
  readonly to: CoreletId;
  readonly types: readonly string[];
  readonly held: { readonly message: PeerMessage; readonly send: (message: PeerMessage) => void }[];
}

/** The next blocks on one link are changed on the way, checksums and all: as if an error before the first checksum hit one copy only. */
export interface Forgery {
  readonly from: CoreletId;
  readonly to: CoreletId;
  /** Told the arc when it is done. */
  done(arc: number): void;
}

/** Message of a sync that fails because a story says so. */
export const failedSync = 'the story says that this sync fails';

const heldMax = 10_000;

/** A network that a hand can reach into: single kinds of messages wait, connections break. */
export class StageWires implements SimWires {
  readonly network: SimNetwork;
  readonly holds = new Set<Hold>();
  readonly forgeries = new Set<Forgery>();
  readonly #ends = new Map<CoreletId, SimFabric>();

  constructor(engine: SimEngine, random: SimRandom) {
    const clock = new SimClock(engine, engine.world);
    this.network = new SimNetwork(clock, random.stream('network'), { resetAfterCutShare: 0 });
    this.network.onFrame = () => engine.trace.number(this.network.traceHash);
  }

  attach(hello: Hello, address: string): Fabric<PeerMessage> {
    const end = this.network.attach(hello, address);
    this.#ends.set(hello.id, end);
    return new StageFabric(this, end);
  }

  crash(id: CoreletId): void {
    this.network.crash(id);
  }
  cut(from: CoreletId, to: CoreletId): void {
    this.network.cut(from, to);
  }
  mend(from: CoreletId, to: CoreletId): void {
    this.network.mend(from, to);
  }
  setSlowness(id: CoreletId, factor: number): void {
    this.network.setSlowness(id, factor);
  }
  setLoss(id: CoreletId, share: number): void {
    this.network.setLoss(id, share);
  }

  /** Both ends hear that the connection is gone. */
  reset(from: CoreletId, to: CoreletId): void {
    const half = this.#ends.get(from)?.halves.get(to);
    if (half !== undefined) this.network.disconnect(half);
  }

  /** The hold that keeps a message, if one does. */
  holdOf(from: CoreletId, to: CoreletId, type: string): Hold | undefined {
    for (const hold of this.holds) {
      if (hold.from === from && hold.to === to && hold.types.includes(type)) return hold;
    }
    return undefined;
  }

  /** The message as it arrives. */
  forged(from: CoreletId, to: CoreletId, message: PeerMessage): PeerMessage {
    const forgery = [...this.forgeries].find((one) => one.from === from && one.to === to);
    if (forgery === undefined || message.type !== 'append') return message;
    const at = message.entries.findIndex(({ data }) => data.length > 0);
    if (at < 0) return message;
    this.forgeries.delete(forgery);
    forgery.done(message.arc);
    return { ...message, entries: message.entries.map((entry, i) => (i === at ? changed(entry) : entry)) };
  }

  /** A connection ended: what was on its way goes with it. */
  forget(a: CoreletId, b: CoreletId): void {
    for (const hold of this.holds) {
      if ((hold.from === a && hold.to === b) || (hold.from === b && hold.to === a)) hold.held.length = 0;
    }
  }
}

/** Its first block differs in one byte, and its checksum says so. */
function changed(entry: WireEntry): WireEntry {
  const bytes = joined(entry.data);
  bytes[blockBytes - 1] = (bytes[blockBytes - 1] as number) ^ 1;
  const crcs = entry.crcs.slice();
  crcs[0] = crc32c(bytes.subarray(0, blockBytes));
  return { ...entry, data: [bytes], crcs };
}

class StageFabric implements Fabric<PeerMessage> {
  readonly #wires: StageWires;
  readonly #inner: SimFabric;

  constructor(wires: StageWires, inner: SimFabric) {
    this.#wires = wires;
    this.#inner = inner;
  }

  get self(): Hello {
    return this.#inner.self;
  }

  start(listener: FabricListener<PeerMessage>, starts?: ReadonlyMap<CoreletId, number>): Promise<void> {
    const staged: FabricListener<PeerMessage> = {
      message: (from, message) => listener.message(from, message),
      peerUp: (peer) => listener.peerUp(peer),
      peerDown: (peer, reason) => {
        this.#wires.forget(this.self.id, peer);
        listener.peerDown(peer, reason);
      },
      superseded: (by) => listener.superseded?.(by),
    };
    return this.#inner.start(staged, starts);
  }

  setPeers(peers: ReadonlyMap<CoreletId, string>): void {
    this.#inner.setPeers(peers);
  }

  send(to: CoreletId, sent: PeerMessage): ReturnType<SimFabric['send']> {
    const message = this.#wires.forged(this.self.id, to, sent);
    const hold = this.#wires.holdOf(this.self.id, to, message.type);
    if (hold === undefined || !this.#inner.isUp(to)) return this.#inner.send(to, message);
    if (hold.held.length >= heldMax) return 'full';
    // A copy: what is on the wire doesn't change any more.
    hold.held.push({ message: structuredClone(message), send: (kept) => void this.#inner.send(to, kept) });
    return 'queued';
  }

  isUp(peer: CoreletId): boolean {
    return this.#inner.isUp(peer);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

/** `stalled`: nothing begins. `mute`: writes are done, and nobody hears of it. */
export type FlashMood = 'well' | 'stalled' | 'mute';

/** A medium that a hand can reach into. */
export class StageMedium implements SimMedium {
  readonly landed: LandedValues;
  #flash: SimFlash;
  /** Newest finished write of the process that runs, for rot of what was synced last. */
  lastWrite: { readonly offset: number; readonly lengthBytes: number } | undefined;
  /** What survives of writes under way at the next power loss: a share of their sectors. */
  keepFraction = 0.5;
  failNextWrite = false;
  #mood: FlashMood = 'well';
  #waiting: (() => void)[] = [];

  constructor(flash: SimFlash, seed: number) {
    this.landed = new LandedValues(seed);
    this.#flash = flash;
    this.flash = flash;
  }

  get flash(): SimFlash {
    return this.#flash;
  }

  /** Another device takes the place of this one: what landed on either counts as having been durable here. */
  set flash(flash: SimFlash) {
    this.#flash = flash;
    flash.onLanded = (page) => this.landed.note(page);
  }

  attach(): Flash {
    return new StageFlash(this, this.flash.attach());
  }

  crash(): void {
    this.flash.crash({ tear: true, keepFraction: this.keepFraction });
    this.keepFraction = 0.5;
    this.#waiting = []; // nobody is left who waits
    this.#mood = 'well';
  }

  setSlowness(factor: number): void {
    this.flash.slowFactor = factor;
  }

  get mood(): FlashMood {
    return this.#mood;
  }

  setMood(mood: FlashMood): void {
    this.#mood = mood;
    if (mood !== 'well') return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }

  /** Resolves at once unless the device is in that mood; then when it is well again. */
  pass(mood: FlashMood): Promise<void> {
    if (this.#mood !== mood) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

class StageFlash implements Flash {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly #medium: StageMedium;
  readonly #inner: Flash;

  constructor(medium: StageMedium, inner: Flash) {
    this.#medium = medium;
    this.#inner = inner;
    this.sizeBytes = inner.sizeBytes;
    this.sectorBytes = inner.sectorBytes;
  }

  async writeDurably(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    await this.#medium.pass('stalled');
    if (this.#medium.failNextWrite) {
      this.#medium.failNextWrite = false;
      throw new FlashError('EIO', failedSync);
    }
    await this.#inner.writeDurably(offset, parts);
    const lengthBytes = parts.reduce((sum, part) => sum + part.length, 0);
    this.#medium.lastWrite = { offset, lengthBytes };
    await this.#medium.pass('mute');
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    await this.#medium.pass('stalled');
    await this.#inner.read(offset, into);
  }

  async prepare(offset: number, lengthBytes: number): Promise<void> {
    await this.#medium.pass('stalled');
    await this.#inner.prepare(offset, lengthBytes);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

/** Fabric and flash for one story. */
export class StageHardware implements SimHardware {
  readonly wires: StageWires;
  readonly #engine: SimEngine;
  readonly #random: SimRandom;
  readonly #flashBytes: number;

  constructor(engine: SimEngine, random: SimRandom, flashBytes: number) {
    this.#engine = engine;
    this.#random = random;
    this.#flashBytes = flashBytes;
    this.wires = new StageWires(engine, random);
  }

  makeMedium(label: string): StageMedium {
    const clock = new SimClock(this.#engine, this.#engine.world);
    const random = this.#random.stream(`flash of ${label}`);
    return new StageMedium(new SimFlash(clock, random, { sizeBytes: this.#flashBytes }), this.#random.seed);
  }
}
