import { chunkBytes } from '../base/ids.ts';
import type { CoreletHandle, VolumeResult } from '../corelet/types.ts';
import { AcknowledgedWatch } from './checkers/acknowledged.ts';
import { checkBounds } from './checkers/bounds.ts';
import { checkDurability } from './checkers/durability.ts';
import { checkLinearizability } from './checkers/linearizability.ts';
import { LogWatch } from './checkers/logs.ts';
import { canLoseOne, ReplicaWatch, whyNotConverged } from './checkers/replicas.ts';
import type { Violation } from './checkers/violation.ts';
import { VoteWatch } from './checkers/votes.ts';
import { SimCluster } from './cluster.ts';
import type { ClusterShape } from './cluster.ts';
import { SimEngine } from './engine.ts';
import type { Operation } from './history.ts';
import { Nemesis } from './nemesis.ts';
import type { NemesisOptions } from './nemesis.ts';
import type { SimHardware, SimProgram } from './program.ts';
import { SimRandom } from './random.ts';
import { arcOf } from '../ring/keys.ts';
import { Story } from './story.ts';
import { registerName } from './targets.ts';
import { Workload } from './workload.ts';
import type { Acknowledgement } from './workload.ts';
import type { WorkloadOptions } from './workload-options.ts';

/** Bounds of virtual time: what takes longer never comes (INV-9). */
const foundMsMax = 30_000;
const createMsMax = 60_000;
const drainMsMax = 60_000;
const convergeMsMax = 120_000;
const finalReadsMsMax = 60_000;
const scrubMsMax = 600_000;
const scrubPasses = 2;
const pollMs = 100;
const observeMs = 25;
const compareMs = 1000;

export interface RunOptions {
  readonly seed: number;
  readonly shape: ClusterShape;
  readonly volumeBytes: number;
  /** Faults and load go on for this long, or until all operations are done. */
  readonly virtualMs: number;
  readonly workload: WorkloadOptions;
  readonly nemesis: NemesisOptions;
  /** Whether to write down every message, for the story of a failure. */
  readonly story?: boolean;
  readonly program: SimProgram;
  readonly hardware: (engine: SimEngine, random: SimRandom) => SimHardware;
}

export interface RunReport {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly traceHash: string;
  readonly virtualMs: number;
  readonly operations: number;
  readonly acknowledged: number;
  readonly unknown: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Numbers of the faults, for leaving some out. */
  readonly struck: readonly number[];
  /** Modules that were given up because their device refused to start. */
  readonly givenUp: number;
  /** Acknowledgements for which the media were asked (INV-1). */
  readonly durableChecks: number;
  readonly events: number;
  readonly wallMs: number;
  readonly registers: number;
  readonly uncheckedRegisters: number;
  /** From the end of the faults until every arc was whole again. */
  readonly convergedAfterMs: number | undefined;
  /** What was done to the cluster, and what the Corelets recorded: told with a failure. */
  readonly journal: readonly string[];
  /** Around the first violation, message by message; empty unless asked for. */
  readonly story: readonly string[];
}

/** One seed: found a cluster, make a volume, let hosts and faults at it, mend all, wait, and judge. */
export async function runOnce(options: RunOptions): Promise<RunReport> {
  return new Run(options).run();
}

class Run {
  readonly #options: RunOptions;
  readonly #engine = new SimEngine();
  readonly #cluster: SimCluster;
  readonly #workload: Workload;
  readonly #nemesis: Nemesis;
  readonly #watch = new ReplicaWatch();
  readonly #logs = new LogWatch();
  readonly #votes = new VoteWatch();
  readonly #acknowledged = new AcknowledgedWatch();
  readonly #violations: Violation[] = [];
  readonly #story: Story | undefined;
  #finalReads: ReadonlySet<number> = new Set();
  #convergedAfterMs: number | undefined;
  #watching = true;

  constructor(options: RunOptions) {
    this.#options = options;
    const { seed, shape, program, workload, nemesis } = options;
    const random = new SimRandom(seed);
    const hardware = options.hardware(this.#engine, random);
    this.#cluster = new SimCluster(this.#engine, random, program, hardware, shape);
    this.#workload = new Workload(this.#engine, this.#cluster, random.stream('workload'), seed, workload);
    this.#nemesis = new Nemesis(this.#engine, this.#cluster, random.stream('nemesis'), nemesis, () =>
      canLoseOne(this.#cluster.inspections(), this.#options.shape),
    );
    this.#workload.onAcknowledged = (acknowledgement) => this.#checkAcknowledged(acknowledgement);
    if (options.story === true) {
      const story = new Story((id) => this.#cluster.slots.find((slot) => slot.id === id)?.index);
      this.#story = story;
      this.#cluster.onSync = (slot, lengthBytes) => story.synced(slot, lengthBytes, this.#engine.nowMs);
    }
    this.#cluster.onSend = (slot, from, to, message) => {
      this.#story?.sent(slot, to, message, this.#engine.nowMs);
      if (!('arc' in message)) return;
      const replica = () =>
        this.#cluster
          .handle(slot)
          ?.inspect()
          .find(({ arc }) => arc === message.arc);
      this.#votes.sent(slot, from, to, message, replica, this.#engine.nowMs);
    };
  }

  async run(): Promise<RunReport> {
    const startedMs = performance.now();
    const unhandled = (error: unknown) => this.#threw('unhandled rejection', error);
    process.on('unhandledRejection', unhandled);
    let report: { readonly registers: number; readonly unchecked: number } = { registers: 0, unchecked: 0 };
    try {
      await this.#phases();
      report = this.#judge();
    } catch (error) {
      this.#threw('thrown in an event', error);
    } finally {
      this.#watching = false;
      for (const { index } of this.#cluster.slots) this.#cluster.crash(index);
      await new Promise((resolve) => setImmediate(resolve)); // rejections without a handler are told by now
      process.off('unhandledRejection', unhandled);
    }
    const { operations } = this.#workload.history;
    return {
      seed: this.#options.seed,
      violations: this.#lists().flat(),
      traceHash: this.#engine.trace.text(),
      virtualMs: this.#engine.nowMs,
      operations: operations.length,
      acknowledged: operations.filter(({ outcome }) => outcome === 'ok').length,
      unknown: operations.filter(({ outcome }) => outcome === 'unknown').length,
      faults: Object.fromEntries(this.#nemesis.counts),
      struck: this.#nemesis.struck,
      givenUp: this.#nemesis.givenUp,
      durableChecks: this.#acknowledged.checked,
      events: this.#engine.eventCount,
      wallMs: performance.now() - startedMs,
      registers: report.registers,
      uncheckedRegisters: report.unchecked,
      convergedAfterMs: this.#convergedAfterMs,
      journal: this.#journal(),
      story: this.#tellStory(),
    };
  }

  async #phases(): Promise<void> {
    const { virtualMs, volumeBytes } = this.#options;
    const engine = this.#engine;
    if ((await engine.settle(this.#cluster.found(), foundMsMax)) === undefined) {
      this.#violate('INV-9', 'the cluster did not start', []);
      return;
    }
    this.#observe();
    if (!(await this.#createVolume())) return;
    this.#workload.start(volumeBytes);
    this.#nemesis.start();
    await engine.run(engine.nowMs + virtualMs, () => this.#workload.done || this.#broken());
    this.#workload.stop();
    this.#nemesis.stop();
    if (this.#broken()) return;
    await engine.run(engine.nowMs + drainMsMax, () => this.#workload.openCount === 0);
    if (this.#workload.openCount > 0) {
      const summary = `${this.#workload.openCount} operations hang ${drainMsMax} ms after the faults stopped`;
      this.#violate('INV-9', summary, this.#workload.openStory());
    }
    await this.#converge();
    await this.#readBack();
    await this.#scrub();
  }

  async #createVolume(): Promise<boolean> {
    const { workload, volumeBytes, shape } = this.#options;
    const deadlineMs = this.#engine.nowMs + createMsMax;
    const request = { name: workload.volume, sizeBytes: volumeBytes, copies: shape.copies };
    let last = 'no answer';
    while (this.#engine.nowMs < deadlineMs) {
      const handle = this.#cluster.handle(0);
      if (handle === undefined) break;
      const made = await this.#engine.settle<VolumeResult<unknown>>(handle.volumes.create(request), createMsMax);
      if (made?.value.ok === true || (made?.value.ok === false && made.value.code === 'EXISTS')) return true;
      if (made !== undefined && !made.value.ok) last = `${made.value.code}: ${made.value.message}`;
      await this.#engine.run(this.#engine.nowMs + pollMs);
    }
    this.#violate('INV-9', `no volume could be made: ${last}`, []);
    return false;
  }

  async #converge(): Promise<void> {
    const engine = this.#engine;
    const fromMs = engine.nowMs;
    while (engine.nowMs < fromMs + convergeMsMax && !this.#broken()) {
      if (this.#converged()) {
        this.#convergedAfterMs = engine.nowMs - fromMs;
        return;
      }
      await engine.run(engine.nowMs + pollMs);
    }
    const reasons = whyNotConverged(this.#cluster.inspections(), this.#options.shape);
    this.#violate(
      'INV-9',
      `${reasons.length} arcs are not whole ${convergeMsMax} ms after the faults stopped`,
      reasons,
    );
  }

  async #readBack(): Promise<void> {
    const engine = this.#engine;
    const deadlineMs = engine.nowMs + finalReadsMsMax;
    const slots = this.#cluster.slots.length;
    for (let turn = this.#options.seed % slots; engine.nowMs < deadlineMs; turn++) {
      const read = await engine.settle(this.#workload.readAll(turn % slots), finalReadsMsMax);
      if (read?.value !== undefined) {
        this.#finalReads = read.value;
        return;
      }
      await engine.run(engine.nowMs + pollMs);
    }
    this.#violate('INV-1', `the volume can't be read ${finalReadsMsMax} ms after the faults stopped`, []);
  }

  /** Every Corelet reads all that it holds: the first time it may find rot, the second time none is left (INV-9). */
  async #scrub(): Promise<void> {
    if (this.#broken()) return;
    for (let pass = 0; pass < scrubPasses; pass++) {
      for (const { index } of this.#cluster.slots) {
        const handle = await this.#started(index);
        const scrubbed = handle && (await this.#engine.settle(handle.scrub(), scrubMsMax))?.value;
        const round = scrubbed?.ok === true ? scrubbed.value.completed : undefined;
        if (round === null) continue;
        if (round === undefined) this.#violate('INV-9', `slot ${index} can't scrub what it holds`, []);
        else if (pass > 0 && round.badBlocks + round.differing + round.unsettled > 0) {
          this.#violate('INV-9', `slot ${index}: a scrub leaves rot behind`, [JSON.stringify(round)]);
        }
      }
    }
  }

  /** The Corelet in a slot; the last fault may have been its crash: then it is starting. Undefined: it doesn't start. */
  async #started(index: number): Promise<CoreletHandle | undefined> {
    const engine = this.#engine;
    const deadlineMs = engine.nowMs + scrubMsMax;
    while (this.#cluster.handle(index) === undefined && engine.nowMs < deadlineMs) {
      await engine.run(engine.nowMs + pollMs);
    }
    return this.#cluster.handle(index);
  }

  #judge(): { readonly registers: number; readonly unchecked: number } {
    const { history } = this.#workload;
    const report = checkLinearizability(history, registerName);
    this.#violations.push(...report.violations);
    if (this.#finalReads.size > 0) this.#violations.push(...checkDurability(history, this.#finalReads, registerName));
    return report;
  }

  #observe(): void {
    const engine = this.#engine;
    let nextCompareMs = compareMs;
    const look = () => {
      if (!this.#watching) return;
      const corelets = this.#cluster.inspections();
      this.#watch.observe(corelets, engine.nowMs);
      this.#acknowledged.observe(corelets, engine.nowMs);
      this.#story?.look(corelets, engine.nowMs);
      for (const { slot, replicas } of corelets) {
        for (const replica of replicas) this.#logs.observe(slot, replica, engine.nowMs);
      }
      if (engine.nowMs >= nextCompareMs) {
        nextCompareMs = engine.nowMs + compareMs;
        this.#watch.compare(corelets, engine.nowMs);
        this.#violations.push(...checkBounds(corelets, engine.nowMs));
      }
      engine.schedule(engine.world, engine.nowMs + observeMs, look);
    };
    look();
  }

  #converged(): boolean {
    return whyNotConverged(this.#cluster.inspections(), this.#options.shape).length === 0;
  }

  #broken(): boolean {
    return this.#lists().some(({ length }) => length > 0);
  }

  #lists(): readonly (readonly Violation[])[] {
    const watches = [this.#watch, this.#logs, this.#votes, this.#acknowledged, this.#cluster, this.#workload];
    return [this.#violations, ...watches.map(({ violations }) => violations)];
  }

  #checkAcknowledged({ operation, volume, registers }: Acknowledgement): void {
    const { slots, clones } = this.#cluster;
    const media = [...slots, ...clones].flatMap(({ index, id, medium }) => {
      const holds = medium.holds?.bind(medium);
      return holds === undefined ? [] : [{ slot: index, id, holds }];
    });
    if (media.length === 0) return;
    const { arcs, copies } = this.#options.shape;
    const corelets = this.#cluster.inspections();
    for (const { key, chunk } of registers) {
      const written = { arc: arcOf(volume, chunk, arcs), key };
      this.#acknowledged.acknowledged(operation, written, corelets, media, copies, this.#engine.nowMs);
    }
  }

  #violate(invariant: string, summary: string, story: readonly string[]): void {
    this.#violations.push({ invariant, summary, story });
  }

  #threw(how: string, error: unknown): void {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const [summary = '', ...story] = stack.split('\n');
    const invariant = /INV-\d+/.exec(summary)?.[0] ?? 'ASSERT';
    this.#violate(invariant, `${how} at ${this.#engine.nowMs.toFixed(3)} ms: ${summary}`, story);
  }

  #tellStory(): readonly string[] {
    const violation = this.#lists().flat()[0];
    if (this.#story === undefined || violation === undefined) return [];
    for (const text of this.#nemesis.journal)
      this.#story.note(Number.parseFloat(text), text.replace(/^[\d.]+ ms: /, ''));
    const { volume, history } = this.#workload;
    const { arcs } = this.#options.shape;
    const arcsOf = ({ offset, lengthBytes }: Operation) => {
      if (volume === undefined) return [];
      const chunks = [Math.floor(offset / chunkBytes), Math.floor((offset + lengthBytes - 1) / chunkBytes)];
      return [...new Set(chunks)].map((chunk) => arcOf(volume, chunk, arcs));
    };
    return this.#story.tell(violation, history.operations, arcsOf);
  }

  #journal(): string[] {
    const lines = this.#cluster.events.map(({ atMs, slot, event }) => ({
      atMs,
      text: `${atMs.toFixed(3)} ms: slot ${slot}: ${event.kind}: ${event.text}`,
    }));
    for (const text of this.#nemesis.journal) lines.push({ atMs: Number.parseFloat(text), text });
    return lines.sort((a, b) => a.atMs - b.atMs).map(({ text }) => text);
  }
}
