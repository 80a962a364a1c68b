import type { CoreletId } from '../base/ids.ts';
import type { Prng } from '../base/prng.ts';
import type { SimCluster } from './cluster.ts';
import type { SimEngine } from './engine.ts';
import { type FaultKind, faultKinds } from './faults/kinds.ts';
import * as links from './faults/links.ts';
import * as media from './faults/media.ts';
import * as modules from './faults/modules.ts';
import * as processes from './faults/processes.ts';
import { type Begin, revive, type Strike, type StrikeContext } from './faults/strike.ts';

export { type FaultKind, faultKinds, usualWeights } from './faults/kinds.ts';

export interface NemesisOptions {
  /** Mean of virtual time between two faults. */
  readonly meanIntervalMs: number;
  /** Slots that may be out of order at once (power loss apart): a quorum normally stays or returns. */
  readonly disturbedMax: number;
  /** How often a kind is chosen, relative to the others; 0 or absent: never. */
  readonly weights: Readonly<Partial<Record<FaultKind, number>>>;
  /** Faults last this much of their usual time; 1 by default. */
  readonly lastingFactor?: number;
  /** Faults to leave out, by their number in the journal: the others stay what they are. */
  readonly leaveOut?: ReadonlySet<number>;
}

const begins: Readonly<Record<Exclude<FaultKind, 'power-loss'>, Begin>> = {
  crash: processes.crash,
  pause: processes.pause,
  'cut-one-way': links.cutOneWay,
  partition: links.partition,
  'slow-flash': links.slowFlash,
  'slow-link': links.slowLink,
  'message-loss': links.messageLoss,
  blank: modules.blank,
  flap: processes.flap,
  'flap-link': links.flapLink,
  disorder: links.disorder,
  'clock-drift': processes.clockDrift,
  suspend: processes.suspend,
  reconfigure: processes.reconfigure,
  'rot-data': media.rotData,
  'rot-metadata': media.rotMetadata,
  unreadable: media.unreadable,
  'lost-write': media.lostWrite,
  'misdirected-write': media.misdirectedWrite,
  'failed-sync': media.failedSync,
  'full-flash': media.fullFlash,
  rollback: modules.rollback,
  clone: modules.clone,
  swap: modules.swap,
};

/** They put no slot out of order: whatever else is broken, they may come. */
const harmless: ReadonlySet<FaultKind> = new Set([
  'disorder',
  'clock-drift',
  'reconfigure',
  'rot-data',
  'rot-metadata',
  'unreadable',
  'lost-write',
  'misdirected-write',
]);
/** They destroy or double what a module holds: only while nothing else is broken. */
const alone: ReadonlySet<FaultKind> = new Set(['blank', 'rollback', 'clone', 'swap']);
/** They cost a module what it held. */
const forgets: ReadonlySet<FaultKind> = new Set(['blank', 'rollback', 'clone']);

/** What a device wrote last may be gone, and nothing there tells. */
const tampers: ReadonlySet<FaultKind> = new Set(['rot-data', 'rot-metadata', 'lost-write', 'misdirected-write']);
/** A write is told durable and isn't there. */
const lies: ReadonlySet<FaultKind> = new Set(['lost-write', 'misdirected-write']);
/** So long it takes until that write isn't the device's last any more, or others keep on their devices that there was more. */
const noticedMs = 3000;
/** Each costs the weak module a segment for good, and a tight one has ten. */
const unreadableMax = 1;

const retryMs = 200;
const kindTriesMax = 3;
const careMs = 250;
/** A device that refuses this many starts in a row has failed: somebody puts a blank module in its place. */
const refusalsMax = 3;

/** Breaks things, and puts them back: faults with a beginning and an end, drawn from the seed. */
export class Nemesis {
  readonly counts = new Map<FaultKind, number>();
  /** One line per fault and repair, for the story. */
  readonly journal: string[] = [];
  /** Numbers of the faults that took place. */
  readonly struck: number[] = [];
  /** Modules that were given up because their device refused to start. */
  givenUp = 0;
  readonly #engine: SimEngine;
  readonly #cluster: SimCluster;
  readonly #draw: Prng;
  readonly #options: NemesisOptions;
  /** What is under way, by the fault's number. */
  readonly #active = new Map<number, { readonly kind: FaultKind; readonly strike: Strike; undone: boolean }>();
  /** Asked before a module's content is given up for good. */
  readonly #mayForget: () => boolean;
  /** The one module that may lose what it holds, in whatever way: of three copies the design bears the loss of one. */
  #weakModule: CoreletId;
  #weakAt: number;
  #liedUntilMs = 0;
  #number = 0;
  #stopped = false;

  constructor(engine: SimEngine, cluster: SimCluster, draw: Prng, options: NemesisOptions, mayForget: () => boolean) {
    this.#engine = engine;
    this.#cluster = cluster;
    this.#draw = draw;
    this.#options = options;
    this.#mayForget = mayForget;
    this.#weakAt = draw.fork('weak').below(cluster.slots.length);
    this.#weakModule = cluster.slot(this.#weakAt).id;
  }

  get total(): number {
    return this.struck.length;
  }

  start(): void {
    if (!Number.isFinite(this.#options.meanIntervalMs)) return;
    this.#next();
    this.#care();
  }

  /** No new faults; everything is mended and every slot started. */
  stop(): void {
    this.#stopped = true;
    for (const number of this.#active.keys()) this.#repair(number);
    for (const { index, id } of this.#cluster.slots) {
      this.#revive(index);
      this.#cluster.steering.setWeight(id, 1);
    }
    this.#note('all mended');
  }

  #next(): void {
    this.#later(-Math.log(1 - this.#draw.fraction()) * this.#options.meanIntervalMs, () => {
      if (this.#stopped) return;
      const number = ++this.#number;
      if (this.#options.leaveOut?.has(number) !== true) this.#strike(number, this.#draw.fork(`fault ${number}`));
      this.#next();
    });
  }

  /** One fault now, of a kind that can be now; nothing when too much is broken already. */
  #strike(number: number, draw: Prng): void {
    let kind: FaultKind | undefined;
    let strike: Strike | undefined;
    for (let tries = 0; tries < kindTriesMax && strike === undefined; tries++) {
      kind = this.#pickKind(draw);
      if (kind === undefined) return;
      strike = kind === 'power-loss' ? this.#powerLoss(draw) : this.#begin(kind, draw);
    }
    if (strike === undefined || kind === undefined) return;
    this.struck.push(number);
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    const { text, lastsMs } = strike;
    const lasting = lastsMs === undefined ? '' : ` for ${lastsMs.toFixed(0)} ms`;
    this.#note(`fault ${number}: ${kind}: ${text}${lasting}`);
    if (lastsMs === undefined) return;
    this.#active.set(number, { kind, strike, undone: false });
    this.#later(lastsMs, () => this.#repair(number));
  }

  #begin(kind: Exclude<FaultKind, 'power-loss'>, draw: Prng): Strike | undefined {
    const free = this.#undisturbed();
    const room = this.#options.disturbedMax - (this.#cluster.slots.length - free.length);
    const wanted = free[draw.below(Math.max(1, free.length))];
    if (wanted === undefined) return undefined;
    if (!harmless.has(kind) && (room <= 0 || free.length < 2)) return undefined;
    if (alone.has(kind) && this.#active.size > 0) return undefined;
    const weakSlot = this.#weakSlot();
    if (forgets.has(kind) && !free.includes(weakSlot)) return undefined;
    if (kind === 'unreadable' && (this.counts.get(kind) ?? 0) >= unreadableMax) return undefined;
    if (tampers.has(kind) && [...this.#active.values()].some((other) => other.kind === 'power-loss')) return undefined;
    if (lies.has(kind)) this.#liedUntilMs = this.#engine.nowMs + noticedMs;
    const context: StrikeContext = {
      cluster: this.#cluster,
      draw,
      slot: forgets.has(kind) ? weakSlot : wanted,
      weakSlot,
      lastingFactor: this.#options.lastingFactor ?? 1,
      later: (delayMs, run) => this.#later(delayMs, run),
      mayForget: this.#mayForget,
    };
    return begins[kind](context);
  }

  /** The whole chassis; every second time in the midst of other faults, which go on. */
  #powerLoss(draw: Prng): Strike | undefined {
    // Peers that restart together may have lost how far that device was durable: they keep it once a second (arc/positions.ts).
    for (const { kind } of this.#active.values()) if (kind === 'rollback') return undefined;
    if (this.#cluster.slots.some(({ medium }) => medium.damage?.newestIsHurt === true)) return undefined;
    if (this.#engine.nowMs < this.#liedUntilMs) return undefined;
    const amidst = draw.chance(0.5);
    if (!amidst) for (const number of this.#active.keys()) this.#repair(number);
    const slots = this.#cluster.slots.map(({ index }) => index);
    for (const slot of slots) this.#cluster.crash(slot);
    const awayMs = draw.between(50, 1000) * (this.#options.lastingFactor ?? 1);
    const late = slots.map(() => draw.between(0, 300));
    slots.forEach((slot, at) =>
      this.#later(awayMs + (late[at] as number), () => {
        if (!this.#stopped && this.#cluster.state(slot) === 'down') revive(this.#cluster, slot);
      }),
    );
    return {
      text: `all slots${amidst ? ', other faults go on' : ''}`,
      slots,
      lastsMs: awayMs + 300,
      undo: () => {
        for (const slot of slots) this.#revive(slot);
      },
    };
  }

  #repair(number: number): void {
    const fault = this.#active.get(number);
    if (fault === undefined) return;
    if (!fault.undone) {
      fault.undone = true;
      fault.strike.undo?.();
      this.#note(`repaired: fault ${number}`);
    }
    if (this.#stopped || fault.strike.settled?.() !== false) this.#active.delete(number);
    else this.#later(retryMs, () => this.#repair(number));
  }

  #revive(slot: number): void {
    if (this.#cluster.slot(slot).refusals < refusalsMax) revive(this.#cluster, slot);
  }

  /** Somebody looks after slots that stopped of themselves, long after the faults have ended too. */
  #care(): void {
    for (const { index, refusals } of this.#cluster.slots) {
      if (this.#cluster.state(index) !== 'down' || this.#isHeld(index)) continue;
      if (refusals < refusalsMax) revive(this.#cluster, index);
      else if (this.#mayForget()) {
        this.givenUp++;
        this.#note(`slot ${index}: its device refuses to start; a blank module takes its place`);
        void this.#cluster.insertBlank(index);
      }
    }
    this.#later(careMs, () => this.#care());
  }

  /** Where the weak module is now; gone for good, the one in its place is the next. */
  #weakSlot(): number {
    const at = this.#cluster.slots.find(({ id }) => id === this.#weakModule);
    if (at !== undefined) this.#weakAt = at.index;
    else this.#weakModule = this.#cluster.slot(this.#weakAt).id;
    return this.#weakAt;
  }

  #isHeld(slot: number): boolean {
    for (const { strike } of this.#active.values()) if (strike.slots.includes(slot)) return true;
    return false;
  }

  #undisturbed(): number[] {
    const disturbed = new Set<number>();
    for (const { strike } of this.#active.values()) for (const slot of strike.slots) disturbed.add(slot);
    return this.#cluster.slots
      .map(({ index }) => index)
      .filter((slot) => !disturbed.has(slot) && this.#cluster.state(slot) === 'running');
  }

  #pickKind(draw: Prng): FaultKind | undefined {
    const { weights } = this.#options;
    let sum = 0;
    for (const kind of faultKinds) sum += weights[kind] ?? 0;
    let at = draw.fraction() * sum;
    for (const kind of faultKinds) {
      at -= weights[kind] ?? 0;
      if (at < 0) return kind;
    }
    return undefined;
  }

  #note(text: string): void {
    this.journal.push(`${this.#engine.nowMs.toFixed(3)} ms: ${text}`);
  }

  #later(delayMs: number, run: () => void): void {
    this.#engine.schedule(this.#engine.world, this.#engine.nowMs + delayMs, run);
  }
}
