import { assert } from '../../base/assert.ts';
import { type ArcId, chunkBytes, type VolumeId } from '../../base/ids.ts';
import type { VolumeResult } from '../../corelet/types.ts';
import { arcOf } from '../../ring/keys.ts';
import { whyNotConverged } from '../checkers/replicas.ts';
import type { Violation } from '../checkers/violation.ts';
import { SimCluster } from '../cluster.ts';
import { coreletProgram } from '../corelet-program.ts';
import { SimEngine } from '../engine.ts';
import type { SimFlash } from '../flash.ts';
import { SimRandom } from '../random.ts';
import { failedSync, StageHardware, StageMedium } from './hardware.ts';
import { type Asked, Hosts } from './hosts.ts';
import { Unfulfilled } from './problem.ts';
import type { Story } from './story.ts';
import { Watches } from './watches.ts';

const stepMs = 5;
const foundMsMax = 30_000;
const createMsMax = 30_000;

/** One replica of an arc as a checker sees it, with its slot. */
export interface Held {
  readonly slot: number;
  readonly replica: ReturnType<SimCluster['inspections']>[number]['replicas'][number];
  readonly id: string;
}

/** The cluster on which one story is played, with what the story named. */
export class Stage {
  readonly story: Story;
  readonly engine = new SimEngine();
  readonly random: SimRandom;
  readonly hardware: StageHardware;
  readonly cluster: SimCluster;
  readonly hosts: Hosts;
  readonly watches: Watches;
  /** Slots that the story gave a name. */
  readonly slotNames = new Map<string, number>();
  /** Values: the number of the write that made each. */
  readonly values = new Map<string, number>();
  readonly tasks = new Map<string, Asked>();
  readonly volumes = new Map<string, VolumeId>();
  /** Copies of devices that the story took. */
  readonly disks = new Map<string, SimFlash>();
  /** What was done, for the story of a failure. */
  readonly journal: { readonly atMs: number; readonly text: string }[] = [];
  /** Arcs that the story broke for good: not expected to be whole at its end. */
  endsBroken = false;
  /** Slots with a copy of another's disk: for the checkers a Corelet of its own, so that both leading in one term would show. */
  readonly twins = new Set<number>();
  /** Arcs of which one copy was given another content: that they differ is what the story is about. */
  readonly forgedArcs = new Set<number>();
  /** How often a slot's disk was put back: it has forgotten terms that it showed, and must not act on that. */
  readonly rollBacks = new Map<number, number>();
  trafficOn = false;
  /** When the cluster was founded and the volume made. */
  foundedMs = 0;

  constructor(story: Story, seed: number) {
    this.story = story;
    this.random = new SimRandom(seed);
    this.hardware = new StageHardware(this.engine, this.random, story.flashBytes);
    const { shape, segmentBytes } = story;
    const program = coreletProgram({ flashBytes: story.flashBytes, segmentBytes });
    this.cluster = new SimCluster(this.engine, this.random, program, this.hardware, shape);
    this.hosts = new Hosts(
      this.engine,
      this.cluster,
      seed,
      story.lines.map(({ text }) => text),
    );
    this.watches = new Watches(this);
  }

  /** Founds the cluster and makes the volume that stories use, `v`. */
  async found(): Promise<void> {
    const { engine, cluster } = this;
    if ((await engine.settle(cluster.found(), foundMsMax)) === undefined)
      throw new Unfulfilled('the cluster did not start');
    this.watches.start();
    await this.createVolume('v');
    this.foundedMs = engine.nowMs;
  }

  async createVolume(name: string): Promise<void> {
    const { engine, cluster, story } = this;
    const request = { name, sizeBytes: story.chunks * chunkBytes, copies: story.shape.copies };
    const untilMs = engine.nowMs + createMsMax;
    let last = 'no answer';
    for (let turn = 0; engine.nowMs < untilMs; turn++) {
      const handle = cluster.handle(turn % cluster.slots.length);
      const made =
        handle === undefined
          ? undefined
          : await engine.settle<VolumeResult<unknown>>(handle.volumes.create(request), createMsMax);
      if (made?.value.ok === true || (made?.value.ok === false && made.value.code === 'EXISTS')) {
        const device = await engine.settle(this.hosts.device(turn % cluster.slots.length, name), createMsMax);
        if (device?.value !== undefined && device.value !== 'NOT_FOUND') {
          this.volumes.set(name, device.value.id);
          return;
        }
      }
      if (made !== undefined && !made.value.ok) last = `${made.value.code}: ${made.value.message}`;
      await engine.run(engine.nowMs + stepMs);
    }
    throw new Unfulfilled(`volume ${name} could not be made: ${last}`);
  }

  stop(): void {
    this.watches.stop();
    for (const { index } of this.cluster.slots) this.cluster.crash(index);
  }

  note(text: string): void {
    this.journal.push({ atMs: this.engine.nowMs, text });
  }

  // ---- names --------------------------------------------------------------------------------------------------------

  slot(text: string): number {
    const index = /^\d+$/.test(text) ? Number(text) : this.slotNames.get(text);
    if (index === undefined) throw new Unfulfilled(`nothing gave a slot the name ${text}`);
    if (index >= this.cluster.slots.length) throw new Unfulfilled(`there is no slot ${index}`);
    return index;
  }

  slotsIn(text: string): readonly number[] {
    const all = this.cluster.slots.map(({ index }) => index);
    if (text === 'all') return all;
    if (text.startsWith('all but ')) {
      const without = this.slotsIn(text.slice('all but '.length));
      return all.filter((index) => !without.includes(index));
    }
    return text.split(/, ?/).map((name) => this.slot(name));
  }

  value(name: string): number {
    const value = name === 'zeros' ? 0 : this.values.get(name);
    if (value === undefined) throw new Unfulfilled(`nobody wrote a value ${name}`);
    return value;
  }

  /** What the story calls a value that was read. */
  nameOfValue(value: number): string {
    if (value === 0) return 'zeros';
    for (const [name, known] of this.values) if (known === value) return name;
    return `what op ${value} wrote`;
  }

  task(label: string): Asked {
    const task = this.tasks.get(label);
    if (task === undefined) throw new Unfulfilled(`nothing with the name ${label} was begun`);
    return task;
  }

  disk(mark: string): SimFlash {
    const disk = this.disks.get(mark);
    if (disk === undefined) throw new Unfulfilled(`nobody copied a disk as ${mark}`);
    return disk;
  }

  medium(slot: number): StageMedium {
    const { medium } = this.cluster.slot(slot);
    assert(medium instanceof StageMedium, 'a story has its own hardware');
    return medium;
  }

  // ---- arcs ---------------------------------------------------------------------------------------------------------

  arcOf(chunk: number, volume = 'v'): ArcId {
    const id = this.volumes.get(volume);
    if (id === undefined) throw new Unfulfilled(`there is no volume ${volume}`);
    return arcOf(id, chunk, this.story.shape.arcs);
  }

  replicasOf(arc: ArcId): readonly Held[] {
    const held: Held[] = [];
    for (const { slot, id, replicas } of this.cluster.inspections()) {
      for (const replica of replicas) if (replica.arc === arc) held.push({ slot, id, replica });
    }
    return held;
  }

  /** Of those who say that they lead, the one of the highest term. */
  leaderOf(arc: ArcId): Held | undefined {
    let leader: Held | undefined;
    for (const held of this.replicasOf(arc)) {
      if (held.replica.role !== 'leader') continue;
      if (leader === undefined || held.replica.term > leader.replica.term) leader = held;
    }
    return leader;
  }

  whyNotWhole(): readonly string[] {
    const corelets = this.cluster.inspections();
    const reasons = [...whyNotConverged(corelets, this.story.shape)];
    for (const { replicas } of corelets) {
      for (const { arc, role, votersOutgoing } of replicas) {
        // Until the outgoing voters are out, their majority is needed as well.
        if (role === 'leader' && (votersOutgoing?.length ?? 0) > 0) reasons.push(`arc ${arc}: its voters are changing`);
      }
    }
    return reasons;
  }

  // ---- time ---------------------------------------------------------------------------------------------------------

  /** Lets time pass until `holds`. False: it didn't within `limitMs`. */
  async until(holds: () => boolean, limitMs: number): Promise<boolean> {
    const { engine } = this;
    const endMs = engine.nowMs + limitMs;
    while (!holds()) {
      if (engine.nowMs >= endMs || this.broken()) return holds();
      await engine.run(engine.nowMs + stepMs);
    }
    return true;
  }

  /** Something promised is broken already: no use to wait for anything. */
  broken(): boolean {
    return [this.clusterViolations(), this.watches.violations, this.hosts.violations].some(({ length }) => length > 0);
  }

  /** What Corelets noticed themselves; one that stops because the story breaks its flash does what it shall. */
  clusterViolations(): readonly Violation[] {
    return this.cluster.violations.filter((found) => ![found.summary, ...found.story].join().includes(failedSync));
  }
}
