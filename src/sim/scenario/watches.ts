import { chunkBytes } from '../../base/ids.ts';
import { arcOf } from '../../ring/keys.ts';
import { AcknowledgedWatch } from '../checkers/acknowledged.ts';
import { checkBounds } from '../checkers/bounds.ts';
import { LogWatch } from '../checkers/logs.ts';
import { type CoreletInspection, ReplicaWatch } from '../checkers/replicas.ts';
import type { Violation } from '../checkers/violation.ts';
import { VoteWatch } from '../checkers/votes.ts';
import type { SimCluster } from '../cluster.ts';
import type { Hosts, Task } from './hosts.ts';
import type { Stage } from './stage.ts';

const observeMs = 10;
const compareMs = 500;

/** Every checker that looks while the story goes on. */
export class Watches {
  readonly #stage: Stage;
  readonly #cluster: SimCluster;
  readonly #hosts: Hosts;
  readonly #replicas = new ReplicaWatch();
  readonly #logs = new LogWatch();
  readonly #votes = new VoteWatch();
  readonly #acknowledged = new AcknowledgedWatch();
  readonly #bounds: Violation[] = [];
  #watching = false;

  constructor(stage: Stage) {
    const { cluster, hosts } = stage;
    this.#stage = stage;
    this.#cluster = cluster;
    this.#hosts = hosts;
    hosts.onAcknowledged = (task) => this.#checkAcknowledged(task);
    cluster.onSend = (slot, from, to, message) => {
      if (!('arc' in message)) return;
      const replica = () =>
        cluster
          .handle(slot)
          ?.inspect()
          .find(({ arc }) => arc === message.arc);
      this.#votes.sent(slot, this.#nameOf(slot, from), to, message, replica, stage.engine.nowMs);
    };
  }

  get violations(): readonly Violation[] {
    const watches = [this.#replicas, this.#logs, this.#votes, this.#acknowledged];
    return [...watches.flatMap(({ violations }) => violations), ...this.#bounds];
  }

  start(): void {
    const { engine } = this.#stage;
    this.#watching = true;
    let nextCompareMs = compareMs;
    const look = () => {
      if (!this.#watching) return;
      this.#look();
      if (engine.nowMs >= nextCompareMs) {
        nextCompareMs = engine.nowMs + compareMs;
        const corelets = this.#cluster.inspections();
        this.#replicas.compare(
          corelets.map((one) => this.#unforged(one)),
          engine.nowMs,
        );
        this.#bounds.push(...checkBounds(corelets, engine.nowMs));
      }
      engine.schedule(engine.world, engine.nowMs + observeMs, look);
    };
    look();
  }

  stop(): void {
    this.#watching = false;
  }

  #look(): void {
    const { nowMs } = this.#stage.engine;
    const corelets = this.#cluster.inspections();
    const named = corelets.map((corelet) => ({ ...corelet, id: this.#lifeOf(corelet.slot, corelet.id) }));
    this.#replicas.observe(named, nowMs);
    this.#acknowledged.observe(corelets, nowMs);
    for (const { slot, replicas } of corelets) {
      for (const replica of replicas) this.#logs.observe(slot, replica, nowMs);
    }
  }

  #unforged(corelet: CoreletInspection): CoreletInspection {
    const { forgedArcs } = this.#stage;
    if (forgedArcs.size === 0) return corelet;
    return { ...corelet, replicas: corelet.replicas.filter(({ arc }) => !forgedArcs.has(arc)) };
  }

  /** A copy of another's disk is a Corelet of its own for the checkers: both leading in one term would show. */
  #nameOf(slot: number, id: string): string {
    return this.#stage.twins.has(slot) ? `${id} twin` : id;
  }

  /** A disk that was put back shows older terms until it is told what it forgot; what it says is judged by the votes. */
  #lifeOf(slot: number, id: string): string {
    const rollBacks = this.#stage.rollBacks.get(slot);
    const name = this.#nameOf(slot, id);
    return rollBacks === undefined ? name : `${name} put back ${rollBacks}`;
  }

  #checkAcknowledged({ operation, command }: Task): void {
    const { story, engine } = this.#stage;
    const volume = this.#stage.volumes.get(command.range.volume);
    if (volume === undefined) return;
    const media = this.#cluster.slots.map(({ index, id }) => {
      const medium = this.#stage.medium(index);
      return { slot: index, id, holds: (key: number, value: number) => medium.landed.holds(key, value) };
    });
    const corelets: readonly CoreletInspection[] = this.#cluster.inspections();
    const chunks = new Set<number>();
    const { volume: name, offset, lengthBytes } = command.range;
    this.#hosts.registers.each(name, offset, lengthBytes, (key) => {
      const chunk = Math.floor(this.#hosts.registers.blockOf(key).offset / chunkBytes);
      if (chunks.has(chunk)) return;
      chunks.add(chunk);
      const written = { arc: arcOf(volume, chunk, story.shape.arcs), key };
      this.#acknowledged.acknowledged(operation, written, corelets, media, story.shape.copies, engine.nowMs);
    });
  }
}
