import assert from 'node:assert/strict';
import { blockBytes } from '../../src/base/ids.ts';
import { mix32, Prng } from '../../src/base/prng.ts';
import { checkDurability } from '../../src/sim/checkers/durability.ts';
import { checkLinearizability } from '../../src/sim/checkers/linearizability.ts';
import { whyNotConverged } from '../../src/sim/checkers/replicas.ts';
import { SimClock } from '../../src/sim/clock.ts';
import { type ClusterShape, SimCluster } from '../../src/sim/cluster.ts';
import { coreletProgram } from '../../src/sim/corelet-program.ts';
import { SimEngine } from '../../src/sim/engine.ts';
import { SimNetwork } from '../../src/sim/fabric.ts';
import { SimFlash } from '../../src/sim/flash.ts';
import type { SimMedium } from '../../src/sim/program.ts';
import { SimRandom } from '../../src/sim/random.ts';
import { registerName } from '../../src/sim/targets.ts';
import { Workload } from '../../src/sim/workload.ts';

const flashBytes = 1 << 30;
const volumeBytes = 8 << 20;
/** Looked through for pages that hosts wrote: more than a short run fills. */
const writtenBytesMax = 96 << 20;
const scanBytes = 1 << 20;
/** `CLB1`, as docs/formats/store.md has it. */
const batchMagic = 0x31424c43;
/** `CLM1`, as there. */
const mapPageMagic = 0x314d4c43;

/** A cluster whose flashes a test may spoil while hosts write. */
export class RepairRig {
  readonly engine = new SimEngine();
  readonly cluster: SimCluster;
  readonly workload: Workload;
  readonly draw: Prng;
  /** By slot: the medium of the module that is in it. */
  readonly flashes: SimFlash[] = [];
  readonly seed: number;
  readonly #shape: ClusterShape;

  /** `mapBytes`: so much memory for map pages that they are read and written all the time, or don't leave it. */
  constructor(seed: number, shape: ClusterShape, operations: number, mapBytes?: number) {
    this.seed = seed;
    this.#shape = shape;
    this.draw = new Prng(seed, 'rot');
    const random = new SimRandom(seed);
    const clock = new SimClock(this.engine, this.engine.world);
    const wires = new SimNetwork(clock, random.stream('network'), {});
    const makeMedium = (label: string): SimMedium => {
      const flash = new SimFlash(clock, random.stream(`flash of ${label}`), { sizeBytes: flashBytes });
      this.flashes.push(flash);
      return {
        attach: () => flash.attach(),
        crash: () => flash.crash({ tear: true }),
        setSlowness: (factor) => {
          flash.slowFactor = factor;
        },
      };
    };
    const program = coreletProgram(mapBytes === undefined ? { flashBytes } : { flashBytes, mapBytes });
    this.cluster = new SimCluster(this.engine, random, program, { wires, makeMedium }, shape);
    const load = { volume: 'rot', hosts: 3, queueDepth: 4, operations, thinkMs: 10, patienceMs: 30_000 };
    this.workload = new Workload(this.engine, this.cluster, random.stream('workload'), seed, load);
  }

  async begin(): Promise<void> {
    const { engine, cluster } = this;
    assert(await engine.settle(cluster.found(), 30_000), 'the cluster starts');
    for (let tries = 0; tries < 100; tries++) {
      const request = { name: 'rot', sizeBytes: volumeBytes, copies: this.#shape.copies };
      const made = await engine.settle(
        cluster.handle(0)?.volumes.create(request) ?? Promise.resolve(undefined),
        10_000,
      );
      if (made?.value?.ok === true || (made?.value?.ok === false && made.value.code === 'EXISTS')) {
        this.workload.start(volumeBytes);
        return;
      }
      await engine.run(engine.nowMs + 100);
    }
    assert.fail('no volume could be made');
  }

  /** Lets hosts work for a while, or until they are done. */
  async work(forMs: number): Promise<void> {
    await this.engine.run(this.engine.nowMs + forMs, () => this.workload.done || this.cluster.violations.length > 0);
  }

  /** Places on a slot's medium that hold blocks as hosts wrote them. */
  blocksOn(slot: number): number[] {
    const flash = this.flashes[slot] as SimFlash;
    const found: number[] = [];
    for (let from = 0; from < writtenBytesMax; from += scanBytes) {
      const bytes = flash.peek(from, scanBytes);
      for (let at = 0; at < scanBytes; at += blockBytes) {
        const [value = 0, seed, place = 0, mark] = new Uint32Array(bytes.buffer, at, 4);
        if (value !== 0 && seed === this.seed >>> 0 && mark === mix32(value ^ mix32(place ^ this.seed))) {
          found.push(from + at);
        }
      }
    }
    return found;
  }

  /** Some of the blocks there change a bit each, as cells do that nobody looks at; or can't be read at all. */
  rot(slot: number, count: number, how: 'flips' | 'unreadable'): void {
    const flash = this.flashes[slot] as SimFlash;
    const places = this.blocksOn(slot);
    for (let i = 0; i < count && places.length > 0; i++) {
      const at = places[this.draw.below(places.length)] as number;
      if (how === 'unreadable') flash.failRange(at, blockBytes);
      else this.flip(slot, at + this.draw.below(blockBytes));
    }
  }

  /** Some blocks of a slot can't be read any more on whatever flash, in none of their versions. */
  rotEverywhere(slot: number, count: number): void {
    const placeAt = (on: number, at: number) => new Uint32Array((this.flashes[on] as SimFlash).peek(at, 16).buffer)[2];
    const places = new Set(this.blocksOn(slot).map((at) => placeAt(slot, at)));
    const chosen = new Set([...places].slice(0, count));
    for (const on of this.flashes.keys()) {
      for (const at of this.blocksOn(on)) if (chosen.has(placeAt(on, at))) this.flip(on, at + 1000);
    }
  }

  flip(slot: number, at: number): void {
    const flash = this.flashes[slot] as SimFlash;
    const byte = flash.peek(at, 1);
    flash.poke(at, Uint8Array.of((byte[0] as number) ^ 0x40));
  }

  /** Where the newest batches of a slot's log are, newest first. */
  batchesOn(slot: number): number[] {
    const flash = this.flashes[slot] as SimFlash;
    const found: { position: number; sequence: number }[] = [];
    for (let from = 0; from < writtenBytesMax; from += scanBytes) {
      const view = new DataView(flash.peek(from, scanBytes).buffer);
      for (let at = 0; at < scanBytes; at += blockBytes) {
        const isHere = Number(view.getBigUint64(at + 64, true)) === from + at;
        if (view.getUint32(at, true) !== batchMagic || !isHere) continue;
        found.push({ position: from + at, sequence: Number(view.getBigUint64(at + 8, true)) });
      }
    }
    return found.sort((a, b) => b.sequence - a.sequence).map(({ position }) => position);
  }

  /** No page of the block map that is on a slot's flash now can be read as what it was. Returns how many there are. */
  ruinMapPages(slot: number): number {
    const flash = this.flashes[slot] as SimFlash;
    let ruined = 0;
    for (let from = 0; from < writtenBytesMax; from += scanBytes) {
      const view = new DataView(flash.peek(from, scanBytes).buffer);
      for (let at = 0; at < scanBytes; at += blockBytes) {
        if (view.getUint32(at, true) !== mapPageMagic) continue;
        flash.poke(from + at + 4, Uint8Array.of(0, 0, 0, 0));
        ruined++;
      }
    }
    return ruined;
  }

  async restart(slot: number): Promise<void> {
    assert(await this.engine.settle(this.cluster.start(slot), 20_000), `slot ${slot} starts`);
  }

  events(kind: string): number {
    return this.cluster.events.filter(({ event }) => event.kind === kind).length;
  }

  async converge(withinMs = 60_000): Promise<void> {
    const { engine, cluster } = this;
    const reasons = () => whyNotConverged(cluster.inspections(), this.#shape);
    for (const until = engine.nowMs + withinMs; engine.nowMs < until && reasons().length > 0; ) {
      await engine.run(engine.nowMs + 100);
    }
    assert.deepEqual(reasons(), [], this.story());
  }

  /** No wrong byte, no lost write, no error that hosts saw; and whatever is still open ends. */
  async judge(pulled: 'nothing pulled' | 'gateways pulled' = 'nothing pulled'): Promise<void> {
    const { engine, workload } = this;
    workload.stop();
    await engine.run(engine.nowMs + 60_000, () => workload.openCount === 0);
    assert.deepEqual(workload.openStory(), [], `hosts still wait\n${this.story()}`);
    await this.converge();
    for (let slot = 0; slot < this.cluster.slots.length; slot++) {
      const reads = await engine.settle(workload.readAll(slot), 60_000);
      assert(reads?.value !== undefined, `all can be read through slot ${slot}\n${this.story()}`);
      const name = (key: number) => registerName(key);
      assert.deepEqual(checkDurability(workload.history, reads.value, name), []);
    }
    // Through a gateway that begins, hosts are told to come again.
    const failed = workload.history.operations.filter(
      ({ outcome, code }) => outcome === 'failed' && !(pulled === 'gateways pulled' && code === 'RETRYABLE'),
    );
    assert.deepEqual(failed.slice(0, 3), [], `a host saw an error\n${this.story()}`);
    assert.deepEqual([...this.cluster.violations, ...workload.violations], [], this.story());
    assert.deepEqual(checkLinearizability(workload.history, (key) => registerName(key)).violations, []);
  }

  end(): void {
    for (const { index } of this.cluster.slots) this.cluster.crash(index);
  }

  story(): string {
    return this.cluster.events
      .slice(-60)
      .map(({ atMs, slot, event }) => `${atMs.toFixed(1)} ms slot ${slot} ${event.kind}: ${event.text}`)
      .join('\n');
  }
}
