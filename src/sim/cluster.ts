import { assert } from '../base/assert.ts';
import type { ClusterId, CoreletId } from '../base/ids.ts';
import type { Prng } from '../base/prng.ts';
import type { CoreletHandle, Founding } from '../corelet/types.ts';
import type { EventRecord } from '../ports/events.ts';
import type { Member } from '../ring/view.ts';
import type { CoreletInspection } from './checkers/replicas.ts';
import type { Violation } from './checkers/violation.ts';
import { SimClock } from './clock.ts';
import type { SimEngine, SimProcess } from './engine.ts';
import { makeFounding, makeHexId, makeMember } from './founding.ts';
import { GatedFabric, GatedFlash } from './gates.ts';
import type { SimHardware, SimMedium, SimProgram } from './program.ts';
import type { SimRandom } from './random.ts';

/** Parts per million by which a clock runs fast or slow: ten times a bad quartz. */
const driftPpmMax = 1000;
const eventsKeptMax = 2000;

export interface ClusterShape {
  readonly slots: number;
  readonly arcs: number;
  readonly copies: number;
}

/** One module and the process in it. */
interface Slot {
  readonly index: number;
  id: CoreletId;
  member: Member;
  medium: SimMedium;
  process: SimProcess | undefined;
  handle: CoreletHandle | undefined;
  starts: number;
  /** What its device gets before its first start; undefined once it has it. */
  blank: Founding | undefined;
}

export type SlotState = 'down' | 'starting' | 'running' | 'paused';

/** A whole chassis in one process: Corelets on simulated clock, flash and fabric, and the hands that pull them out. */
export class SimCluster {
  readonly engine: SimEngine;
  readonly shape: ClusterShape;
  readonly slots: readonly Slot[];
  /** Broken promises that a Corelet noticed itself: a failed assertion, a start that was refused. */
  readonly violations: Violation[] = [];
  /** What the Corelets recorded, newest last, for the story of a failure. */
  readonly events: { readonly atMs: number; readonly slot: number; readonly event: Omit<EventRecord, 'atWallMs'> }[] =
    [];
  /** Called when a slot's process ends: what went through it has no answer any more. */
  readonly downListeners: ((slot: number) => void)[] = [];
  readonly #random: SimRandom;
  readonly #draw: Prng;
  readonly #program: SimProgram;
  readonly #hardware: SimHardware;
  readonly #founding: Founding;

  constructor(engine: SimEngine, random: SimRandom, program: SimProgram, hardware: SimHardware, shape: ClusterShape) {
    this.engine = engine;
    this.shape = shape;
    this.#random = random;
    this.#draw = random.stream('cluster');
    this.#program = program;
    this.#hardware = hardware;
    this.#founding = makeFounding(shape, this.#draw);
    this.slots = this.#founding.members.map((member) => ({
      index: member.slot,
      id: member.id,
      member,
      medium: hardware.makeMedium(`slot ${member.slot}`),
      process: undefined,
      handle: undefined,
      starts: 0,
      blank: this.#founding,
    }));
  }

  get cluster(): ClusterId {
    return this.#founding.cluster;
  }

  /** Starts every slot; the first start formats its device. Resolves when all have started. */
  async found(): Promise<void> {
    await Promise.all(this.slots.map((slot) => this.start(slot.index)));
  }

  state(index: number): SlotState {
    const { process, handle } = this.slot(index);
    if (process === undefined) return 'down';
    if (process.state === 'paused') return 'paused';
    return handle === undefined ? 'starting' : 'running';
  }

  /** A Corelet that answers: neither down nor starting nor paused. */
  handle(index: number): CoreletHandle | undefined {
    return this.state(index) === 'running' ? this.slot(index).handle : undefined;
  }

  /** Starts the process of a slot that is down. Resolves when it runs, or at once when it can't. */
  async start(index: number): Promise<void> {
    const slot = this.slot(index);
    assert(slot.process === undefined, `slot ${index} runs`);
    const { engine } = this;
    const start = ++slot.starts;
    const process = engine.process(`slot ${index} start ${start}`);
    slot.process = process;
    const random = this.#random.stream(process.label);
    const incarnation = start * 0x1_0000_0000 + random.u32();
    const hello = { cluster: this.cluster, id: slot.id, incarnation };
    const rate = 1 + ((random.fraction() - 0.5) * 2 * driftPpmMax) / 1e6;
    const clock = new SimClock(engine, process, { offsetMs: random.fraction() * 1e6, rate });
    const events = { record: (event: Omit<EventRecord, 'atWallMs'>) => this.#record(index, event) };
    const seeds = this.slots
      .filter(({ id }) => id !== slot.id)
      .map(({ id, member }) => ({ id, address: member.address }));
    try {
      await this.#format(slot, process);
      const wired = this.#hardware.wires.attach(hello, slot.member.address);
      const fabric = new GatedFabric(engine, process, wired);
      const flash = new GatedFlash(engine, process, slot.medium.attach());
      const handle = await this.#program.start({ clock, random, flash, fabric, events }, { self: slot.member, seeds });
      slot.handle = handle;
      handle.failed.then(
        (error) => this.#failed(slot, process, error),
        (error: unknown) => this.#failed(slot, process, error),
      );
    } catch (error) {
      this.#failed(slot, process, error);
    }
  }

  /** As if drawn out, or SIGKILL with the power: nothing of the process goes on, unsynced writes are the medium's mercy. */
  crash(index: number): void {
    const slot = this.slot(index);
    if (slot.process === undefined) return;
    this.engine.kill(slot.process);
    slot.process = undefined;
    slot.handle = undefined;
    slot.medium.crash();
    this.#hardware.wires.crash(slot.id);
    for (const listener of this.downListeners) listener(index);
  }

  /** SIGSTOP: its sockets stay open, its timers wait. */
  pause(index: number): void {
    const { process } = this.slot(index);
    if (process !== undefined) this.engine.pause(process);
  }

  resume(index: number): void {
    const { process } = this.slot(index);
    if (process !== undefined) this.engine.resume(process);
  }

  /** A blank module takes the slot of one that is down: a new Corelet, with nothing of the old. */
  async insertBlank(index: number): Promise<void> {
    const slot = this.slot(index);
    assert(slot.process === undefined, `slot ${index} runs`);
    slot.id = makeHexId(this.#draw) as CoreletId;
    slot.member = makeMember(index, slot.id, this.#draw);
    slot.medium = this.#hardware.makeMedium(`slot ${index} module ${slot.starts}`);
    slot.blank = { ...this.#founding, members: [] };
    await this.start(index);
  }

  cut(from: number, to: number): void {
    this.#hardware.wires.cut(this.slot(from).id, this.slot(to).id);
  }

  mend(from: number, to: number): void {
    this.#hardware.wires.mend(this.slot(from).id, this.slot(to).id);
  }

  slowFlash(index: number, factor: number): void {
    this.slot(index).medium.setSlowness(factor);
  }

  slowLink(index: number, factor: number): void {
    this.#hardware.wires.setSlowness(this.slot(index).id, factor);
  }

  loseMessages(index: number, share: number): void {
    this.#hardware.wires.setLoss(this.slot(index).id, share);
  }

  /** What every Corelet that runs holds; for checkers. */
  inspections(): readonly CoreletInspection[] {
    const list: CoreletInspection[] = [];
    for (const { index, id, handle, starts } of this.slots) {
      if (handle !== undefined) list.push({ slot: index, id, start: starts, replicas: handle.inspect() });
    }
    return list;
  }

  slot(index: number): Slot {
    const slot = this.slots[index];
    assert(slot !== undefined, `no slot ${index}`);
    return slot;
  }

  /** A device whose formatting was cut short is formatted anew by the next start. */
  async #format(slot: Slot, process: SimProcess): Promise<void> {
    if (slot.blank === undefined) return;
    const flash = new GatedFlash(this.engine, process, slot.medium.attach());
    const random = this.#random.stream(`format of ${process.label}`);
    await this.#program.format(flash, slot.id, slot.blank, random);
    slot.blank = undefined;
  }

  #record(slot: number, event: Omit<EventRecord, 'atWallMs'>): void {
    this.events.push({ atMs: this.engine.nowMs, slot, event });
    if (this.events.length > 2 * eventsKeptMax) this.events.splice(0, eventsKeptMax);
  }

  #failed(slot: Slot, process: SimProcess, error: unknown): void {
    if (slot.process !== process) return; // it was already pulled: a dead process fails nothing
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const [summary = 'failed', ...story] = message.split('\n');
    this.violations.push({
      invariant: /INV-\d+/.exec(summary)?.[0] ?? 'ASSERT',
      summary: `slot ${slot.index} stopped at ${this.engine.nowMs.toFixed(3)} ms: ${summary}`,
      story,
    });
    this.crash(slot.index);
  }
}
