import { assert } from '../base/assert.ts';
import { joined } from '../base/bytes.ts';
import { blockBytes, chunkBytes, type VolumeId } from '../base/ids.ts';
import type { Prng } from '../base/prng.ts';
import type { BlockDevice, CompareResult, HostCommand, IoResult, ReadResult } from '../volume/block-device.ts';
import type { Violation } from './checkers/violation.ts';
import { tellOperation } from './checkers/violation.ts';
import type { SimCluster } from './cluster.ts';
import { anyPlace, readValue, tornValue, writeValue } from './contents.ts';
import type { SimEngine } from './engine.ts';
import { History, zeroValue } from './history.ts';
import type { Operation, OperationKind, RegisterKey, RegisterOperation } from './history.ts';
import { eachRegister, registerBytesAt, registerName, type Target, Targets } from './targets.ts';
import type { WorkloadOptions } from './workload-options.ts';

/** Of writes that a host has waited too long for: the share that it tries again through another gateway. */
const giveUpShare = 0.5;
const noGatewayRetryMs = 20;
/** Operations of one host that hang and were left behind. */
const abandonedMax = 8;

/** A write that its host was told to be done, and one register of it per chunk that it touched. */
export interface Acknowledgement {
  readonly operation: Operation;
  readonly volume: VolumeId;
  readonly registers: readonly { readonly key: RegisterKey; readonly chunk: number }[];
}

interface Flight {
  readonly operation: Operation;
  readonly slot: number;
  answered: boolean;
  leave: (() => void) | undefined;
}

/** Hosts that read and write the same few blocks through different Corelets, and write down what they see. */
export class Workload {
  readonly history = new History();
  readonly violations: Violation[] = [];
  /** Called at the moment of every acknowledgement of a write. */
  onAcknowledged: ((acknowledgement: Acknowledgement) => void) | undefined;
  readonly #engine: SimEngine;
  readonly #cluster: SimCluster;
  readonly #draw: Prng;
  readonly #seed: number;
  readonly #options: WorkloadOptions;
  readonly #flights = new Set<Flight>();
  /** Opened volume of each slot, for the start that it was opened in. */
  readonly #devices = new Map<number, { readonly start: number; readonly device: BlockDevice }>();
  /** What each register was last seen or made to hold. */
  readonly #latest = new Map<RegisterKey, number>();
  readonly #comparing = new Map<number, RegisterOperation>();
  #targets: Targets | undefined;
  volume: VolumeId | undefined; // once a host has opened it
  #issued = 0;
  #stopped = false;

  constructor(engine: SimEngine, cluster: SimCluster, draw: Prng, seed: number, options: WorkloadOptions) {
    this.#engine = engine;
    this.#cluster = cluster;
    this.#draw = draw;
    this.#seed = seed;
    this.#options = options;
    cluster.downListeners.push((slot) => this.#gatewayDied(slot));
  }

  start(sizeBytes: number): void {
    const { hosts, queueDepth, rareShare = 0 } = this.#options;
    this.#targets = new Targets(this.#draw, sizeBytes / blockBytes, rareShare);
    for (let host = 0; host < hosts; host++) for (let lane = 0; lane < queueDepth; lane++) this.#next(host);
  }

  stop(): void {
    this.#stopped = true;
  }

  get done(): boolean {
    return this.#issued >= this.#options.operations && this.#flights.size === 0;
  }

  get openCount(): number {
    return this.#flights.size;
  }

  openStory(): string[] {
    return [...this.#flights].map(({ operation }) => tellOperation(operation, undefined));
  }

  /** Reads all that hosts ever used through `slot`; the numbers of the reads. Undefined: a read was refused. */
  async readAll(slot: number): Promise<ReadonlySet<number> | undefined> {
    const device = await this.#device(slot);
    if (device === undefined || this.#targets === undefined) return undefined;
    const numbers = new Set<number>();
    for (const { offset, lengthBytes } of this.#targets.edges()) {
      const operation = this.#begin(-1, slot, 'read', offset, lengthBytes);
      const result = await device.read(operation.offset, operation.lengthBytes);
      this.#answerRead(operation, result);
      if (!result.ok) return undefined;
      numbers.add(operation.number);
    }
    return numbers;
  }

  get #isOver(): boolean {
    return this.#stopped || this.#issued >= this.#options.operations;
  }

  #next(host: number): void {
    if (this.#isOver) return;
    const pauseMs = -Math.log(1 - this.#draw.fraction()) * this.#options.thinkMs;
    this.#later(pauseMs, () => this.#issue(host));
  }

  /** `what`: chosen when it is undefined. `not`: the gateway that the host has given up. */
  #issue(host: number, what?: Target, not?: number): void {
    if (this.#isOver) return;
    const slot = this.#pickGateway(host, not);
    if (slot === undefined) {
      this.#later(noGatewayRetryMs, () => this.#issue(host, what, not));
      return;
    }
    const start = this.#cluster.slot(slot).starts;
    const opened = this.#devices.get(slot);
    if (opened?.start === start) {
      this.#operate(host, slot, opened.device, what ?? this.#choose());
      return;
    }
    // A gateway that dies in the meantime never answers: the host looks elsewhere.
    let waiting = true;
    const goOn = (device: BlockDevice | undefined) => {
      if (!waiting) return;
      waiting = false;
      if (device === undefined || this.#cluster.slot(slot).starts !== start)
        this.#later(noGatewayRetryMs, () => this.#issue(host, what, not));
      else this.#operate(host, slot, device, what ?? this.#choose());
    };
    void this.#device(slot).then(goOn);
    this.#later(this.#options.patienceMs, () => goOn(undefined));
  }

  /** Every host has two ways in that change rarely, and now and then takes any other. */
  #pickGateway(host: number, not?: number): number | undefined {
    const count = this.#cluster.slots.length;
    const favourite = (host + (this.#draw.chance(0.5) ? 1 : 0)) % count;
    const first = this.#draw.chance(0.8) ? favourite : this.#draw.below(count);
    for (let step = 0; step < count; step++) {
      const slot = (first + step) % count;
      if (slot === not) continue;
      // A paused gateway still accepts what a host sends.
      const state = this.#cluster.state(slot);
      if (
        state === 'running' ||
        (state === 'paused' && this.#devices.get(slot)?.start === this.#cluster.slot(slot).starts)
      )
        return slot;
    }
    return undefined;
  }

  async #device(slot: number): Promise<BlockDevice | undefined> {
    const start = this.#cluster.slot(slot).starts;
    const known = this.#devices.get(slot);
    if (known?.start === start) return known.device;
    const opened = await this.#cluster.handle(slot)?.catalog.open(this.#options.volume);
    if (opened === undefined || opened === 'RETRYABLE') return undefined;
    if (opened === 'NOT_FOUND') {
      const summary = `the volume is gone, says slot ${slot} at ${this.#engine.nowMs.toFixed(3)} ms`;
      if (this.violations.length === 0) this.violations.push({ invariant: 'INV-1', summary, story: [] });
      return undefined;
    }
    this.#devices.set(slot, { start, device: opened });
    this.volume = opened.id;
    return opened;
  }

  #operate(host: number, slot: number, device: BlockDevice, { kind, offset, lengthBytes }: Target): void {
    if (this.#isOver) return; // while the volume was opened: the last reads may have begun
    this.#issued++;
    const operation = this.#begin(host, slot, kind, offset, lengthBytes);
    const flight: Flight = { operation, slot, answered: false, leave: undefined };
    this.#flights.add(flight);
    flight.leave = () => {
      flight.leave = undefined;
      this.#next(host);
    };
    const answer = (settle: () => void) => {
      if (flight.answered) return;
      flight.answered = true;
      this.#flights.delete(flight);
      settle();
      flight.leave?.();
    };
    this.#engine.trace.number(operation.number);
    // The gateway has the command in its socket, and reads it when it runs: by then its host may have gone another way.
    const { process, clock } = this.#cluster.slot(slot);
    assert(process !== undefined && clock !== undefined, 'a host talks to a process');
    const command = { arrivedAfterMs: clock.nowMs() };
    this.#engine.enter(process, () => {
      if (kind === 'read') {
        device.read(offset, lengthBytes).then(
          (result) => answer(() => this.#answerRead(operation, result)),
          (error: unknown) => answer(() => this.#threw(operation, error)),
        );
        return;
      }
      this.#change(device, operation, command).then(
        (result) => answer(() => this.#answerChange(operation, result, device.id)),
        (error: unknown) => answer(() => this.#threw(operation, error)),
      );
    });
    this.#later(this.#options.patienceMs, () => {
      if (flight.leave === undefined) return;
      const goesElsewhere = kind !== 'read' && this.#draw.chance(giveUpShare);
      if (goesElsewhere) this.#giveUp(flight, host);
      else if (this.#hanging(host) < abandonedMax) flight.leave?.();
    });
  }

  /** The host closes this path and does the same through another, while the first try may still lie in the gateway. */
  #giveUp(flight: Flight, host: number): void {
    const { operation } = flight;
    flight.answered = true;
    flight.leave = undefined;
    this.#flights.delete(flight);
    this.history.end(operation, 'unknown', this.#engine.nowMs, 'GAVE_UP');
    const { kind, offset, lengthBytes } = operation;
    const again = kind === 'compare' ? 'write' : kind;
    this.#issue(host, { kind: again, offset, lengthBytes }, flight.slot);
  }

  #hanging(host: number): number {
    let count = 0;
    for (const { operation, leave } of this.#flights) if (operation.host === host && leave === undefined) count++;
    return count;
  }

  #choose(): Target {
    assert(this.#targets !== undefined, 'started');
    return this.#targets.next();
  }

  #begin(host: number, slot: number, kind: OperationKind, offset: number, lengthBytes: number): Operation {
    const invokedMs = this.#engine.nowMs;
    const { effectMsMax = Number.POSITIVE_INFINITY } = this.#options;
    const operation = this.history.begin({
      host,
      slot,
      kind,
      offset,
      lengthBytes,
      invokedMs,
      effectByMs: invokedMs + effectMsMax,
    });
    if (kind === 'read') return operation;
    if (kind === 'compare') {
      eachRegister(offset, lengthBytes, (key) => {
        // Mostly what it holds, as far as any host knows.
        const expected = this.#draw.chance(0.15) ? zeroValue : (this.#latest.get(key) ?? zeroValue);
        const touched = this.history.touch(key, operation, 'compare', operation.number, expected);
        this.#comparing.set(operation.number, touched);
      });
      return operation;
    }
    const value = kind === 'write' || kind === 'same' ? operation.number : zeroValue;
    eachRegister(offset, lengthBytes, (key) => this.history.touch(key, operation, 'write', value));
    return operation;
  }

  #change(device: BlockDevice, operation: Operation, command: HostCommand): Promise<IoResult | CompareResult> {
    const { kind, number, offset, lengthBytes } = operation;
    switch (kind) {
      case 'zero':
        return device.zero(offset, lengthBytes, { mayPunch: this.#draw.chance(0.5) }, command);
      case 'trim':
        return device.trim(offset, lengthBytes, command);
      case 'compare':
        return device.compareAndWrite(offset, this.#expectedBytes(operation), this.#bytesOf(operation), command);
      case 'same': {
        const pattern = new Uint8Array(registerBytesAt(offset));
        writeValue(pattern, this.#seed, number, anyPlace);
        return device.writeSame(offset, lengthBytes, pattern, command);
      }
      default:
        return device.write(offset, [this.#bytesOf(operation)], command);
    }
  }

  #bytesOf({ number, offset, lengthBytes }: Operation): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    eachRegister(offset, lengthBytes, (key, at, length) => {
      writeValue(bytes.subarray(at, at + length), this.#seed, number, key);
    });
    return bytes;
  }

  #expectedBytes({ number, offset, lengthBytes }: Operation): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    const expected = this.#comparing.get(number)?.expected ?? zeroValue;
    if (expected === zeroValue) return bytes;
    eachRegister(offset, lengthBytes, (key) => {
      const isPattern = this.history.operations[expected - 1]?.kind === 'same';
      writeValue(bytes, this.#seed, expected, isPattern ? anyPlace : key);
    });
    return bytes;
  }

  #answerChange(operation: Operation, result: IoResult | CompareResult, volume: VolumeId): void {
    const compared = this.#comparing.get(operation.number);
    this.#comparing.delete(operation.number);
    if (!result.ok && result.code === 'MISCOMPARE') {
      this.history.end(operation, 'ok', this.#engine.nowMs, result.code);
      if (compared !== undefined) compared.kind = 'differs';
      return;
    }
    if (result.ok) {
      this.history.end(operation, 'ok', this.#engine.nowMs);
      this.#remember(operation);
      if (operation.kind === 'write') this.#tellAcknowledged(operation, volume);
    }
    // RETRYABLE and OUT_OF_RANGE promise that nothing happened; of the others a host may believe nothing.
    else if (result.code === 'RETRYABLE') this.history.end(operation, 'failed', this.#engine.nowMs, result.code);
    else this.history.end(operation, 'unknown', this.#engine.nowMs, result.code);
  }

  /** What a host would take the registers for now. */
  #remember({ kind, number, offset, lengthBytes }: Operation): void {
    const value = kind === 'zero' || kind === 'trim' ? zeroValue : number;
    eachRegister(offset, lengthBytes, (key) => this.#latest.set(key, value));
  }

  #tellAcknowledged(operation: Operation, volume: VolumeId): void {
    if (this.onAcknowledged === undefined) return;
    const registers: { key: RegisterKey; chunk: number }[] = [];
    eachRegister(operation.offset, operation.lengthBytes, (key, at) => {
      const chunk = Math.floor((operation.offset + at) / chunkBytes);
      if (registers.at(-1)?.chunk !== chunk) registers.push({ key, chunk });
    });
    this.onAcknowledged({ operation, volume, registers });
  }

  #answerRead(operation: Operation, result: ReadResult): void {
    if (!result.ok) {
      this.history.end(operation, 'failed', this.#engine.nowMs, result.code);
      return;
    }
    this.history.end(operation, 'ok', this.#engine.nowMs);
    const bytes = joined(result.parts);
    if (bytes.length !== operation.lengthBytes) {
      this.#report('INV-4', `op ${operation.number} got another length than it asked for`, operation, undefined);
      return;
    }
    eachRegister(operation.offset, operation.lengthBytes, (key, at, length) => {
      const value = readValue(bytes.subarray(at, at + length), this.#seed, key);
      this.history.touch(key, operation, 'read', value);
      this.#latest.set(key, value);
      if (value !== tornValue) return;
      this.#report(
        'INV-2',
        `${registerName(key)}: op ${operation.number} read a torn or foreign block`,
        operation,
        value,
      );
    });
  }

  #threw(operation: Operation, error: unknown): void {
    this.history.end(operation, 'unknown', this.#engine.nowMs, 'THREW');
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#report('ASSERT', `op ${operation.number} was thrown at its host: ${message}`, operation, undefined);
  }

  #gatewayDied(slot: number): void {
    for (const flight of this.#flights) {
      if (flight.slot !== slot) continue;
      flight.answered = true;
      this.#flights.delete(flight);
      this.#comparing.delete(flight.operation.number);
      this.history.end(flight.operation, 'unknown', this.#engine.nowMs, 'GATEWAY_DIED');
      flight.leave?.();
    }
  }

  #report(invariant: string, summary: string, operation: Operation, value: number | undefined): void {
    this.violations.push({ invariant, summary, story: [tellOperation(operation, value)] });
  }

  #later(delayMs: number, run: () => void): void {
    this.#engine.schedule(this.#engine.world, this.#engine.nowMs + delayMs, run);
  }
}
