import { assert, AssertionFailed } from '../base/assert.ts';
import type { ClusterId, CoreletId } from '../base/ids.ts';
import type { Prng } from '../base/prng.ts';
import { Superseded } from '../corelet/superseded.ts';
import type { CoreletHandle, Founding } from '../corelet/types.ts';
import type { EventRecord } from '../ports/events.ts';
import type { Fabric } from '../ports/fabric.ts';
import type { Member } from '../ring/view.ts';
import type { PeerMessage } from '../wire/peer/types.ts';
import type { CoreletInspection } from './checkers/replicas.ts';
import type { Violation } from './checkers/violation.ts';
import { SimClock } from './clock.ts';
import type { SimEngine, SimProcess } from './engine.ts';
import { makeFounding, makeHexId, makeMember } from './founding.ts';
import { GatedFabric, GatedFlash } from './gates.ts';
import type { MediumImage, SimHardware, SimMedium, SimProgram } from './program.ts';
import type { SimRandom } from './random.ts';
import { Steering } from './steering.ts';

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
  clock: SimClock | undefined;
  starts: number;
  /** Its device was tampered with: it may fail and say so. */
  damaged: boolean;
  /** Starts in a row that its device refused. */
  refusals: number;
  /** What its device gets before its first start; undefined once it has it. */
  blank: Founding | undefined;
}

/** One start of one Corelet. */
interface Life {
  readonly process: SimProcess;
  readonly clock: SimClock;
  readonly random: Prng;
  readonly incarnation: number;
  plug?: Fabric<PeerMessage>;
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
  /** For checkers: every message that a Corelet hands to its fabric. */
  onSend: ((slot: number, from: CoreletId, to: CoreletId, message: PeerMessage) => void) | undefined;
  /** For a story: bytes that became durable. Set before `found`. */
  onSync: ((slot: number, lengthBytes: number) => void) | undefined;
  readonly steering = new Steering();
  readonly #random: SimRandom;
  readonly #draw: Prng;
  readonly #program: SimProgram;
  readonly #hardware: SimHardware;
  /** Copies of devices that ran beside the original, at some time: what was told under its name may lie there. */
  readonly clones: Pick<Slot, 'index' | 'id' | 'medium'>[] = [];
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
      clock: undefined,
      starts: 0,
      damaged: false,
      refusals: 0,
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
    slot.clock = this.#clockOf(process, random);
    try {
      await this.#format(slot, process);
      const handle = await this.#boot(slot, { process, clock: slot.clock, random, incarnation }, slot.medium);
      if (slot.process !== process) return;
      slot.handle = handle;
      slot.refusals = 0;
      handle.failed.then(
        (error) => this.#failed(slot, process, error),
        (error: unknown) => this.#failed(slot, process, error),
      );
    } catch (error) {
      this.#failed(slot, process, error);
    }
  }

  #clockOf(process: SimProcess, random: Prng): SimClock {
    const rate = 1 + ((random.fraction() - 0.5) * 2 * driftPpmMax) / 1e6;
    return new SimClock(this.engine, process, { offsetMs: random.fraction() * 1e6, rate });
  }

  /** Runs the Corelet of a slot on `medium`: its own, or a copy of it. */
  #boot(slot: Slot, life: Life, medium: SimMedium): Promise<CoreletHandle> {
    const { process, clock, random, incarnation } = life;
    const { id, member, index } = slot;
    const wired = this.#hardware.wires.attach({ cluster: this.cluster, id, incarnation }, member.address);
    life.plug = wired;
    const fabric = new GatedFabric(this.engine, process, wired, (to, message) => this.onSend?.(index, id, to, message));
    const { onSync } = this;
    const tell = onSync && ((lengthBytes: number) => onSync(index, lengthBytes));
    const flash = new GatedFlash(this.engine, process, medium.attach(), tell);
    const events = { record: (event: Omit<EventRecord, 'atWallMs'>) => this.#record(index, event) };
    const seeds = this.slots
      .filter((other) => other.id !== id)
      .map((other) => ({ id: other.id, address: other.member.address }));
    const options = { self: member, seeds, steer: this.steering.steer };
    return this.#program.start({ clock, random, flash, fabric, events }, options);
  }

  /**
   * Starts a second Corelet of the same identity on a copy of the device, as it is now: a cloned disk. It runs until the
   * returned function is called, and nobody inspects it.
   */
  startClone(index: number): (() => void) | undefined {
    const slot = this.slot(index);
    const medium = slot.medium.image?.().copy(`clone ${slot.starts} of slot ${index}`);
    if (medium === undefined || slot.process === undefined) return undefined;
    this.clones.push({ index, id: slot.id, medium });
    const process = this.engine.process(`clone of slot ${index} start ${slot.starts}`);
    const random = this.#random.stream(process.label);
    const incarnation = slot.starts * 0x1_0000_0000 + random.u32();
    const life: Life = { process, clock: this.#clockOf(process, random), random, incarnation };
    this.#boot(slot, life, medium).then(
      (handle) => {
        void handle.failed.then((error) => this.#cloneFailed(index, error));
      },
      (error: unknown) => this.#cloneFailed(index, error),
    );
    return () => {
      this.engine.kill(process);
      medium.crash();
      void life.plug?.close();
    };
  }

  #cloneFailed(index: number, error: unknown): void {
    if (!(error instanceof AssertionFailed)) return; // it noticed, and stopped
    this.violations.push({ invariant: 'ASSERT', summary: `the clone of slot ${index}: ${error.message}`, story: [] });
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

  /** What was on the device at that time is there again. Only while the slot is down. */
  rollBack(index: number, image: MediumImage): void {
    const slot = this.slot(index);
    assert(slot.process === undefined, `slot ${index} runs`);
    slot.medium = image.copy(`slot ${index} rolled back at start ${slot.starts}`);
  }

  /** Two modules that are down change places: each takes its identity along. */
  swap(first: number, second: number): void {
    const a = this.slot(first);
    const b = this.slot(second);
    assert(a.process === undefined && b.process === undefined, `slots ${first} and ${second} are down`);
    const { id, medium, member, damaged, blank } = a;
    const place = (into: Slot, moved: Member): Member => ({
      ...moved,
      slot: into.index,
      zone: into.member.zone,
      address: into.member.address,
    });
    const [memberA, memberB] = [place(a, b.member), place(b, member)];
    Object.assign(a, { id: b.id, medium: b.medium, member: memberA, damaged: b.damaged, blank: b.blank });
    Object.assign(b, { id, medium, member: memberB, damaged, blank });
    a.starts = Math.max(a.starts, b.starts);
    b.starts = a.starts;
  }

  /** A blank module takes the slot of one that is down: a new Corelet, with nothing of the old. */
  async insertBlank(index: number): Promise<void> {
    const slot = this.slot(index);
    assert(slot.process === undefined, `slot ${index} runs`);
    slot.id = makeHexId(this.#draw) as CoreletId;
    slot.member = makeMember(index, slot.id, this.#draw);
    slot.medium = this.#hardware.makeMedium(`slot ${index} module ${slot.starts}`);
    slot.blank = { ...this.#founding, members: [] };
    slot.damaged = false;
    slot.refusals = 0;
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

  disorderLinks(index: number, share: number, laneDelayMs: number): void {
    this.#hardware.wires.setDisorder?.(this.slot(index).id, share, laneDelayMs);
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
    const starting = slot.handle === undefined;
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const [summary = 'failed', ...story] = message.split('\n');
    if (error instanceof Superseded || (slot.damaged && !(error instanceof AssertionFailed))) {
      // An honest end: the device fails, or a copy of it was started later, and its Corelet says so.
      if (starting) slot.refusals++;
      this.#record(slot.index, { kind: starting ? 'sim.refused' : 'sim.stopped', text: summary });
    } else {
      this.violations.push({
        invariant: /INV-\d+/.exec(summary)?.[0] ?? 'ASSERT',
        summary: `slot ${slot.index} stopped at ${this.engine.nowMs.toFixed(3)} ms: ${summary}`,
        story,
      });
    }
    this.crash(slot.index);
  }
}
