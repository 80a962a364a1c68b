import type { Prng } from '../base/prng.ts';
import type { SimCluster } from './cluster.ts';
import type { SimEngine } from './engine.ts';

export const faultKinds = [
  'crash',
  'power-loss',
  'pause',
  'cut-one-way',
  'partition',
  'slow-flash',
  'slow-link',
  'message-loss',
  'blank',
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface NemesisOptions {
  /** Mean of virtual time between two faults. */
  readonly meanIntervalMs: number;
  /** Slots that may be out of order at once (power loss apart): a quorum normally stays or returns. */
  readonly disturbedMax: number;
  /** How often a kind is chosen, relative to the others; 0 or absent: never. */
  readonly weights: Readonly<Partial<Record<FaultKind, number>>>;
}

/** What a run meets unless told otherwise. Blank modules wait until every arc has all its copies. */
export const usualWeights: Readonly<Record<FaultKind, number>> = {
  crash: 6,
  'power-loss': 0.4,
  pause: 3,
  'cut-one-way': 2,
  partition: 2,
  'slow-flash': 1,
  'slow-link': 1,
  'message-loss': 1,
  blank: 1,
};

const retryMs = 200;

/** Breaks things, and puts them back: faults with a beginning and an end, drawn from the seed. */
export class Nemesis {
  readonly counts = new Map<FaultKind, number>();
  /** One line per fault and repair, for the story. */
  readonly journal: string[] = [];
  readonly #engine: SimEngine;
  readonly #cluster: SimCluster;
  readonly #draw: Prng;
  readonly #options: NemesisOptions;
  /** How to undo what is under way, by the fault's number. */
  readonly #active = new Map<number, { readonly slots: readonly number[]; readonly undo: () => void }>();
  /** Asked before a module's content is given up for good. */
  readonly #mayForget: () => boolean;
  #faultCount = 0;
  #stopped = false;

  constructor(engine: SimEngine, cluster: SimCluster, draw: Prng, options: NemesisOptions, mayForget: () => boolean) {
    this.#engine = engine;
    this.#cluster = cluster;
    this.#draw = draw;
    this.#options = options;
    this.#mayForget = mayForget;
  }

  get total(): number {
    return this.#faultCount;
  }

  start(): void {
    if (!Number.isFinite(this.#options.meanIntervalMs)) return;
    this.#later(-Math.log(1 - this.#draw.fraction()) * this.#options.meanIntervalMs, () => {
      if (this.#stopped) return;
      this.#strike();
      this.start();
    });
  }

  /** No new faults; everything is mended and every slot started. */
  stop(): void {
    this.#stopped = true;
    for (const number of this.#active.keys()) this.#repair(number);
    const { slots } = this.#cluster;
    for (const { index } of slots) this.#revive(index);
    this.#note('all mended');
  }

  /** One fault now, of a kind that can happen now; nothing when too much is broken already. */
  #strike(): void {
    const kind = this.#pickKind();
    if (kind === undefined) return;
    const free = this.#undisturbed();
    const room = this.#options.disturbedMax - (this.#cluster.slots.length - free.length);
    if (kind === 'power-loss') this.#powerLoss();
    else if (room > 0 && free.length > 1) {
      const slot = free[this.#draw.below(free.length)] as number;
      if (kind === 'blank') this.#blank(slot);
      else this.#disturb(kind, slot);
    }
  }

  #disturb(kind: Exclude<FaultKind, 'power-loss' | 'blank'>, slot: number): void {
    const draw = this.#draw;
    const cluster = this.#cluster;
    switch (kind) {
      case 'crash': {
        // Short stays look like a restart, long ones like a module that was pulled and comes back.
        const awayMs = draw.chance(0.7) ? draw.between(5, 400) : draw.between(400, 6000);
        cluster.crash(slot);
        return this.#begin(kind, [slot], awayMs, () => this.#revive(slot));
      }
      case 'pause':
        cluster.pause(slot);
        return this.#begin(kind, [slot], draw.between(20, 2500), () => cluster.resume(slot));
      case 'cut-one-way': {
        const inbound = draw.chance(0.5);
        const others = cluster.slots.map(({ index }) => index).filter((other) => other !== slot && draw.chance(0.6));
        const pairs = others.map((other): readonly [number, number] => (inbound ? [other, slot] : [slot, other]));
        for (const pair of pairs) cluster.cut(...pair);
        return this.#begin(kind, [slot], draw.between(50, 3000), () => {
          for (const pair of pairs) cluster.mend(...pair);
        });
      }
      case 'partition': {
        const others = cluster.slots.map(({ index }) => index).filter((other) => other !== slot);
        for (const other of others) for (const pair of bothWays(slot, other)) cluster.cut(...pair);
        return this.#begin(kind, [slot], draw.between(50, 4000), () => {
          for (const other of others) for (const pair of bothWays(slot, other)) cluster.mend(...pair);
        });
      }
      case 'slow-flash':
        cluster.slowFlash(slot, draw.between(3, 60));
        return this.#begin(kind, [slot], draw.between(100, 3000), () => cluster.slowFlash(slot, 1));
      case 'slow-link':
        cluster.slowLink(slot, draw.between(3, 60));
        return this.#begin(kind, [slot], draw.between(100, 3000), () => cluster.slowLink(slot, 1));
      case 'message-loss':
        cluster.loseMessages(slot, draw.between(0.005, 0.1));
        return this.#begin(kind, [slot], draw.between(100, 3000), () => cluster.loseMessages(slot, 0));
    }
  }

  #powerLoss(): void {
    for (const number of this.#active.keys()) this.#repair(number);
    const slots = this.#cluster.slots.map(({ index }) => index);
    for (const slot of slots) this.#cluster.crash(slot);
    const awayMs = this.#draw.between(50, 1000);
    const late = slots.map(() => this.#draw.between(0, 300));
    this.#begin('power-loss', slots, awayMs + 300, () => {
      for (const slot of slots) this.#revive(slot);
    });
    slots.forEach((slot, at) => this.#later(awayMs + (late[at] as number), () => this.#reviveUnlessFaulty(slot)));
  }

  /** The one fault that destroys data: only when every arc has all its copies, and until the new module has its own. */
  #blank(slot: number): void {
    if (this.#active.size > 0 || !this.#mayForget()) return;
    this.#cluster.crash(slot);
    this.#count('blank', `slot ${slot} gets a blank module`);
    const number = this.#faultCount;
    const insert = () => {
      if (this.#cluster.state(slot) === 'down') void this.#cluster.insertBlank(slot);
    };
    this.#active.set(number, { slots: [slot], undo: insert });
    const settle = () => {
      if (!this.#active.has(number)) return;
      if (this.#cluster.state(slot) === 'running' && this.#mayForget()) this.#active.delete(number);
      else this.#later(retryMs, settle);
    };
    this.#later(this.#draw.between(100, 2000), () => {
      insert();
      settle();
    });
  }

  #begin(kind: FaultKind, slots: readonly number[], durationMs: number, undo: () => void): void {
    this.#count(kind, `${kind} of slot ${slots.join(', ')} for ${durationMs.toFixed(0)} ms`);
    const number = this.#faultCount;
    this.#active.set(number, { slots, undo });
    this.#later(durationMs, () => this.#repair(number));
  }

  #repair(number: number): void {
    const fault = this.#active.get(number);
    if (fault === undefined) return;
    this.#active.delete(number);
    fault.undo();
    this.#note(`repaired: fault ${number}`);
  }

  #revive(slot: number): void {
    this.#cluster.resume(slot);
    if (this.#cluster.state(slot) === 'down') void this.#cluster.start(slot);
  }

  #reviveUnlessFaulty(slot: number): void {
    if (this.#cluster.state(slot) === 'down') this.#revive(slot);
  }

  #undisturbed(): number[] {
    const disturbed = new Set<number>();
    for (const { slots } of this.#active.values()) for (const slot of slots) disturbed.add(slot);
    return this.#cluster.slots
      .map(({ index }) => index)
      .filter((slot) => !disturbed.has(slot) && this.#cluster.state(slot) === 'running');
  }

  #pickKind(): FaultKind | undefined {
    const { weights } = this.#options;
    let sum = 0;
    for (const kind of faultKinds) sum += weights[kind] ?? 0;
    let at = this.#draw.fraction() * sum;
    for (const kind of faultKinds) {
      at -= weights[kind] ?? 0;
      if (at < 0) return kind;
    }
    return undefined;
  }

  #count(kind: FaultKind, text: string): void {
    this.#faultCount++;
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    this.#note(`fault ${this.#faultCount}: ${text}`);
  }

  #note(text: string): void {
    this.journal.push(`${this.#engine.nowMs.toFixed(3)} ms: ${text}`);
  }

  #later(delayMs: number, run: () => void): void {
    this.#engine.schedule(this.#engine.world, this.#engine.nowMs + delayMs, run);
  }
}

function bothWays(a: number, b: number): readonly (readonly [number, number])[] {
  return [
    [a, b],
    [b, a],
  ];
}
