import { discoveryNqn, doNotRetry, nqnBytesMax, nqnBytesMin, statuses } from '../../wire/nvme/codes.ts';
import { AdminExecutor } from './admin.ts';
import { authenticationRequiredBit } from '../../wire/nvme/fabrics.ts';
import { Authenticating } from './authenticating.ts';
import { Authentication } from './authentication.ts';
import { Budget } from '../budget.ts';
import {
  connectOffsets,
  type ConnectRequest,
  type ConnectResult,
  hasFlowControl,
  isNewController,
  Unconnected,
  wrongParameter,
} from './connecting.ts';
import { NvmeConnection } from './connection.ts';
import { Controller, type ControllerInfo } from './controller.ts';
import { DiscoveryLog } from './discovery.ts';
import { IoExecutor } from './io.ts';
import { defaultNvmeLimits, type NvmeLimits } from './limits.ts';
import { controllerIds, registrantOf, volumeOf } from './names.ts';
import type { NvmeOutput } from './output.ts';
import type { Executor, Queue } from './queue.ts';
import type { NvmeWorld, Shared } from './world.ts';

/** How often what hosts want to be told of is looked at, while there are hosts. */
const lookMs = 1000;
const discoveryLookMs = 5000;

/** What a door serves: volumes and discovery, or only discovery. */
export type DoorKind = 'volumes' | 'discovery';

/** NVMe over TCP of one Corelet: makes the connections' machines, and keeps the controllers that hosts have here. */
export class NvmeTarget {
  readonly #shared: Shared;
  readonly #discovery: DiscoveryLog;
  readonly #controllers = new Map<number, Controller>();
  readonly #ofQueue = new Map<Queue, Controller>();
  readonly #ids: { readonly first: number; readonly count: number };
  #lastId: number;
  /** Controllers that are being made: they count against the limit. */
  #making = 0;
  #isLookDue = false;

  constructor(world: NvmeWorld, limits: Partial<NvmeLimits> = {}) {
    const all = { ...defaultNvmeLimits, ...limits };
    this.#shared = {
      ...world,
      limits: all,
      budget: new Budget(all.sharedBytesMax),
      traffic: { readCommands: 0, writeCommands: 0, readBytes: 0, writtenBytes: 0 },
      startedMs: world.clock.nowMs(),
    };
    this.#discovery = new DiscoveryLog(world);
    this.#ids = controllerIds(world.slot);
    this.#lastId = this.#ids.first + this.#ids.count - 1;
  }

  get controllerCount(): number {
    return this.#controllers.size;
  }

  /** The hosts that have a controller here. */
  hosts(): readonly ControllerInfo[] {
    return [...this.#controllers.values()].map((controller) => controller.info());
  }

  /** The machine of a new connection. */
  open(output: NvmeOutput, kind: DoorKind): NvmeConnection {
    const { clock, limits, budget } = this.#shared;
    return new NvmeConnection({
      clock,
      output,
      limits,
      budget,
      unconnected: (queue) => new Unconnected(queue, (from, request) => this.#connect(from, request, kind, output)),
      quiet: (queue) => this.#ofQueue.get(queue)?.quiet(queue) ?? queue.settled(),
      gone: (queue) => {
        this.#ofQueue.get(queue)?.queueGone(queue);
        this.#ofQueue.delete(queue);
      },
      heard: (queue) => this.#ofQueue.get(queue)?.heard(),
    });
  }

  // ---- Connect ----------------------------------------------------------------------------------------------------

  async #connect(queue: Queue, request: ConnectRequest, kind: DoorKind, output: NvmeOutput): Promise<ConnectResult> {
    const { sqSize, qid, hostNqn } = request;
    if (sqSize === 0 || sqSize >= this.#shared.limits.queueEntriesMax)
      return wrongParameter(connectOffsets.sqSize, false);
    if (!isNqn(hostNqn)) return wrongParameter(connectOffsets.hostNqn, true);
    return qid === 0 ? this.#connectAdmin(queue, request, kind, output) : this.#connectIo(queue, request);
  }

  async #connectAdmin(
    queue: Queue,
    request: ConnectRequest,
    kind: DoorKind,
    output: NvmeOutput,
  ): Promise<ConnectResult> {
    if (!isNewController(request.cntlid)) return wrongParameter(connectOffsets.cntlid, true);
    const { subsystemNqn, hostNqn, hostId } = request;
    const volume = subsystemNqn === discoveryNqn ? undefined : volumeOf(subsystemNqn);
    if (volume === undefined && subsystemNqn !== discoveryNqn) return wrongParameter(connectOffsets.subsystemNqn, true);
    if (volume !== undefined && kind === 'discovery') return wrongParameter(connectOffsets.subsystemNqn, true);
    const busy: ConnectResult = { ok: false, status: statuses.connectControllerBusy };
    if (this.#controllers.size + this.#making >= this.#shared.limits.controllersMax) return busy;
    this.#making += 1;
    const device =
      volume === undefined ? undefined : await this.#shared.catalog.open(volume, hostNqn, registrantOf(hostId));
    // After it was opened: a volume whose rules became stricter meanwhile asks for proof.
    const secrets = volume === undefined ? undefined : await this.#shared.secretsOf(volume);
    this.#making -= 1;
    if (device === 'RETRYABLE') return busy;
    // Whether there is no such volume or it isn't for this host is nothing that it should learn.
    if (device === 'NOT_FOUND') return wrongParameter(connectOffsets.subsystemNqn, true);
    if (queue.isClosed || secrets === 'RETRYABLE') {
      device?.close();
      return busy;
    }
    const controller = new Controller({
      cntlid: this.#nextId(),
      shared: this.#shared,
      admin: queue,
      hostNqn,
      hostId,
      subsystemNqn,
      remoteAddress: output.remoteAddress,
      localAddress: output.localAddress,
      device,
      secrets,
      ended: (ended) => this.#controllers.delete(ended.cntlid),
    });
    this.#controllers.set(controller.cntlid, controller);
    this.#adopt(queue, request, controller, new AdminExecutor(queue, controller, this.#discovery, output));
    controller.setKato(request.katoMs);
    this.#lookLater();
    return { ok: true, result: resultOf(controller) };
  }

  async #connectIo(queue: Queue, request: ConnectRequest): Promise<ConnectResult> {
    const controller = this.#controllers.get(request.cntlid);
    const isTheirs =
      controller !== undefined &&
      controller.hostNqn === request.hostNqn &&
      controller.hostId === request.hostId &&
      controller.subsystemNqn === request.subsystemNqn;
    if (!isTheirs) return wrongParameter(connectOffsets.cntlid, true);
    const { device } = controller;
    if (device === undefined || request.qid > controller.ioQueuesGranted)
      return wrongParameter(connectOffsets.qid, false);
    if (!controller.isReady || controller.ioQueues.has(request.qid))
      return { ok: false, status: statuses.commandSequenceError | doNotRetry };
    queue.qid = request.qid;
    queue.katoMs = controller.katoMs;
    controller.ioQueues.set(request.qid, queue);
    this.#adopt(queue, request, controller, new IoExecutor(queue, controller, device));
    return { ok: true, result: resultOf(controller) };
  }

  /** `executor`: of the queue, once its host has proved what it has to. */
  #adopt(queue: Queue, request: ConnectRequest, controller: Controller, executor: Executor): void {
    queue.depth = request.sqSize + 1;
    queue.hasFlowControl = hasFlowControl(request.cattr);
    this.#ofQueue.set(queue, controller);
    const begin = (): void => {
      queue.executor = executor;
      queue.listener.connected();
    };
    const { secrets, hostNqn, subsystemNqn } = controller;
    if (secrets === undefined) return begin();
    const { exchange, random } = this.#shared;
    const authentication = new Authentication({ exchange, random, secrets, hostNqn, subsystemNqn });
    queue.executor = new Authenticating(queue, authentication, begin);
  }

  /** The one used longest ago. */
  #nextId(): number {
    const { first, count } = this.#ids;
    for (;;) {
      this.#lastId = this.#lastId + 1 >= first + count ? first : this.#lastId + 1;
      if (!this.#controllers.has(this.#lastId)) return this.#lastId;
    }
  }

  // ---- what hosts are told --------------------------------------------------------------------------------------------

  #lookLater(): void {
    if (this.#isLookDue) return;
    this.#isLookDue = true;
    this.#shared.clock.after(lookMs, () => {
      this.#isLookDue = false;
      this.#lookNow();
      if (this.#controllers.size > 0) this.#lookLater();
    });
  }

  #lookNow(): void {
    const isConnected = this.#shared.isConnected();
    for (const controller of this.#controllers.values()) {
      if (controller.isDiscovery) {
        void this.#lookAtDiscovery(controller);
        continue;
      }
      if (controller.isAnaOptimized !== isConnected) {
        controller.isAnaOptimized = isConnected;
        controller.anaChanges += 1;
        controller.events.raise('anaChanged');
      }
      const sizeBytes = controller.device?.sizeBytes ?? 0;
      if (controller.hasNamespace && controller.sizeBytes !== sizeBytes) namespaceChanged(controller, sizeBytes);
    }
  }

  /** Volumes come and go seldom: hosts that wait for news of them are told within seconds. */
  async #lookAtDiscovery(controller: Controller): Promise<void> {
    const now = this.#shared.clock.nowMs();
    const { watch, events, hostNqn } = controller;
    if (events.mask === 0 || watch.isLooking || now - watch.lookedMs < discoveryLookMs) return;
    watch.lookedMs = now;
    watch.isLooking = true;
    const contents = await this.#discovery.contents('', hostNqn);
    watch.isLooking = false;
    if (contents === undefined) return;
    const isNews = watch.contents !== undefined && watch.contents !== contents;
    watch.contents = contents;
    if (isNews) events.raise('discoveryChanged');
  }
}

function resultOf({ cntlid, secrets }: Controller): number {
  return secrets === undefined ? cntlid : cntlid | authenticationRequiredBit;
}

function namespaceChanged(controller: Controller, sizeBytes: number): void {
  controller.sizeBytes = sizeBytes;
  controller.isNamespaceChanged = true;
  controller.events.raise('namespaceChanged');
}

function isNqn(text: string): boolean {
  return text.length >= nqnBytesMin && text.length <= nqnBytesMax && text.startsWith('nqn.');
}
