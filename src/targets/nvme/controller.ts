import type { Timer } from '../../ports/clock.ts';
import type { BlockDevice } from '../../volume/block-device.ts';
import { properties } from '../../wire/nvme/codes.ts';
import type { HostSecrets } from './authentication.ts';
import { ErrorLog } from './error-log.ts';
import { AsyncEvents } from './events.ts';
import { keepAliveGraceMs } from './limits.ts';
import type { Queue } from './queue.ts';
import type { Shared } from './world.ts';

const enable = 1;
const ready = 1;
const failed = 2;
const shutdownUnderWay = 1 << 2;
const shutdownDone = 2 << 2;
const shutdownMask = 3 << 2;
/** Memory page size 4 KiB, NVM command set, round robin: the bits that must be 0. */
const unsupportedConfiguration = 0x3ff0;
/** Entry sizes of 64 and 16 bytes, as powers of two. */
const entrySizes = { mask: 0xff_0000, wanted: 0x46_0000 } as const;
/** How long a host shall wait for CSTS.RDY, in units of 500 ms: the writes of a reset controller are settled first. */
const readyTimeoutUnits = 120;
export const nvmeVersion = 0x0002_0000;

export interface ControllerOptions {
  readonly cntlid: number;
  readonly shared: Shared;
  readonly admin: Queue;
  readonly hostNqn: string;
  /** 32 hex digits. */
  readonly hostId: string;
  readonly subsystemNqn: string;
  /** Of its admin connection, as `HOST:PORT`. */
  readonly remoteAddress: string;
  readonly localAddress: string;
  /** Undefined: a discovery controller. */
  readonly device: BlockDevice | undefined;
  /** Undefined: the host needs to prove nothing. */
  readonly secrets: HostSecrets | undefined;
  /** It is over: its id may be used again. */
  readonly ended: (controller: Controller) => void;
}

/** A host, as it is shown to people. */
export interface ControllerInfo {
  readonly cntlid: number;
  readonly hostNqn: string;
  /** Undefined: it only asks what there is. */
  readonly volume: string | undefined;
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly sinceWallMs: number;
  readonly commands: number;
  readonly ioQueues: number;
  readonly katoMs: number;
  readonly isAuthenticated: boolean;
}

export type PropertyResult =
  | { readonly ok: true; readonly low: number; readonly high: number }
  | { readonly ok: false };

/** One host at one volume through this Corelet (base §3.1): its properties, its queues, how long it may be silent. */
export class Controller {
  readonly cntlid: number;
  readonly shared: Shared;
  readonly admin: Queue;
  readonly hostNqn: string;
  readonly hostId: string;
  readonly subsystemNqn: string;
  readonly device: BlockDevice | undefined;
  readonly secrets: HostSecrets | undefined;
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly sinceWallMs: number;
  readonly events: AsyncEvents;
  readonly errors = new ErrorLog();
  readonly ioQueues = new Map<number, Queue>();
  /** What Set Features granted. */
  ioQueuesGranted: number;
  acceptsRetryDelay = false;
  /** Namespace attached and there. */
  hasNamespace: boolean;
  isAnaOptimized = true;
  anaChanges = 0;
  isNamespaceChanged = false;
  /** Of a discovery controller: what its host would be told, when it was looked at last. */
  readonly watch: { contents: string | undefined; lookedMs: number; isLooking: boolean } = {
    contents: undefined,
    lookedMs: Number.NEGATIVE_INFINITY,
    isLooking: false,
  };
  /** Of the namespace, as told last. */
  sizeBytes: number;
  readonly #ended: (controller: Controller) => void;
  #configuration = 0;
  #status = 0;
  #katoMs = 0;
  #heardMs: number;
  #keepAlive: Timer | undefined;
  /** Given up, or its host is gone. */
  #isOver = false;

  constructor(options: ControllerOptions) {
    this.cntlid = options.cntlid;
    this.shared = options.shared;
    this.admin = options.admin;
    this.hostNqn = options.hostNqn;
    this.hostId = options.hostId;
    this.subsystemNqn = options.subsystemNqn;
    this.device = options.device;
    this.secrets = options.secrets;
    this.remoteAddress = options.remoteAddress;
    this.localAddress = options.localAddress;
    this.sinceWallMs = options.shared.clock.wallMs();
    this.hasNamespace = options.device !== undefined;
    this.sizeBytes = options.device?.sizeBytes ?? 0;
    this.ioQueuesGranted = options.shared.limits.ioQueuesMax;
    this.events = new AsyncEvents(options.admin);
    this.#ended = options.ended;
    this.#heardMs = options.shared.clock.nowMs();
  }

  get isReady(): boolean {
    return !this.#isOver && (this.#status & ready) !== 0 && (this.#configuration & enable) !== 0;
  }
  get isOver(): boolean {
    return this.#isOver;
  }
  get isDiscovery(): boolean {
    return this.device === undefined;
  }

  /** For people. */
  info(): ControllerInfo {
    const { cntlid, hostNqn, device, remoteAddress, localAddress, sinceWallMs, ioQueues, secrets } = this;
    let commands = this.admin.underWay;
    for (const queue of ioQueues.values()) commands += queue.underWay;
    const ends = { remoteAddress, localAddress, sinceWallMs };
    const agreed = { ioQueues: ioQueues.size, katoMs: this.#katoMs, isAuthenticated: secrets !== undefined };
    return { cntlid, hostNqn, volume: device?.name, ...ends, commands, ...agreed };
  }

  // ---- properties -----------------------------------------------------------------------------------------------------

  getProperty(offset: number, is64Bit: boolean): PropertyResult {
    if (is64Bit) {
      if (offset !== properties.cap) return { ok: false };
      const low = (this.shared.limits.queueEntriesMax - 1) | (1 << 16) | (readyTimeoutUnits << 24);
      return { ok: true, low: low >>> 0, high: 1 << 5 };
    }
    switch (offset) {
      case properties.vs:
        return { ok: true, low: nvmeVersion, high: 0 };
      case properties.cc:
        return { ok: true, low: this.#configuration, high: 0 };
      case properties.csts:
        return { ok: true, low: this.#status, high: 0 };
      case properties.crto:
        return { ok: true, low: readyTimeoutUnits, high: 0 };
      default:
        return { ok: false };
    }
  }

  /** False: there is no such property to set. */
  setProperty(offset: number, is64Bit: boolean, value: number): boolean {
    if (is64Bit || offset !== properties.cc) return false;
    const before = this.#configuration;
    this.#configuration = value >>> 0;
    const wasEnabled = (before & enable) !== 0;
    const isEnabled = (value & enable) !== 0;
    if (isEnabled && !wasEnabled) this.#enable();
    if (!isEnabled && wasEnabled) void this.#reset();
    const wantsShutdown = (value & 0xc000) !== 0;
    if (wantsShutdown && (before & 0xc000) === 0) void this.#shutDown();
    if (!wantsShutdown) this.#status &= ~shutdownMask;
    return true;
  }

  #enable(): void {
    const sizes = this.#configuration & entrySizes.mask;
    const isRight =
      (this.#configuration & unsupportedConfiguration & 0x3ff0) === 0 &&
      (this.isDiscovery || sizes === entrySizes.wanted);
    if (isRight) this.#status = (this.#status & ~shutdownMask) | ready;
    else this.#status |= failed;
  }

  /** EN cleared: RDY follows when no write of before can land any more (design §3). */
  async #reset(): Promise<void> {
    const queues = [...this.ioQueues.values()];
    this.ioQueues.clear();
    this.events.clear();
    for (const queue of queues) queue.giveUp();
    await Promise.all(queues.map((queue) => queue.settled()));
    for (const queue of queues) queue.listener.finish();
    this.#status &= ~(ready | failed);
  }

  /** SHN set: what was begun is finished. */
  async #shutDown(): Promise<void> {
    this.#status = (this.#status & ~shutdownMask) | shutdownUnderWay;
    await Promise.all([...this.ioQueues.values()].map((queue) => queue.settled()));
    if ((this.#status & shutdownMask) === shutdownUnderWay)
      this.#status = (this.#status & ~shutdownMask) | shutdownDone;
  }

  // ---- keep alive -----------------------------------------------------------------------------------------------------

  get katoMs(): number {
    return this.#katoMs;
  }

  /** 0: never. Applies to all queues (traffic counts as a sign of life: base §3.9). */
  setKato(katoMs: number): void {
    this.#katoMs = katoMs;
    this.admin.katoMs = katoMs;
    for (const queue of this.ioQueues.values()) queue.katoMs = katoMs;
    this.#keepAlive?.cancel();
    this.#keepAlive = undefined;
    if (katoMs > 0) this.#arm(katoMs);
  }

  heard(): void {
    this.#heardMs = this.shared.clock.nowMs();
  }

  #arm(delayMs: number): void {
    this.#keepAlive = this.shared.clock.after(delayMs, () => this.#look(false));
  }

  #look(isSecond: boolean): void {
    if (this.#isOver) return;
    const leftMs = this.#heardMs + this.#katoMs - this.shared.clock.nowMs();
    if (leftMs > 0) return this.#arm(leftMs);
    if (isSecond) return void this.fail();
    this.#keepAlive = this.shared.clock.after(keepAliveGraceMs, () => this.#look(true));
  }

  // ---- its end --------------------------------------------------------------------------------------------------------

  /** The host is silent, or what became of its command can't be told: connections end when no write of it can land any more. */
  async fail(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#status |= failed;
    const queues = [this.admin, ...this.ioQueues.values()];
    for (const queue of queues) queue.giveUp();
    await Promise.all(queues.map((queue) => queue.settled()));
    for (const queue of queues) queue.listener.drop();
  }

  /** Resolves when nothing is under way on that queue; without the one of admin there are no others. */
  async quiet(queue: Queue): Promise<void> {
    const queues = queue === this.admin ? [queue, ...this.ioQueues.values()] : [queue];
    await Promise.all(queues.map((each) => each.settled()));
  }

  /** A connection of this controller has ended. Without the one of admin there is no controller. */
  queueGone(queue: Queue): void {
    if (queue !== this.admin) {
      if (this.ioQueues.get(queue.qid) === queue) this.ioQueues.delete(queue.qid);
      return;
    }
    this.#isOver = true;
    this.#keepAlive?.cancel();
    const queues = [...this.ioQueues.values()];
    for (const each of queues) each.listener.finish();
    void Promise.all([queue, ...queues].map((each) => each.settled())).then(() => {
      this.device?.close();
      this.#ended(this);
    });
  }
}
